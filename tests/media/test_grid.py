"""Grids and strips: every pixel where it belongs."""

import ml_dtypes
import numpy as np
import pytest

from magvit_jax.media import grid as grids
from magvit_jax.media.pixels import to_uint8, upscale, viewing_scale


def clip(value, frames=3, height=4, width=6):
    """A clip whose frame t is `value + t` everywhere."""
    return np.broadcast_to(
        (value + np.arange(frames, dtype=np.uint8))[:, None, None, None], (frames, height, width, 3)
    ).copy()


def test_grid_places_clips_row_by_row():
    result = grids.grid([clip(10), clip(20), clip(30)], columns=2, padding=2, background="#010203")
    assert result.shape == (3, 2 + 2 * 6, 2 + 2 * 8, 3)
    for frame in range(3):
        assert (result[frame, 2:6, 2:8] == 10 + frame).all()
        assert (result[frame, 2:6, 10:16] == 20 + frame).all()
        assert (result[frame, 8:12, 2:8] == 30 + frame).all()
        assert (result[frame, 8:12, 9:] == [1, 2, 3]).all()  # the cell without a clip
        assert (result[frame, 6:8] == [1, 2, 3]).all() and (result[frame, :, 8:10] == [1, 2, 3]).all()


def test_grid_holds_the_last_frame_and_makes_room_for_the_largest():
    result = grids.grid([clip(10, frames=1), clip(20, frames=3, height=8), clip(9)[0]], columns=3, padding=0)
    assert result.shape == (3, 8, 18, 3)
    assert (result[:, :4, :6] == 10).all() and (result[:, 4:, :6] == 255).all()
    assert (result[2, :, 6:12] == 22).all()
    assert (result[:, :4, 12:] == 9).all()


def test_grid_with_alpha_is_clear_between_clips_only():
    result = grids.grid([clip(10), clip(20)], columns=2, padding=1, background="#00000000")
    assert (result[:, 1:5, 1:7, 3] == 255).all()
    assert (result[:, 0, :, 3] == 0).all() and (result[:, :, 7, 3] == 0).all()


def test_grid_is_about_square_by_default():
    assert grids.grid([clip(0)] * 5, padding=0).shape[1:3] == (2 * 4, 3 * 6)


def test_upscale_repeats_pixels():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    big = upscale(image, 3)
    assert big.shape == (6, 6, 3)
    assert all((big[y, x] == image[y // 3, x // 3]).all() for y in range(6) for x in range(6))
    assert [viewing_scale(32, 32), viewing_scale(17, 64), viewing_scale(300, 20)] == [6, 3, 1]


def test_labels_are_drawn_above_and_shortened_to_fit():
    video = clip(0, width=120)
    result = grids.labelled(video, "original")
    assert result.shape == (3, 18 + 4, 120, 3)
    assert (result[:, 18:] == video).all()
    assert (result[0, :18] < 128).any() and (result[0, :18, :20] == 255).all()  # centred ink, empty margin
    assert (grids.draw_label("", 40) == 255).all()
    assert (grids.draw_label("W" * 80, 40) < 128).any()  # drawn, though it does not fit
    assert not np.array_equal(grids.draw_label("ab", 60), grids.draw_label("ba", 60))
    assert not np.array_equal(grids.draw_label("W" * 80, 60), grids.draw_label("W" * 4, 60))


def test_side_by_side_keeps_the_order_and_the_pixels():
    result = grids.side_by_side(
        {"original": clip(10, width=32), "reconstruction": clip(90, width=32)}, 2, padding=4
    )
    assert result.shape == (3, 4 + 18 + 8 + 4, 4 + 64 + 4 + 64 + 4, 3)
    assert (result[1, 22:30, 4:68] == 11).all() and (result[1, 22:30, 72:136] == 91).all()


def test_comparison_rows_name_each_column_once():
    rows = [
        {"a": clip(10, width=40), "b": clip(20, width=40)},
        {"a": clip(30, width=40), "b": clip(40, width=40)},
    ]
    result = grids.comparison_rows(rows, padding=4)
    head = 18 + 4
    assert result.shape == (3, head + 4 + 2 * (4 + 4), 4 + 2 * 44, 3)
    body = result[:, head:]
    assert (body[2, 4:8, 4:44] == 12).all() and (body[2, 12:16, 48:88] == 42).all()
    assert (result[:, :head, 4:44] < 128).any() and (result[:, :head, 48:88] < 128).any()
    with pytest.raises(ValueError, match="columns"):
        grids.comparison_rows([{"a": clip(1)}, {"b": clip(1)}])


def test_filmstrip_shows_first_and_last_and_parts_the_given():
    video = clip(0, frames=9)
    strip = grids.filmstrip(video, frames=5, padding=1)
    assert strip.shape == (6, 1 + 5 * 7, 3)
    assert [strip[2, 2 + 7 * i, 0] for i in range(5)] == [0, 2, 4, 6, 8]
    parted = grids.filmstrip(video, frames=5, given=3, padding=1)  # frames 0 and 2 are among the given
    assert parted.shape == (6, 36 + 3, 3)
    assert (parted[:, 14:18] == 255).all() and (parted[1:5, 18:24] == 4).all()
    assert grids.filmstrip(video, given=9, padding=1).shape[1] == 1 + 9 * 7  # nothing to part
    assert grids.filmstrip(video, frames=1, padding=0).shape == (4, 6, 3)


def test_stack_is_flush_left():
    result = grids.stack([clip(1)[0], clip(2, width=3)[0]], padding=2)
    assert result.shape == (10, 6, 3)
    assert (result[6:, :3] == 2).all() and (result[6:, 3:] == 255).all() and (result[4:6] == 255).all()


def test_to_uint8_rounds_and_clips():
    assert to_uint8(np.array([-1.0, 0.0, 0.5, 1.0, 7.0])).tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(np.array([0.25], ml_dtypes.bfloat16)).tolist() == [64]
    assert (to_uint8(np.arange(256, dtype=np.uint8)) == np.arange(256)).all()
    assert (to_uint8(np.arange(256) / np.float32(255)) == np.arange(256)).all()
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(np.array([np.nan]))
    with pytest.raises(ValueError, match="int64"):
        to_uint8(np.array([1]))

"""The ten tasks: given pixels and latent regions against written-out ones, and what their settings change."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import MAGVIT, MAGVIT2, boxes

from magvit_jax.errors import UserError
from magvit_jax.tokens import TASKS, LatentGrid, build_task

HALF = dict(height=0.5, width=0.5)
MOVING = dict(direction="left_to_right", padding="zero", window="analytic")
EDGE = dict(padding="edge", window="analytic")
#: The settings of thesis 6.4.2.
SETTINGS = {
    "frame_prediction": dict(frames=1, padding="last"),
    "frame_interpolation": dict(frames=1, frames_end=1, padding="linear"),
    "central_outpainting": dict(**HALF, **EDGE),
    "vertical_outpainting": dict(width=0.5, **EDGE),
    "horizontal_outpainting": dict(height=0.5, **EDGE),
    "dynamic_outpainting": dict(width=0.5, **MOVING),
    "central_inpainting": dict(**HALF, padding="zero", window="analytic"),
    "dynamic_inpainting": dict(**HALF, **MOVING),
    "class_conditional": dict(),
    "class_conditional_frame_prediction": dict(frames=1, padding="last"),
}
#: Left edges, by hand, of a window half as wide as the frame: round(64 f / 15), round(8 f / 3), 4 f and 2 f.
LEFT_16 = [0, 4, 9, 13, 17, 21, 26, 30, 34, 38, 43, 47, 51, 55, 60, 64]
LEFT_4 = [0, 3, 5, 8]
LEFT_17 = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64]
LEFT_5 = [0, 2, 4, 6, 8]
ALL, ALL_LATENT = (0, 0, 128, 128), (0, 0, 16, 16)


def still(box, times):
    return [box] * times


def strip(lefts, size):
    return [(0, left, size, left + size // 2) for left in lefts]


def rectangle(lefts, size):
    return [(size // 4, left, size * 3 // 4, left + size // 2) for left in lefts]


#: Task -> whether the boxes are what is given; boxes of 16 frames and 4 latents, of 17 frames and 5 latents.
EXPECTED = {
    "frame_prediction": (
        True,
        [ALL] + [None] * 15,
        [ALL_LATENT] + [None] * 3,
        [ALL] + [None] * 16,
        [ALL_LATENT] + [None] * 4,
    ),
    "frame_interpolation": (
        True,
        [ALL] + [None] * 14 + [ALL],
        [ALL_LATENT, None, None, ALL_LATENT],
        [ALL] + [None] * 15 + [ALL],
        [ALL_LATENT, None, None, None, ALL_LATENT],
    ),
    "central_outpainting": (
        True,
        still((32, 32, 96, 96), 16),
        still((4, 4, 12, 12), 4),
        still((32, 32, 96, 96), 17),
        still((4, 4, 12, 12), 5),
    ),
    "vertical_outpainting": (
        True,
        still((0, 32, 128, 96), 16),
        still((0, 4, 16, 12), 4),
        still((0, 32, 128, 96), 17),
        still((0, 4, 16, 12), 5),
    ),
    "horizontal_outpainting": (
        True,
        still((32, 0, 96, 128), 16),
        still((4, 0, 12, 16), 4),
        still((32, 0, 96, 128), 17),
        still((4, 0, 12, 16), 5),
    ),
    "dynamic_outpainting": (
        True,
        strip(LEFT_16, 128),
        strip(LEFT_4, 16),
        strip(LEFT_17, 128),
        strip(LEFT_5, 16),
    ),
    "central_inpainting": (
        False,
        still((32, 32, 96, 96), 16),
        still((4, 4, 12, 12), 4),
        still((32, 32, 96, 96), 17),
        still((4, 4, 12, 12), 5),
    ),
    "dynamic_inpainting": (
        False,
        rectangle(LEFT_16, 128),
        rectangle(LEFT_4, 16),
        rectangle(LEFT_17, 128),
        rectangle(LEFT_5, 16),
    ),
    "class_conditional": (True, [None] * 16, [None] * 4, [None] * 17, [None] * 5),
}
EXPECTED["class_conditional_frame_prediction"] = EXPECTED["frame_prediction"]

#: Masked pixels and tokens: of 16 frames the last two rows of Tab. 6.6, of 17 written out.
SHARES = {
    "frame_prediction": ("15/16", "3/4", "16/17", "4/5"),
    "frame_interpolation": ("14/16", "1/2", "15/17", "3/5"),
    "central_outpainting": ("3/4", "3/4", "3/4", "3/4"),
    "vertical_outpainting": ("1/2", "1/2", "1/2", "1/2"),
    "horizontal_outpainting": ("1/2", "1/2", "1/2", "1/2"),
    "dynamic_outpainting": ("1/2", "1/2", "1/2", "1/2"),
    "central_inpainting": ("1/4", "1/4", "1/4", "1/4"),
    "dynamic_inpainting": ("1/4", "1/4", "1/4", "1/4"),
    "class_conditional": ("1", "1", "1", "1"),
    "class_conditional_frame_prediction": ("15/16", "3/4", "16/17", "4/5"),
}
TAB_6_6 = {  # in percent, as printed
    "frame_prediction": (94, 75),
    "frame_interpolation": (87, 50),
    "central_outpainting": (75, 75),
    "vertical_outpainting": (50, 50),
    "horizontal_outpainting": (50, 50),
    "dynamic_outpainting": (50, 50),
    "central_inpainting": (25, 25),
    "dynamic_inpainting": (25, 25),
    "class_conditional": (100, 100),
    "class_conditional_frame_prediction": (94, 75),
}


def published(name, **changes):
    return build_task(name, dict(SETTINGS[name], **changes))


def masked_share(given):
    return Fraction(int(np.sum(~given)), given.size)


def test_the_ten_tasks_of_the_thesis_are_there():
    assert list(SETTINGS) == list(TASKS) == list(EXPECTED)
    for name in SETTINGS:
        assert published(name).name == name
    with_class = [name for name in SETTINGS if published(name).uses_class]
    assert with_class == ["class_conditional", "class_conditional_frame_prediction"]


@pytest.mark.parametrize("name", SETTINGS)
def test_given_pixels_and_latent_region_are_those_written_out(name):
    inside, pixels_16, latents_4, pixels_17, latents_5 = EXPECTED[name]
    task = published(name)
    for grid, pixels, latents in ((MAGVIT, pixels_16, latents_4), (MAGVIT2, pixels_17, latents_5)):
        given, region = task.given(grid.pixel_shape), task.region(grid)
        assert given.dtype == region.dtype == bool
        np.testing.assert_array_equal(given, boxes(grid.pixel_shape, pixels, inside))
        np.testing.assert_array_equal(region, boxes(grid.shape, latents, inside))


@pytest.mark.parametrize("name", SETTINGS)
def test_masked_shares_are_those_of_table_6_6(name):
    task = published(name)
    shares = [
        masked_share(mask)
        for grid in (MAGVIT, MAGVIT2)
        for mask in (task.given(grid.pixel_shape), task.region(grid))
    ]
    assert shares == [Fraction(share) for share in SHARES[name]]
    for found, printed in zip(shares, TAB_6_6[name], strict=False):
        assert abs(100 * found - printed) <= Fraction(1, 2)  # 93.75 is printed as 94, 87.5 as 87


@pytest.mark.parametrize("name", SETTINGS)
def test_padding_never_sees_what_has_to_be_made(name):
    task, video = published(name), jax.random.uniform(jax.random.key(0), (2, 9, 8, 8, 3))
    given = task.given((9, 8, 8))
    padded, pull = jax.vjp(jax.jit(task.pad), video)
    np.testing.assert_array_equal(padded[:, given], video[:, given])  # to the bit
    (slope,) = pull(jnp.ones_like(video))
    assert not np.any(slope[:, ~given]) and np.all(slope[:, given] >= 1)


@pytest.mark.parametrize("name", SETTINGS)
def test_frames_after_those_needed_change_nothing(name):
    task, video = published(name), jax.random.uniform(jax.random.key(0), (1, 9, 8, 8, 3))
    needed = task.frames_needed(9)
    assert needed == {
        "frame_prediction": 1,
        "class_conditional_frame_prediction": 1,
        "class_conditional": 0,
    }.get(name, 9)
    np.testing.assert_array_equal(task.pad(video), task.pad(video.at[:, needed:].set(0.5)))
    assert not task.given((9, 8, 8))[needed:].any()


def test_paddings_of_the_thesis_written_out():
    """One row of pixels a frame, or one pixel a frame, with the value that tells where it came from."""
    time = jnp.arange(1.0, 6.0).reshape(1, 5, 1, 1, 1)
    np.testing.assert_array_equal(published("frame_prediction", frames=2).pad(time).ravel(), [1, 2, 2, 2, 2])
    interpolated = published("frame_interpolation").pad(jnp.asarray([2.0, 9, 9, 9, 10]).reshape(time.shape))
    np.testing.assert_array_equal(interpolated.ravel(), [2, 4, 6, 8, 10])
    assert not np.any(published("class_conditional").pad(time))
    frame = jnp.arange(16.0).reshape(1, 1, 4, 4, 1)
    corner = [[5, 5, 6, 6], [5, 5, 6, 6], [9, 9, 10, 10], [9, 9, 10, 10]]
    np.testing.assert_array_equal(published("central_outpainting").pad(frame)[0, 0, :, :, 0], corner)
    rows = [[4, 5, 6, 7], [4, 5, 6, 7], [8, 9, 10, 11], [8, 9, 10, 11]]
    np.testing.assert_array_equal(published("horizontal_outpainting").pad(frame)[0, 0, :, :, 0], rows)
    columns = [[r * 4 + c for c in (1, 1, 2, 2)] for r in range(4)]
    np.testing.assert_array_equal(published("vertical_outpainting").pad(frame)[0, 0, :, :, 0], columns)
    hole = [[0, 1, 2, 3], [4, 0, 0, 7], [8, 0, 0, 11], [12, 13, 14, 15]]
    np.testing.assert_array_equal(published("central_inpainting").pad(frame)[0, 0, :, :, 0], hole)
    moving = published("dynamic_outpainting").pad(jnp.ones((1, 3, 1, 4, 1)))
    np.testing.assert_array_equal(moving[0, :, 0, :, 0], [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("grid", "frames", "latents"),
    [(MAGVIT, 5, 2), (MAGVIT, 4, 1), (MAGVIT2, 5, 2), (MAGVIT2, 4, 2), (MAGVIT2, 9, 3)],
)
def test_prediction_from_more_frames_covers_every_latent_that_holds_one(grid, frames, latents):
    for name in ("frame_prediction", "class_conditional_frame_prediction"):
        task = published(name, frames=frames)
        assert (task.given_frames, task.frames_needed(17)) == (frames, frames)
        assert task.region(grid).any(axis=(1, 2)).tolist() == [i < latents for i in range(grid.frames)]
        np.testing.assert_array_equal(task.region(grid), grid.holding(task.given(grid.pixel_shape)))


@pytest.mark.parametrize(
    ("grid", "start", "end", "latents"),
    [
        (MAGVIT, 1, 4, [True, False, False, True]),
        (MAGVIT, 5, 5, [True, True, True, True]),
        (MAGVIT2, 1, 4, [True, False, False, False, True]),  # frames 13 to 16 are one latent frame
        (MAGVIT2, 1, 5, [True, False, False, True, True]),
        (MAGVIT2, 5, 1, [True, True, False, False, True]),
    ],
)
def test_interpolation_from_more_frames(grid, start, end, latents):
    task = published("frame_interpolation", frames=start, frames_end=end)
    assert task.region(grid).all(axis=(1, 2)).tolist() == latents
    np.testing.assert_array_equal(task.region(grid), grid.holding(task.given(grid.pixel_shape)))
    given = task.given(grid.pixel_shape)
    assert given[:start].all() and given[-end:].all() and given.sum() == (start + end) * 128 * 128


@pytest.mark.parametrize(
    ("direction", "firsts"),
    [
        ("left_to_right", [(0, 0), (0, 1), (0, 2)]),
        ("right_to_left", [(0, 2), (0, 1), (0, 0)]),
        ("top_to_bottom", [(0, 0), (1, 0), (2, 0)]),
        ("bottom_to_top", [(2, 0), (1, 0), (0, 0)]),
    ],
)
def test_directions(direction, firsts):
    """First given pixel of each of three frames; a strip lies across its way, a rectangle in the middle of it."""
    strip = published("dynamic_outpainting", direction=direction).given((3, 4, 4))
    assert [tuple(np.argwhere(frame)[0]) for frame in strip] == firsts
    assert strip.sum() == 3 * 8
    hole = ~published("dynamic_inpainting", direction=direction).given((3, 4, 4))
    across = [max(row, 1) if "left" in direction else row for row, _ in firsts]
    along = [column if "left" in direction else 1 for _, column in firsts]
    assert [tuple(np.argwhere(frame)[0]) for frame in hole] == list(zip(across, along, strict=True))
    assert hole.sum() == 3 * 4


def test_shares_of_the_frame_are_adjustable():
    task = published("central_outpainting", height=0.25, width=0.75)
    np.testing.assert_array_equal(task.given((1, 128, 128)), boxes((1, 128, 128), [(48, 16, 80, 112)]))
    np.testing.assert_array_equal(
        task.region(dataclasses.replace(MAGVIT2, frames=1)), boxes((1, 16, 16), [(6, 2, 10, 14)])
    )
    assert (
        published("vertical_outpainting", width=0.25).given((1, 8, 8))[0, 0].tolist()
        == [False] * 3 + [True] * 2 + [False] * 3
    )


def test_moving_windows_by_supervoxel_differ_from_the_authors():
    """Of 16 frames 512 tokens are in the window of the latent grid; 640 hold a given pixel, and 192 none of a hole.

    By hand for the first four frames: left edges 0 to 13 touch columns 0 to 76, which are tokens 0 to 9.
    """
    analytic = published("dynamic_outpainting").region(MAGVIT)
    supervoxel = published("dynamic_outpainting", window="supervoxel").region(MAGVIT)
    assert (analytic.sum(), supervoxel.sum()) == (512, 640)
    assert np.flatnonzero(supervoxel[0, 0]).tolist() == list(range(10))
    assert np.flatnonzero(supervoxel[3, 0]).tolist() == list(range(6, 16))
    first = published("dynamic_outpainting", window="supervoxel").region(MAGVIT2)[0, 0]
    assert np.flatnonzero(first).tolist() == list(range(8))  # frame 0 alone has not moved
    assert (~published("dynamic_inpainting", window="supervoxel").region(MAGVIT)).sum() == 4 * 6 * 8


@pytest.mark.parametrize(
    "name", [name for name in SETTINGS if "window" in SETTINGS[name] and "dynamic" not in name]
)
def test_windows_that_stand_still_are_the_same_either_way(name):
    for grid in (MAGVIT, MAGVIT2):
        np.testing.assert_array_equal(
            published(name).region(grid), published(name, window="supervoxel").region(grid)
        )


def test_only_whole_latent_frames_of_a_causal_tokenizer_are_exact():
    leading = dataclasses.replace(MAGVIT2, causal=False)  # norm statistics of the clip
    for name in ("frame_prediction", "class_conditional_frame_prediction"):
        assert [published(name, frames=n).exact(MAGVIT2) for n in (1, 2, 4, 5, 9)] == [
            True,
            False,
            False,
            True,
            True,
        ]
        assert not any(published(name, frames=n).exact(grid) for n in (1, 4, 5) for grid in (MAGVIT, leading))
    others = [name for name in SETTINGS if "prediction" not in name and name != "class_conditional"]
    assert not any(published(name).exact(MAGVIT2) for name in others)
    assert published("class_conditional").exact(MAGVIT)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("frame_prediction", dict(frames=0), "0 given frames, expected 1 or more"),
        (
            "frame_prediction",
            dict(padding="mirror"),
            "'frame_prediction': padding 'mirror' is unknown; known are: edge",
        ),
        ("frame_interpolation", dict(frames_end=0), "0 given frames at the end"),
        ("central_outpainting", dict(height=0.0), "height is 0.0; expected a share of the frame in"),
        ("vertical_outpainting", dict(width=1.5), "width is 1.5; expected a share"),
        (
            "dynamic_outpainting",
            dict(direction="up"),
            "direction 'up'; expected one of left_to_right, right_to_left",
        ),
        (
            "dynamic_inpainting",
            dict(window="pixels"),
            "window 'pixels'; expected one of analytic, supervoxel",
        ),
    ],
)
def test_settings_out_of_range_are_named(name, changes, message):
    with pytest.raises(UserError, match=message):
        published(name, **changes)


@pytest.mark.parametrize(
    ("name", "changes", "shape", "message"),
    [
        (
            "frame_prediction",
            dict(frames=17),
            (17, 8, 8),
            "frame_prediction: 17 frames given of 17: none is left",
        ),
        ("frame_interpolation", {}, (2, 8, 8), "frame_interpolation: 2 frames given of 2: none is left"),
        ("central_outpainting", dict(height=1.0, width=1.0), (2, 8, 8), "central_outpainting: all is given"),
        (
            "central_inpainting",
            dict(height=1.0, width=1.0),
            (2, 8, 8),
            "central_inpainting: nothing is given",
        ),
        (
            "central_outpainting",
            dict(height=0.1),
            (2, 4, 4),
            "0.1 of a height of 4 cells is 0; expected at least 1",
        ),
        ("dynamic_outpainting", dict(width=0.9), (2, 4, 4), "0.9 of a width of 4 cells is 4"),
    ],
)
def test_clips_that_a_task_does_not_fit_are_named(name, changes, shape, message):
    task = published(name, **changes)
    with pytest.raises(UserError, match=message):
        task.given(shape)
    frames, height, width = shape
    grid = LatentGrid(frames, height, width, strides=(1, 1, 1), leading_frame=True, causal=True)
    with pytest.raises(UserError, match=message):
        task.region(grid)


def test_unknown_tasks_and_settings_are_named():
    with pytest.raises(UserError, match="known are: frame_prediction, frame_interpolation, central_outp"):
        build_task("teleportation")
    with pytest.raises(UserError, match=r"settings \['frame'\], expected \['frames', 'padding'\]"):
        build_task("frame_prediction", {"frame": 1})

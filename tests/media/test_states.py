"""Pictures of decoding and of what is given: every token and every given pixel is where it belongs."""

import numpy as np
import pytest

from magvit_jax.media import states
from magvit_jax.media.given import given_only
from magvit_jax.media.pixels import colour


def example(steps=3, tokens=(2, 2, 4), frames=(2, 8, 16)):
    rng = np.random.default_rng(0)
    kinds_Kthw = rng.integers(0, 4, (steps, *tokens))
    # Colours of the palette have no red of 7, so frames can be told from tokens.
    video_KTHWC = np.full((steps, *frames, 3), 7, np.uint8)
    video_KTHWC[..., 1] = np.arange(steps).reshape(-1, 1, 1, 1) * 50
    return kinds_Kthw, video_KTHWC, [f"step {k}" for k in range(steps)]


def area(picture_HWC, value):
    return int((picture_HWC == colour(value)).all(-1).sum())


def test_a_token_has_the_colour_of_its_kind_and_as_much_room_as_any_other():
    kinds_Kthw, video_KTHWC, labels = example()
    rows = states._rows(kinds_Kthw, video_KTHWC, labels)  # without the legend, which has the same colours
    for row, kinds_thw in zip(rows, kinds_Kthw, strict=True):
        for kind, value in enumerate(states.COLOURS):
            assert area(row, value) == (24 - 1) ** 2 * (kinds_thw == kind).sum()


def test_a_token_stands_where_it_is_in_the_frame():
    kinds_Kthw, video_KTHWC, labels = example(steps=1)
    kinds_Kthw[:] = states.MASK
    kinds_Kthw[0, 1, 1, 2] = states.NEW
    ys, xs = np.nonzero(
        (states._rows(kinds_Kthw, video_KTHWC, labels)[0] == colour(states.COLOURS[2])).all(-1)
    )
    first_map = states._LABEL_WIDTH + 2 * states._GAP
    assert (xs.min() - first_map, ys.min() - states._GAP) == (4 * 24 + states._GAP + 2 * 24, 24)


def test_the_still_holds_every_step_and_the_clip_one_a_frame():
    kinds_Kthw, video_KTHWC, labels = example()
    picture = states.states_picture(kinds_Kthw, video_KTHWC, labels)
    clip = states.states_clip(kinds_Kthw, video_KTHWC, labels)
    shown = 2 * 8 * 16 * 6**2  # two frames, enlarged by six
    for k in range(3):
        decoded = bytes([7, 50 * k, 7]).hex()
        assert area(picture, decoded) == shown
        assert [area(frame, decoded) for frame in clip] == [shown * (k == other) for other in range(3)]
    assert picture.dtype == clip.dtype == np.uint8


@pytest.mark.parametrize("wrong", ["labels", "kinds", "rank"])
def test_what_does_not_belong_together_is_refused(wrong):
    kinds_Kthw, video_KTHWC, labels = example()
    if wrong == "labels":
        labels = labels[:2]
    elif wrong == "kinds":
        kinds_Kthw = kinds_Kthw + 1
    else:
        kinds_Kthw = kinds_Kthw[0]
    with pytest.raises(ValueError, match="expected kinds"):
        states.states_picture(kinds_Kthw, video_KTHWC, labels)


def test_given_pixels_stay_and_the_others_are_striped():
    video = np.random.default_rng(0).integers(0, 180, (3, 16, 16, 3), dtype=np.uint8)
    given = np.zeros((3, 16, 16), bool)
    given[:, :, 4:9] = True
    given[0] = True
    shown = given_only(video, given)
    np.testing.assert_array_equal(shown[given], video[given])
    stripes = {tuple(pixel) for pixel in shown[~given].tolist()}
    assert stripes == {(241, 245, 249), (203, 213, 225)}
    np.testing.assert_array_equal(given_only(video, given[1]), given_only(video, np.stack([given[1]] * 3)))

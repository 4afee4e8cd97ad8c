"""A user's own mask: its region, its prompt, boxes."""

import numpy as np
import pytest
from grids import MAGVIT2, boxes
from test_mixture import ten

from magvit_jax.errors import UserError
from magvit_jax.tokens import user_mask

SHAPE = (17, 128, 128)


def mask(box):
    return user_mask.from_box(box, SHAPE)


def test_a_box_in_every_frame_and_in_some():
    np.testing.assert_array_equal(mask((1, 2, 30, 40)), boxes(SHAPE, [(1, 2, 30, 40)] * 17))
    some = [None] * 3 + [(0, 0, 8, 128)] * 2 + [None] * 12
    np.testing.assert_array_equal(mask((3, 0, 0, 5, 8, 128)), boxes(SHAPE, some))
    np.testing.assert_array_equal(
        user_mask.from_box((1, 2, 30, 40), SHAPE, given_inside=False), ~mask((1, 2, 30, 40))
    )


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, 2, 3), r"box \(1, 2, 3\): expected \(top, left, bottom, right\)"),
        ((0, 0, 0, 8), "and not empty"),
        ((0, 0, 129, 8), "inside the clip of 17x128x128"),
        ((-1, 0, 8, 8), "inside the clip"),
        ((0.5, 0, 8, 8), "whole pixels"),
        ((0, 0, 128, 128), "is the whole clip: expected some pixels given and some missing"),
    ],
)
def test_boxes_that_cannot_be_are_named(box, message):
    with pytest.raises(UserError, match=message):
        mask(box)


def test_the_region_is_what_holds_a_given_pixel():
    given = np.stack([mask((0, 0, 9, 8)), mask((1, 0, 0, 2, 1, 1))])
    region = user_mask.region_of(given, MAGVIT2)
    np.testing.assert_array_equal(region[0], boxes((5, 16, 16), [(0, 0, 2, 1)] * 5))
    assert np.argwhere(region[1]).tolist() == [[1, 0, 0]]
    with pytest.raises(UserError, match="expected the clip's 17x128x128"):
        user_mask.region_of(given[:, :16], MAGVIT2)


@pytest.mark.parametrize(
    ("box", "inside", "nearest"),
    [
        ((30, 30, 99, 90), True, "central_outpainting"),
        ((0, 40, 128, 100), True, "vertical_outpainting"),
        ((40, 0, 100, 128), True, "horizontal_outpainting"),
        ((30, 40, 100, 90), False, "central_inpainting"),
        ((0, 0, 0, 5, 128, 128), True, "frame_prediction"),
        ((0, 0, 0, 4, 100, 128), True, "frame_prediction"),
    ],
)
def test_the_prompt_is_that_of_the_task_whose_region_is_most_like_it(box, inside, nearest):
    region = user_mask.region_of(user_mask.from_box(box, SHAPE, inside), MAGVIT2)
    assert user_mask.nearest_task(ten(MAGVIT2), region) == nearest


def test_of_equals_the_task_without_a_class_is_taken():
    mixture = ten(MAGVIT2)
    swapped = type(mixture)(mixture.tasks[::-1], mixture.weights, mixture.grid)
    region = mixture.tasks[0].region(MAGVIT2)
    for one in (mixture, swapped):
        assert user_mask.nearest_task(one, region) == "frame_prediction"

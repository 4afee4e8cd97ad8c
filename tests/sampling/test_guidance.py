"""Guidance schedules against values worked by hand, and against MDT's own way of writing them."""

import math

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.sampling.guidance import GUIDANCE_SCHEDULES, guidance_table


@pytest.mark.parametrize(
    ("schedule", "power", "expected"),
    [
        ("constant", 1.0, [8, 8, 8, 8]),
        ("linear", 1.0, [2, 4, 6, 8]),
        # (1 - cos(pi r)) / 2 = 0.1464466, 0.5, 0.8535534, 1
        ("cosine", 1.0, [1.1715729, 4, 6.8284271, 8]),
        ("power_cosine", 1.0, [1.1715729, 4, 6.8284271, 8]),
        # r^2 = 1/16, 1/4, 9/16, 1: cosines 0.9807853, 0.7071068, -0.1950903, -1
        ("power_cosine", 2.0, [0.0768589, 1.1715729, 4.7803613, 8]),
    ],
)
def test_scales_of_four_steps_written_out(schedule, power, expected):
    table = guidance_table(8.0, 4, schedule, power)
    assert table.dtype == np.float64
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_mdt_guides_by_a_scale_of_one_more():
    """MDT: u + c (l - u), with c = 1 + (c_full - 1) w and w over the share of the diffusion that is done, power 4."""
    conditional, unconditional, full = 1.5, 0.25, 3.8
    for step, scale in enumerate(guidance_table(full - 1, 50, "power_cosine", 4.0)):
        done = 1 - (49 - step) / 50
        own = 1 + (full - 1) * (1 - math.cos(math.pi * done**4)) / 2
        ours = conditional + scale * (conditional - unconditional)
        assert ours == pytest.approx(unconditional + own * (conditional - unconditional), abs=1e-12)


@pytest.mark.parametrize("schedule", GUIDANCE_SCHEDULES)
def test_every_schedule_grows_to_the_full_scale(schedule):
    table = guidance_table(25.0, 64, schedule, 4.0)
    assert np.all(np.diff(table) >= 0) and table[0] >= 0 and table[-1] == pytest.approx(25)
    assert not guidance_table(0.0, 64, schedule, 4.0).any()


def test_a_table_is_taken_as_it_is():
    np.testing.assert_array_equal(guidance_table((0.0, 3.0, 1.0), 3), [0, 3, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 0), "0 steps: expected 1 or more"),
        ((1.0, 4, "sine"), "'sine' is unknown; expected one of constant, linear, cosine, power_cosine"),
        ((1.0, 4, "power_cosine", 0.0), "power 0.0: expected above 0"),
        ((-1.0, 4), "scale -1.0: expected 0 or more"),
        ((float("nan"), 4), "scale nan"),
        (((1.0, 2.0), 4), "one for each of 4 steps"),
        (((1.0, 2.0), 2, "linear"), "schedule 'linear': expected one scale"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        guidance_table(*arguments)

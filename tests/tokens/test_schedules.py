import math
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens import mask_ratio, remask_table

NAMES = ("uniform", "cosine", "pow2", "pow0.5", "log", "exp")


@pytest.mark.parametrize("name", NAMES)
def test_falls_from_one_to_nothing(name):
    ratio = mask_ratio(name, np.linspace(0, 1, 101), 1024)
    assert ratio[0] == pytest.approx(1, abs=1.1e-3)  # exp starts at 1 - 1/N
    assert ratio[-1] <= 1e-6
    assert np.all(np.diff(ratio) <= 0) and ratio.min() >= 1e-6


def test_values_written_out():
    assert mask_ratio("uniform", 0.25, 1024) == pytest.approx(0.75)
    assert mask_ratio("cosine", 1 / 3, 1024) == pytest.approx(math.sqrt(3) / 2)
    assert mask_ratio("pow2.5", 0.49, 1024) == pytest.approx(1 - 0.7**5)
    assert mask_ratio("log", 1 / 32, 1024) == pytest.approx(0.5)
    assert mask_ratio("exp", 0.5, 1024) == pytest.approx(1 - 1 / 32)


@pytest.mark.parametrize("name", NAMES)
def test_inside_a_step_it_equals_the_host(name):
    r = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(mask_ratio(name, jnp.float32(r), 192), mask_ratio(name, r, 192), atol=3e-6)


def test_remask_counts_of_the_thesis_setting_written_out():
    # floor(1024 cos(pi k / 24)), then at least 1; step 8 is 512 exactly, which float32 may read as 511.
    expected = [1015, 989, 946, 886, 812, 724, 623, 512, 391, 265, 133, 1]
    np.testing.assert_array_equal(remask_table("cosine", 12, 1024)[:, 1024], expected)


def test_remask_counts_of_a_linear_schedule_are_exact_for_every_length():
    for steps in (1, 3, 12, 49):
        unknown = list(range(257))
        for step, row in enumerate(remask_table("uniform", steps, 256)):
            for n in range(257):
                wanted = math.floor((1 - Fraction(step + 1, steps)) * n)
                unknown[n] = max(1, min(unknown[n] - 1, wanted)) if n else 0
            np.testing.assert_array_equal(row, unknown)


@pytest.mark.parametrize("name", NAMES)
def test_remask_counts_shrink_by_at_least_one_until_one_is_left(name):
    table = remask_table(name, 12, 192)
    before = np.concatenate([np.arange(193)[None], table[:-1]])
    assert np.all((table < before) | (before <= 1))
    assert np.all(table[:, 1:] >= 1) and not table[:, 0].any()


def test_unknown_schedules_and_no_steps_are_refused():
    for name in ("linear", "pow", "powx", "pow-1", ""):
        with pytest.raises(UserError, match="uniform, cosine"):
            mask_ratio(name, 0.5, 16)
    with pytest.raises(UserError, match="0 steps"):
        remask_table("cosine", 0, 16)

import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import binomial_p_value


def test_p_values_written_out():
    assert binomial_p_value(2, 2, 0.5) == pytest.approx(0.25)
    assert binomial_p_value(1, 2, 0.5) == pytest.approx(0.75)
    assert binomial_p_value(0, 10, 0.1) == pytest.approx(1.0)
    assert binomial_p_value(3, 3, 0.1) == pytest.approx(1e-3)


def test_threshold_of_two_hundred_clips_at_chance_one_in_ten():
    assert binomial_p_value(31, 200, 0.1) < 0.01 < binomial_p_value(30, 200, 0.1)


def test_impossible_counts_are_refused():
    with pytest.raises(UserError, match="5 correct of 4"):
        binomial_p_value(5, 4, 0.1)

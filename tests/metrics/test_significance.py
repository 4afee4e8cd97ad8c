"""Exact tests against written-out values and scipy, and the rule of `compare`."""

import numpy as np
import pytest
from scipy import stats

from magvit_jax.errors import UserError
from magvit_jax.metrics import binomial_p_value, compare, sign_flip_p_value


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


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([1, 2, 3, 4, 5], 2 / 32),  # all of one sign: only the measured flip and its mirror reach 15
        ([-1, 2, 3, 4, 5], 4 / 32),  # 13: reached by 15 too, and both mirrors
        ([1, 1, 1, 1, -1], 12 / 32),  # |sum| of 3 or more: at most one sign against the others
        ([1, -1], 1.0),
        ([0, 0, 0], 1.0),
        ([0, 1, 1], 4 / 8),  # a difference of 0 cannot flip, so the least p of three pairs doubles
        ([0.1, 0.2, -0.3], 1.0),  # a sum of 0 but for rounding
    ],
)
def test_sign_flips_written_out(differences, p_value):
    assert sign_flip_p_value(differences, np.zeros(len(differences))) == pytest.approx(p_value)
    assert sign_flip_p_value(np.zeros(len(differences)), differences) == pytest.approx(p_value)


@pytest.mark.parametrize("seed", range(4))
def test_the_exact_test_is_scipys(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0.4, 1.0, 8), rng.normal(size=8)
    scipys = stats.permutation_test(
        (a, b),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    )
    assert sign_flip_p_value(a, b) == pytest.approx(scipys.pvalue)


def test_many_pairs_are_sampled_near_the_exact_value():
    rng = np.random.default_rng(9)
    a, b = rng.normal(0.35, 1.0, 17), np.zeros(17)
    flips = 1.0 - 2.0 * (np.arange(2**17)[:, None] >> np.arange(17) & 1)
    exact = np.mean(np.abs(flips @ a) >= abs(a.sum()) - 1e-12)
    assert 0.02 < exact < 0.8
    assert sign_flip_p_value(a, b, resamples=20_000) == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert sign_flip_p_value(a, b, resamples=500, seed=1) == sign_flip_p_value(a, b, resamples=500, seed=1)


def test_a_sampled_p_value_is_never_zero():
    assert sign_flip_p_value(np.ones(60), np.zeros(60), resamples=999) == pytest.approx(1 / 1000)


FIVE = np.array([0.5, 0.1, 0.3, 0.4, 0.2])


@pytest.mark.parametrize(
    ("difference", "better", "verdict"),
    [
        (FIVE, "higher", "a better"),
        (-FIVE, "higher", "b better"),
        (FIVE, "lower", "b better"),
        (-FIVE, "lower", "a better"),
        (FIVE * [1, -1, 1, 1, 1], "higher", "undecided"),  # one of five against: p is 1/8 at best
        (FIVE[:4], "higher", "undecided"),  # four pairs never decide
        (np.zeros(5), "higher", "undecided"),
        (np.append(FIVE[:4], 0.0), "higher", "undecided"),  # a tie leaves four
    ],
)
def test_the_rule(difference, better, verdict):
    base = np.random.default_rng(0).normal(scale=10.0, size=len(difference))
    found = compare(base + difference, base, better=better)
    assert found.verdict == verdict
    assert found.pairs == len(difference)
    assert found.difference.estimate == pytest.approx(difference.mean())
    assert found.difference.confidence == pytest.approx(1 - 1 / 16)


def test_five_pairs_reach_one_in_sixteen_and_a_stricter_level_never_decides_them():
    assert compare(FIVE, np.zeros(5)).p_value == 1 / 16
    assert compare(FIVE, np.zeros(5), level=0.05).verdict == "undecided"
    assert compare(np.append(FIVE, 0.3), np.zeros(6), level=0.05).verdict == "a better"


def test_chance_decides_as_often_as_the_level_says():
    rng = np.random.default_rng(3)
    verdicts = [compare(*rng.normal(size=(2, 5))).verdict for _ in range(200)]
    assert 3 <= 200 - verdicts.count("undecided") <= 25  # 12.5 expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare(FIVE, FIVE, better="more"), "better is 'more'"),
        (lambda: compare(FIVE, FIVE[:4]), r"pairs of shapes \[5\] and \[4\]"),
        (lambda: compare(FIVE, FIVE, level=0.0), "confidence 1.0"),
        (lambda: sign_flip_p_value([1.0], [2.0]), "N at least 2"),
        (lambda: sign_flip_p_value([1.0, np.inf], [2.0, 3.0]), "pair 1 is inf and 3.0"),
        (lambda: sign_flip_p_value(np.ones(20), np.zeros(20), resamples=0), "0 resamples"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()

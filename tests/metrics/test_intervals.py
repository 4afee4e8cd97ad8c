"""Bootstrap intervals against scipy's, against normal theory, and where they degenerate."""

import numpy as np
import pytest
from scipy import stats

from magvit_jax.errors import UserError
from magvit_jax.metrics import (
    Interval,
    bootstrap,
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_mean_difference,
    frechet_distance,
)


def skewed_pairs(count=30):
    rng = np.random.default_rng(0)
    b = rng.normal(size=count)
    return b + rng.exponential(size=count) ** 2, b


def test_the_interval_of_a_mean_difference_is_scipys_bca():
    a, b = skewed_pairs()
    found = bootstrap_mean_difference(a, b, confidence=0.9, resamples=20_000)
    scipys = stats.bootstrap(
        (a - b,),
        np.mean,
        confidence_level=0.9,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.estimate == pytest.approx((a - b).mean()) and found.confidence == 0.9
    width = found.high - found.low
    assert found.low == pytest.approx(scipys.low, abs=0.03 * width)
    assert found.high == pytest.approx(scipys.high, abs=0.03 * width)
    # The skewness shows: the end on the long side is further away, by more than the draws can do.
    assert found.high - found.estimate > 1.2 * (found.estimate - found.low)


def test_pairs_matter_and_not_the_spread_they_share():
    b = np.random.default_rng(2).normal(scale=100.0, size=20)
    a = b + np.linspace(0.9, 1.1, 20)
    found = bootstrap_mean_difference(a, b)
    assert 0.9 < found.low < 1.0 < found.high < 1.1


def test_of_five_pairs_it_stays_within_the_differences():
    found = bootstrap_mean_difference([1.0, 2.0, 3.0, 4.0, 9.0], np.zeros(5))
    assert found.estimate == pytest.approx(3.8)
    assert 1.0 <= found.low < 3.8 < found.high <= 9.0


def test_differences_that_are_all_the_same_have_an_interval_of_no_width():
    found = bootstrap_mean_difference([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert (found.estimate, found.low, found.high) == (2.0, 2.0, 2.0)


def test_the_seed_decides():
    a, b = skewed_pairs()
    same = [bootstrap_mean_difference(a, b, seed=seed, resamples=500) for seed in (0, 0, 1)]
    assert same[0] == same[1] != same[2]


def test_the_percentile_interval_is_scipys():
    x = np.random.default_rng(3).normal(size=200)
    found = bootstrap(np.median, x, resamples=4000)
    scipys = stats.bootstrap(
        (x,), np.median, n_resamples=4000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    width = found.high - found.low
    assert found.low == pytest.approx(scipys.low, abs=0.08 * width)
    assert found.high == pytest.approx(scipys.high, abs=0.08 * width)


def test_the_mean_of_two_sets_has_the_width_of_normal_theory():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=400), rng.normal(scale=2.0, size=100)
    found = bootstrap(lambda x, y: x.mean() - y.mean(), x, y, resamples=2000)
    expected = 2 * 1.96 * np.sqrt(x.var() / 400 + y.var() / 100)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_pairs_are_drawn_together():
    x = np.random.default_rng(6).normal(size=50)
    difference = lambda x, y: (x - y).mean()  # noqa: E731
    together = bootstrap(difference, x, x - 1.0, paired=True, resamples=50)
    apart = bootstrap(lambda x, y: x.mean() - y.mean(), x, x - 1.0, resamples=50)
    assert together.low == pytest.approx(1.0) == pytest.approx(together.high)
    assert apart.high - apart.low > 0.3


def test_a_frechet_distance_needs_the_centred_interval():
    """Resampling repeats samples, so the distance of every resampling is larger than the measured one."""
    a, b = np.random.default_rng(7).normal(size=(2, 60, 8))
    percentile = bootstrap(frechet_distance, a, b, resamples=200)
    centred = bootstrap(frechet_distance, a, b, method="centred", resamples=200)
    assert percentile.low > percentile.estimate == centred.estimate
    assert centred.contains(centred.estimate)
    assert centred.high - centred.low == pytest.approx(percentile.high - percentile.low)


def test_the_centred_interval_covers_what_another_measurement_gives():
    """Its width is that of the distance over fresh sets of the same size, within a factor."""
    rng = np.random.default_rng(8)
    draw = lambda: (rng.normal(size=(100, 4)), 1.0 + rng.normal(size=(100, 4)))  # noqa: E731
    spread = np.std([frechet_distance(*draw()) for _ in range(100)])
    found = bootstrap(frechet_distance, *draw(), method="centred", resamples=200)
    assert 0.6 < (found.high - found.low) / (2 * 1.96 * spread) < 1.6


def test_ends_are_in_the_interval():
    interval = Interval(1.0, 0.0, 2.0, 0.95)
    assert interval.contains(0.0) and interval.contains(2.0) and not interval.contains(2.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean_difference([1.0, 2.0], [1.0]), r"pairs of shapes \[2\] and \[1\]"),
        (lambda: bootstrap_mean_difference([1.0], [1.0]), r"N at least 2"),
        (lambda: bootstrap_mean_difference([1.0, np.nan], [1.0, 2.0]), "pair 1 is nan and 2.0"),
        (lambda: bootstrap_mean_difference([1.0, 2.0], [1.0, 3.0], confidence=95), "confidence 95"),
        (lambda: bootstrap(np.mean, [1.0, 2.0], resamples=0), "0 resamples"),
        (lambda: bootstrap(np.mean, [1.0]), r"bootstrap of \[1\] samples"),
        (lambda: bootstrap(np.mean, [1.0, 2.0], method="bca"), "method 'bca' of a bootstrap"),
        (lambda: bootstrap(max, np.ones(3), np.ones(4), paired=True), r"sets of \[3, 4\] samples"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_the_mean_of_values_is_scipys_bca():
    values = np.random.default_rng(8).exponential(size=40)
    found = bootstrap_mean(values, resamples=20_000)
    scipys = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(9)
    ).confidence_interval
    width = found.high - found.low
    assert found.low == pytest.approx(scipys.low, abs=0.03 * width)
    assert found.high == pytest.approx(scipys.high, abs=0.03 * width)
    with pytest.raises(UserError, match="expected 2 or more finite numbers"):
        bootstrap_mean([1.0, np.inf])


def test_counts_are_another_way_to_draw():
    values = np.random.default_rng(10).normal(size=80) ** 2
    mean = lambda times: times @ values / times.sum()  # noqa: E731
    counted = bootstrap_counts(mean, 80, method="percentile", resamples=4000)
    drawn = bootstrap(np.mean, values, resamples=4000)
    width = drawn.high - drawn.low
    assert counted.estimate == pytest.approx(drawn.estimate)
    assert counted.low == pytest.approx(drawn.low, abs=0.08 * width)
    assert counted.high == pytest.approx(drawn.high, abs=0.08 * width)


def test_counts_of_a_statistic_that_every_draw_lowers_are_centred():
    """A draw never shows more distinct values than there are."""
    distinct = lambda times: (times > 0).mean()  # noqa: E731
    percentile, centred = (bootstrap_counts(distinct, 50, method=m) for m in ("percentile", "centred"))
    assert not percentile.contains(1.0) and centred.contains(1.0)
    with pytest.raises(UserError, match="bootstrap of 1 samples"):
        bootstrap_counts(distinct, 1)

"""Statistics of features in any order and batching, and through files."""

from fractions import Fraction

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import FeatureStatistics, PredictionStatistics
from magvit_jax.metrics.sums import add, two_sum

LIMIT = 1e-10


def samples(count=257, width=5, shift=1e4):
    """Features whose mean is large beside some of their spreads."""
    rng = np.random.default_rng(0)
    return shift + rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) * np.geomspace(1, 1e-3, width)


def split(array, rng):
    """In a random order, cut at random places into up to 40 batches."""
    cuts = np.sort(rng.integers(1, len(array), size=rng.integers(1, 40)))
    return [part for part in np.split(array[rng.permutation(len(array))], cuts) if len(part)]


def merged_as_a_tree(parts, rng):
    """Pairs at random until one is left."""
    parts = list(parts)
    while len(parts) > 1:
        a, b = (parts.pop(rng.integers(len(parts))) for _ in range(2))
        parts.append(a.merge(b))
    return parts[0]


def exact_covariance(features):
    """Of one pair of columns in rational numbers."""
    columns = [[Fraction(float(x)) for x in features[:, k]] for k in (0, features.shape[1] - 1)]
    means = [sum(column) / len(column) for column in columns]
    total = sum((x - means[0]) * (y - means[1]) for x, y in zip(*columns, strict=True))
    return float(total / (len(features) - 1)), [float(mean) for mean in means]


@pytest.mark.parametrize("shift", [0.0, 1e4, 1e7])
def test_any_order_and_batching_is_one_pass(shift):
    whole = samples(shift=shift)
    one = FeatureStatistics.of(whole)
    scale = np.sqrt(np.outer(*[np.diag(one.covariance_FF)] * 2))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = merged_as_a_tree([FeatureStatistics.of(part) for part in split(whole, rng)], rng)
        assert found.count == len(whole)
        np.testing.assert_allclose(found.mean_F, one.mean_F, rtol=1e-15, atol=LIMIT)
        assert (np.abs(found.covariance_FF - one.covariance_FF) / scale).max() < LIMIT


def test_one_by_one_is_exact_beside_rational_numbers():
    whole = samples(shift=1e7)
    statistics = FeatureStatistics.empty(5)
    for row in whole:
        statistics = statistics.update(row[None])
    covariance, means = exact_covariance(whole)
    spread = np.sqrt(statistics.covariance_FF[0, 0] * statistics.covariance_FF[-1, -1])
    assert abs(statistics.covariance_FF[0, -1] - covariance) < LIMIT * spread
    np.testing.assert_array_equal(statistics.mean_F[[0, -1]], means)


def test_a_sum_keeps_what_rounding_takes():
    high, low = two_sum(np.float64(1e16), np.float64(1.0))
    assert (high, low) == (1e16, 1.0)
    high, low = np.zeros(()), np.zeros(())
    for term in (1e16, 1.0, 1.0, -1e16):
        high, low = add(high, low, np.float64(term))
    assert high + low == 2.0


def test_through_arrays_and_back():
    statistics = FeatureStatistics.of(samples())
    back = FeatureStatistics.from_arrays(statistics.to_arrays())
    assert back.count == statistics.count and isinstance(back.count, int)
    np.testing.assert_array_equal(back.scatter_FF, statistics.scatter_FF)
    np.testing.assert_array_equal(back.update(samples(3)).mean_F, statistics.update(samples(3)).mean_F)


def test_predictions_in_any_order_and_batching():
    p = np.random.default_rng(1).dirichlet(np.full(7, 0.1), size=300)
    one = PredictionStatistics.empty(7).update(p)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        parts = [PredictionStatistics.empty(7).update(part) for part in split(p, rng)]
        assert merged_as_a_tree(parts, rng).score == pytest.approx(one.score, rel=1e-13)
    back = PredictionStatistics.from_arrays(one.to_arrays())
    assert back.score == one.score


def test_other_widths_are_not_merged():
    with pytest.raises(UserError, match="features of 5 and 4 numbers"):
        FeatureStatistics.of(samples()).merge(FeatureStatistics.empty(4))
    with pytest.raises(UserError, match="features of 7 and 8 numbers"):
        PredictionStatistics.empty(7).merge(PredictionStatistics.empty(8))
    with pytest.raises(UserError, match="inception score of no samples"):
        _ = PredictionStatistics.empty(7).score

"""The Frechet distance against scipy's matrix root, closed forms and bad input."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

import magvit_jax
from magvit_jax.errors import UserError
from magvit_jax.metrics import (
    FeatureStatistics,
    frechet_distance,
    frechet_distance_of_moments,
    frechet_distance_of_statistics,
)


def features(count, width, seed, scale=1.0, shift=0.0):
    """Correlated features of uneven spread."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width)) * np.geomspace(1.0, 0.05, width)
    return shift + scale * rng.normal(size=(count, width)) @ mix


def by_sqrtm(a_NF, b_NF):
    """The usual form: the root of A B itself, its imaginary part dropped."""
    covariances = [np.cov(x, rowvar=False) for x in (a_NF, b_NF)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    step = a_NF.mean(0) - b_NF.mean(0)
    return step @ step + np.trace(covariances[0] + covariances[1] - 2 * np.real(root))


@pytest.mark.parametrize(("counts", "width"), [((200, 300), 16), ((1000, 90), 64), ((50, 50), 3)])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_it_is_scipys_sqrtm_form(counts, width, shift):
    a, b = features(counts[0], width, 0), features(counts[1], width, 1, scale=1.3, shift=shift)
    assert frechet_distance(a, b) == pytest.approx(by_sqrtm(a, b), rel=1e-6)


def symmetric_sqrtm_form(covariance_a, covariance_b):
    """scipy's root of A^(1/2) B A^(1/2), whose trace is that of (A B)^(1/2) and which exists for singular ones too."""
    root = np.real(linalg.sqrtm(covariance_a))
    product = root @ covariance_b @ root
    return np.trace(covariance_a + covariance_b - 2 * np.real(linalg.sqrtm((product + product.T) / 2)))


@pytest.mark.filterwarnings("ignore:Matrix is (singular|ill-conditioned)")  # scipy's; its symmetric root is right
@pytest.mark.parametrize(
    ("counts", "width", "dead"), [((20, 30), 48, 0), ((400, 20), 48, 0), ((300, 300), 40, 13), ((300, 300), 40, 39)]
)
def test_rank_deficient_it_is_scipys_sqrtm_form(counts, width, dead):
    """Fewer samples than features, and features that never fire."""
    a, b = features(counts[0], width, 2), features(counts[1], width, 3, scale=1.2, shift=0.1)
    if dead:
        a[:, -dead:] = b[:, -dead:] = 0.25
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    assert max(np.linalg.matrix_rank(c) for c in covariances[1:]) < width
    expected = np.square(a.mean(0) - b.mean(0)).sum() + symmetric_sqrtm_form(*covariances)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dead", [1, 13])
def test_with_dead_features_it_is_scipys_root_of_the_product(dead):
    a, b = features(300, 40, 2), features(300, 40, 3, scale=1.2)
    a[:, -dead:] = b[:, -dead:] = 0.25
    assert frechet_distance(a, b) == pytest.approx(by_sqrtm(a[:, :-dead], b[:, :-dead]), rel=1e-6)


def test_it_is_the_public_function():
    assert magvit_jax.metrics.frechet_distance is frechet_distance


def test_one_dimension_by_hand():
    a, b = np.array([[1.0], [3.0]]), np.array([[2.0], [6.0], [10.0]])
    # means 2 and 6, variances 2 and 16: 4^2 + (sqrt 16 - sqrt 2)^2
    assert frechet_distance(a, b) == pytest.approx(16 + (4 - np.sqrt(2)) ** 2, rel=1e-12)


def test_covariances_that_commute_by_hand():
    a, b = np.diag([4.0, 9.0, 0.0]), np.diag([1.0, 0.0, 25.0])
    rotation = linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    a, b = rotation @ a @ rotation.T, rotation @ b @ rotation.T
    # (2 - 1)^2 + (3 - 0)^2 + (0 - 5)^2, and the means' distance 1 + 4
    found = frechet_distance_of_moments(np.array([1.0, 0.0, 0.0]), a, np.array([0.0, 2.0, 0.0]), b)
    assert found == pytest.approx(35 + 5, rel=1e-9)


def test_covariances_of_rank_one_by_hand():
    """tr (u u^T v v^T)^(1/2) = |u . v|; scipy's root of this product does not exist or is complex."""
    u, v = np.array([3.0, 4.0, 0.0, 0.0]), np.array([1.0, -2.0, 2.0, 0.0])
    zero = np.zeros(4)
    found = frechet_distance_of_moments(zero, np.outer(u, u), zero, np.outer(v, v))
    assert found == pytest.approx(25 + 9 - 2 * 5, rel=1e-9)


@pytest.mark.parametrize(("counts", "width"), [((5, 7), 64), ((5, 300), 64), ((2, 2), 10)])
def test_fewer_samples_than_features(counts, width):
    """tr (A B)^(1/2) is the nuclear norm of X_a X_b^T, X centred, over the root of (N_a - 1)(N_b - 1)."""
    a, b = features(counts[0], width, 2), features(counts[1], width, 3, shift=0.1)
    centred = [x - x.mean(0) for x in (a, b)]
    overlap = np.linalg.norm(centred[0] @ centred[1].T, "nuc") / np.sqrt((counts[0] - 1) * (counts[1] - 1))
    variances = sum(np.square(x).sum() / (len(x) - 1) for x in centred)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + variances - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_of_a_set_and_itself_it_is_zero():
    a = features(40, 64, 4, scale=100.0, shift=1000.0)
    variance = a.var(0, ddof=1).sum()
    assert 0.0 <= frechet_distance(a, a) < 1e-9 * variance
    assert 0.0 <= frechet_distance(a, a[::-1]) < 1e-9 * variance
    assert frechet_distance(np.ones((3, 2)), np.ones((5, 2))) == 0.0


def test_it_is_symmetric_and_a_shift_adds_its_square():
    a, b = features(60, 8, 5), features(80, 8, 6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a, a + 0.5) == pytest.approx(8 * 0.25, rel=1e-9)


def test_tiny_negative_eigenvalues_are_rounding():
    rotation = linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    almost = rotation @ np.diag([1.0, 1e-3, -1e-12]) @ rotation.T
    exact = rotation @ np.diag([1.0, 1e-3, 0.0]) @ rotation.T
    zero, other = np.zeros(3), np.diag([2.0, 1.0, 3.0])
    found = frechet_distance_of_moments(zero, almost, zero, other)
    assert np.isreal(found)
    assert found == pytest.approx(frechet_distance_of_moments(zero, exact, zero, other), rel=1e-6)


@pytest.mark.parametrize("sizes", [(1, 1, 98), (10, 90), (100,), (33, 33, 34)])
def test_batches_give_the_moments_of_the_whole(sizes):
    whole = features(100, 6, 7)
    statistics = FeatureStatistics.empty(6)
    for batch in np.split(whole, np.cumsum(sizes)[:-1]):
        statistics = statistics.update(batch)
    assert statistics.count == 100
    np.testing.assert_allclose(statistics.mean_F, whole.mean(0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(statistics.covariance_FF, np.cov(whole, rowvar=False), rtol=1e-11, atol=1e-13)
    other = FeatureStatistics.of(features(50, 6, 8))
    expected = frechet_distance(whole, features(50, 6, 8))
    assert frechet_distance_of_statistics(statistics, other) == pytest.approx(expected, rel=1e-9)


def test_merging_in_any_order_is_the_same():
    parts = [FeatureStatistics.of(features(n, 4, n)) for n in (3, 20, 50)]
    left = parts[0].merge(parts[1]).merge(parts[2])
    right = parts[2].merge(FeatureStatistics.empty(4)).merge(parts[1].merge(parts[0]))
    np.testing.assert_allclose(left.covariance_FF, right.covariance_FF, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(left.mean_F, right.mean_F, rtol=1e-12)


def test_a_large_mean_does_not_swallow_the_spread():
    """Sums of squares would: 1e8 squared leaves no digit of a variance of 1 in float64."""
    small = features(400, 3, 9)
    statistics = FeatureStatistics.empty(3)
    for batch in np.split(small + 1e8, 8):
        statistics = statistics.update(batch)
    np.testing.assert_allclose(statistics.covariance_FF, np.cov(small, rowvar=False), rtol=1e-5, atol=1e-6)


def test_float32_and_jax_arrays_are_computed_in_float64():
    a, b = features(30, 5, 10).astype(np.float32), features(30, 5, 11).astype(np.float32)
    expected = frechet_distance(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(jnp.asarray(a), jnp.asarray(b)) == expected


GOOD = np.eye(3)
BAD = np.array([[0.0, 1.0, 2.0], [0.0, np.nan, 2.0]])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (BAD, GOOD, r"features_a: nan at \[1, 1\]; expected finite numbers"),
        (GOOD, np.full((3, 3), np.inf), r"features_b: inf at \[0, 0\]"),
        (GOOD[:1], GOOD, "features_a: 1 sample; expected 2 or more"),
        (GOOD, GOOD[:1], "features_b: 1 sample; expected 2 or more"),
        (GOOD, np.eye(4), "features of 3 and 4 numbers a sample"),
        (GOOD[0], GOOD, r"features_a of shape \[3\]: expected \[N, F\]"),
        (GOOD[:0], GOOD, r"features_a of shape \[0, 3\]"),
        (GOOD * 1j, GOOD, "features_a of type complex128: expected real numbers"),
    ],
)
def test_bad_features_are_named(a, b, message):
    with pytest.raises(UserError, match=message):
        frechet_distance(a, b)


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (np.zeros(3), np.eye(2), r"mean_a of shape \[3\], covariance_a of \[2, 2\]"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "covariance_a: not symmetric"),
        (np.zeros(2), np.diag([1.0, -0.1]), "covariance_a: an eigenvalue of -0.1"),
        (np.zeros(2), np.diag([1.0, np.nan]), r"covariance_a: nan at \[1, 1\]"),
    ],
)
def test_bad_moments_are_named(mean, covariance, message):
    with pytest.raises(UserError, match=message):
        frechet_distance_of_moments(mean, covariance, np.zeros(2), np.eye(2))


def test_statistics_of_too_few_or_of_others_are_refused():
    one = FeatureStatistics.of(GOOD[:1])
    with pytest.raises(UserError, match="features: 1 sample; expected 2 or more"):
        frechet_distance_of_statistics(one, FeatureStatistics.of(GOOD))
    with pytest.raises(UserError, match="features: no samples"):
        _ = FeatureStatistics.empty(3).covariance_FF
    with pytest.raises(UserError, match="features of 3 and 4 numbers"):
        one.merge(FeatureStatistics.of(np.eye(4)))

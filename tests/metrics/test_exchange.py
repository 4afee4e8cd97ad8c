"""Two systems by a metric of a whole set: exact permutations, calibration, and verdicts."""

import itertools

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import compare_sets, exchange_p_value, frechet_distance, sign_flip_p_value


def test_of_pairs_it_is_the_sign_flip_test_where_the_metric_is_a_mean():
    rng = np.random.default_rng(0)
    a = rng.normal(size=12)
    b = a + rng.normal(0.5, 0.8, size=12)
    exact = sign_flip_p_value(a, b)
    assert 0.01 < exact < 0.5
    assert exchange_p_value(np.mean, a, b, paired=True, resamples=4000) == pytest.approx(exact, abs=0.02)


def test_of_unpaired_sets_it_is_the_share_of_all_divisions():
    a, b = np.float64([0.1, 0.9, 2.0, 1.1]), np.float64([1.0, 2.5, 3.0])
    both = np.concatenate([a, b])
    measured = abs(a.mean() - b.mean())
    reached = []
    for chosen in itertools.combinations(range(7), 4):
        rest = [k for k in range(7) if k not in chosen]
        reached.append(abs(both[list(chosen)].mean() - both[rest].mean()) >= measured - 1e-12)
    found = exchange_p_value(np.mean, a, b, paired=False, resamples=4000)
    assert found == pytest.approx(np.mean(reached), abs=0.02)


def test_systems_that_are_alike_are_seldom_told_apart():
    rng = np.random.default_rng(1)
    p = [
        exchange_p_value(np.median, *rng.normal(size=(2, 15)), paired=True, resamples=99, seed=k) for k in range(150)
    ]
    assert 0.01 < np.mean(np.asarray(p) <= 0.1) < 0.2


def frechet_to(real):
    return lambda made: frechet_distance(real, made)


def test_the_nearer_of_two_systems_is_better_by_its_frechet_distance():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(80, 3))
    near, far = real + 0.2 * rng.normal(size=real.shape), real + 0.2 * rng.normal(size=real.shape) + 0.8
    found = compare_sets(frechet_to(real), near, far, paired=True, better="lower", resamples=99)
    assert (found.verdict, found.pairs) == ("a better", 80)
    assert found.p_value == pytest.approx(0.01) and found.difference.high < 0
    turned = compare_sets(frechet_to(real), far, near, paired=True, better="lower", resamples=99)
    assert turned.verdict == "b better"


def test_the_same_system_twice_is_undecided():
    rng = np.random.default_rng(3)
    real = rng.normal(size=(60, 3))
    a, b = (rng.normal(size=(60, 3)) for _ in range(2))
    assert compare_sets(frechet_to(real), a, b, paired=False, better="lower", resamples=99).verdict == "undecided"
    assert exchange_p_value(np.mean, a[:, 0], a[:, 0], paired=True, resamples=99) == 1.0


def test_mistakes_are_named():
    ones = np.ones((3, 2))
    with pytest.raises(UserError, match=r"pairs of shapes \[3, 2\] and \[2, 2\]"):
        exchange_p_value(np.mean, ones, ones[:2], paired=True)
    with pytest.raises(UserError, match=r"sets of shapes \[3, 2\] and \[3, 1\]"):
        exchange_p_value(np.mean, ones, ones[:, :1], paired=False)
    with pytest.raises(UserError, match="0 resamples"):
        exchange_p_value(np.mean, ones, ones, paired=False, resamples=0)
    with pytest.raises(UserError, match="better is 'less'"):
        compare_sets(np.mean, ones, ones, paired=False, better="less")

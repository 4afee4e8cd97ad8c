"""The quick bootstrap of the Frechet distance against the plain one, and draws of pairs and of recordings."""

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import bootstrap_frechet, frechet_distance
from magvit_jax.metrics import frechet_bootstrap as module
from magvit_jax.metrics.intervals import draws


def sets(counts=(30, 40), width=6, shift=0.4):
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(width, width))
    return rng.normal(size=(counts[0], width)) @ mix, shift + rng.normal(size=(counts[1], width)) @ mix


@pytest.mark.parametrize("way", [module._by_products, module._by_covariances])
def test_a_weighted_distance_is_that_of_repeated_samples(way):
    a, b = sets(width=6)
    distance = way(a, b)
    assert distance(np.ones(30), np.ones(40)) == pytest.approx(frechet_distance(a, b), rel=1e-7)
    times_a, times_b = (next(draws(n, 1, seed))[0] for n, seed in ((30, 1), (40, 2)))
    repeated = frechet_distance(np.repeat(a, times_a, axis=0), np.repeat(b, times_b, axis=0))
    assert distance(times_a, times_b) == pytest.approx(repeated, rel=1e-7)


def test_fewer_samples_than_features_are_exact_too():
    a, b = sets((8, 11), width=40)
    times_a, times_b = (next(draws(n, 1, seed))[0] for n, seed in ((8, 1), (11, 2)))
    repeated = frechet_distance(np.repeat(a, times_a, axis=0), np.repeat(b, times_b, axis=0))
    assert module._by_products(a, b)(times_a, times_b) == pytest.approx(repeated, rel=1e-9)


def test_the_interval_holds_the_estimate_and_narrows_with_more_samples():
    few, many = (bootstrap_frechet(a, [b], paired=False) for a, b in (sets((40, 40)), sets((640, 640))))
    for interval, (a, b) in ((few, sets((40, 40))), (many, sets((640, 640)))):
        assert interval.estimate == pytest.approx(frechet_distance(a, b), rel=1e-6)
        assert interval.low < interval.estimate < interval.high
    assert (few.high - few.low) > 2 * (many.high - many.low)


def test_pairs_share_their_spread():
    a, _ = sets((60, 60))
    near = a + 0.01 * np.random.default_rng(1).normal(size=a.shape) + 0.5
    apart, together = (bootstrap_frechet(a, [near], paired=paired) for paired in (False, True))
    assert together.high - together.low < 0.2 * (apart.high - apart.low)


def test_samples_of_one_recording_are_drawn_together():
    a, b = sets((30, 30))
    owners = np.repeat(np.arange(30), 4)
    alone = bootstrap_frechet(a, [b], paired=False, resamples=300)
    copies = [np.repeat(x, 4, axis=0) for x in (a, b)]
    together = bootstrap_frechet(copies[0], copies[1:], paired=False, owners=[owners] * 2, resamples=300)
    blind = bootstrap_frechet(copies[0], copies[1:], paired=False, resamples=300)
    # Four copies of a sample say no more than it does.
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)
    assert blind.high - blind.low < 0.85 * (alone.high - alone.low)


def test_folds_are_averaged():
    a, b = sets((30, 40))
    c = b + 1.0
    both = bootstrap_frechet(a, [b, c], paired=False, resamples=20)
    assert both.estimate == pytest.approx((frechet_distance(a, b) + frechet_distance(a, c)) / 2, rel=1e-6)


def test_mistakes_are_named():
    a, b = sets()
    with pytest.raises(UserError, match="features of 6 and 5 numbers"):
        bootstrap_frechet(a, [b[:, :5]], paired=False)
    with pytest.raises(UserError, match=r"bootstrap of \[30, 40\] samples"):
        bootstrap_frechet(a, [b], paired=True)
    with pytest.raises(UserError, match=r"bootstrap of \[1, 40\] samples"):
        bootstrap_frechet(a[:1], [b], paired=False)

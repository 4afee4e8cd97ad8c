"""The Inception Score against its definition and by hand."""

import numpy as np
import pytest
from scipy import special, stats

from magvit_jax.errors import UserError
from magvit_jax.metrics import inception_score, inception_score_of_splits, softmax


def predictions(count=60, classes=9, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), size=count)


def test_it_is_exp_of_the_mean_divergence_from_the_mean():
    p = predictions()
    divergences = [stats.entropy(row, p.mean(0)) for row in p]
    assert inception_score(p) == pytest.approx(np.exp(np.mean(divergences)), rel=1e-12)


def test_by_hand():
    assert inception_score(np.eye(6)) == pytest.approx(6.0)  # sure of each of six classes
    assert inception_score(np.full((5, 4), 0.25)) == pytest.approx(1.0)  # never sure
    # two of three classes, sure: the entropy of (2/3, 1/3)
    expected = np.exp(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    assert inception_score(np.eye(3)[[0, 0, 1]]) == pytest.approx(expected)


def test_splits_are_runs_of_neighbours():
    p = np.concatenate([np.eye(4)[[0, 1, 2, 3]], np.eye(4)[[0, 0, 0, 0]]])
    mean, spread = inception_score_of_splits(p, 2)
    assert (mean, spread) == pytest.approx((2.5, 1.5))
    assert inception_score_of_splits(predictions(), 1)[0] == pytest.approx(inception_score(predictions()))


def test_softmax_is_in_float64():
    logits = np.float32([[0.0, 1e3], [5.0, 5.0]])
    np.testing.assert_allclose(softmax(logits), [[special.softmax([0, 1e3])[0], 1.0], [0.5, 0.5]])
    assert softmax(logits).dtype == np.float64


def test_rows_that_sum_to_one_but_for_float32_are_made_to():
    p = predictions()
    scale = 1 + np.random.default_rng(1).uniform(-5e-4, 5e-4, size=(len(p), 1))
    assert inception_score(p * scale) == pytest.approx(inception_score(p), rel=1e-12)


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.float64([[2.0, -1.0]]), "probabilities from -1 on"),
        (np.float64([[3.0, 1.0]]), "logits go through softmax first"),
        (np.float64([[np.nan, 1.0]]), "expected finite numbers"),
    ],
)
def test_what_is_no_probability_is_refused(p, message):
    with pytest.raises(UserError, match=message):
        inception_score(p)


def test_more_splits_than_samples_are_refused():
    with pytest.raises(UserError, match="3 samples in 4 splits"):
        inception_score_of_splits(predictions(3), 4)

"""Distances to the own condition and to others."""

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.evaluation.conditions import condition_distances


def test_distances_by_hand():
    real = [[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]
    own, others = condition_distances([[0.0, 0.0], [6.0, 8.0]], real, [[True, True, False], [False, False, True]])
    np.testing.assert_allclose(own, [2.5, 0.0])
    np.testing.assert_allclose(others, [10.0, 7.5])


def test_a_model_blind_to_its_condition_is_as_near_to_others():
    rng = np.random.default_rng(0)
    real, label = rng.normal(size=(300, 4)), rng.integers(0, 3, 300)
    own, others = condition_distances(rng.normal(size=(300, 4)), real, label[:, None] == label[None])
    assert own.mean() == pytest.approx(others.mean(), rel=0.01)


def test_every_condition_needs_a_real_clip_and_another():
    with pytest.raises(UserError, match="made clip 1: no real clip of its condition"):
        condition_distances(np.zeros((2, 3)), np.zeros((2, 3)), [[True, False], [False, False]])
    with pytest.raises(UserError, match="made clip 0: no real clip of another condition"):
        condition_distances(np.zeros((1, 3)), np.zeros((2, 3)), [[True, True]])

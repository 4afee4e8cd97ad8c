"""Distortions do what they say, at the strength that they say."""

import numpy as np
import pytest

from magvit_jax.evaluation.distortions import DISTORTIONS, blur, noise, shuffle_frames


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(0).uniform(size=(3, 9, 12, 16, 3))


@pytest.mark.parametrize("name", DISTORTIONS)
def test_strength_zero_changes_nothing_and_the_seed_decides(name, video):
    distort = DISTORTIONS[name]
    before = video.copy()
    np.testing.assert_array_equal(distort(video, 0.0), video)
    np.testing.assert_array_equal(distort(video, 3.0, 1), distort(video, 3.0, 1))
    assert np.any(distort(video, 3.0, 1) != video)
    np.testing.assert_array_equal(video, before)
    assert (name == "blur") == np.array_equal(distort(video, 3.0, 1), distort(video, 3.0, 2))


def test_blur_spreads_a_point_within_its_frame_and_channel():
    point = np.zeros((1, 3, 21, 21, 3))
    point[0, 1, 10, 10, 0] = 1.0
    blurred = blur(point, 1.5)
    assert np.count_nonzero(blurred[0, [0, 2]]) == 0 and np.count_nonzero(blurred[..., 1:]) == 0
    spread = blurred[0, 1, ..., 0]
    y = np.arange(21) - 10
    assert spread.sum() == pytest.approx(1.0)
    assert np.sum(spread * y[:, None] ** 2) == pytest.approx(1.5**2, rel=0.02)
    np.testing.assert_allclose(blur(np.full_like(point, 0.3), 4.0), 0.3)


def test_noise_has_its_deviation_and_stays_in_range():
    grey = np.full((1, 4, 50, 50, 3), 0.5)
    assert noise(grey, 0.05).std() == pytest.approx(0.05, rel=0.03)
    wild = noise(grey, 2.0)
    assert wild.min() == 0.0 and wild.max() == 1.0


def order(strength, frames=9, clips=400):
    """Which frame stands at each place: [clips, frames]."""
    numbered = np.broadcast_to(np.arange(frames)[None, :, None, None, None], (clips, frames, 1, 1, 1))
    return shuffle_frames(numbered, strength)[:, :, 0, 0, 0]


def test_shuffled_frames_are_the_same_frames_in_another_order():
    moved = order(16.0)
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.broadcast_to(np.arange(9), moved.shape))
    assert len(np.unique(moved, axis=0)) > 300


def test_frames_change_places_with_neighbours_nearer_than_the_strength():
    np.testing.assert_array_equal(order(1.0), order(0.0))
    swapped = [(a, b) for row in order(3.0) for i, a in enumerate(row) for b in row[i + 1 :] if a > b]
    assert {a - b for a, b in swapped} == {1, 2}
    away = [np.abs(order(strength) - np.arange(9)).mean() for strength in (2.0, 4.0, 8.0, 16.0, 1e6)]
    assert np.all(np.diff(away) > 0)
    assert away[-1] == pytest.approx((81 - 1) / (3 * 9), abs=0.1)  # of two random places of nine

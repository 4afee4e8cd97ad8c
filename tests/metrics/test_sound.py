"""SI-SDR and the log spectral distance."""

import numpy as np
import pytest

from magvit_jax import metrics
from magvit_jax.errors import UserError

NOISE = np.random.default_rng(0).normal(size=(3, 2048))


def test_si_sdr_by_hand():
    # The estimate is 3 times the reference plus an orthogonal part of the squared length 1: 10 log10(9 * 2 / 1).
    np.testing.assert_allclose(
        metrics.si_sdr([1.0, 1.0, 0.0], [3.0, 3.0, 1.0]), 10 * np.log10(18.0)
    )


def test_si_sdr_ignores_scale_but_not_shift():
    estimate = NOISE + 0.1 * np.roll(NOISE, 1, axis=0)
    values = metrics.si_sdr(NOISE, estimate)
    assert values.shape == (3,)
    np.testing.assert_allclose(metrics.si_sdr(NOISE, -7 * estimate), values)
    assert (metrics.si_sdr(NOISE, np.roll(NOISE, 1, axis=-1)) < -10).all()
    np.testing.assert_allclose(values[0], 20.0, atol=0.5)  # noise of a tenth the size


def test_si_sdr_of_an_equal_and_of_a_silent_estimate():
    assert metrics.si_sdr([1.0, 2.0], [1.0, 2.0]) == np.inf
    assert metrics.si_sdr([1.0, 2.0], [0.0, 0.0]) == -np.inf


def test_log_spectral_distance_of_a_gain_is_the_gain():
    np.testing.assert_allclose(metrics.log_spectral_distance(NOISE, 10 * NOISE), 20.0)
    np.testing.assert_array_equal(metrics.log_spectral_distance(NOISE, NOISE), 0.0)


def test_log_spectral_distance_of_silence_is_the_floor():
    tone = np.sin(2 * np.pi * 1000 / 16000 * np.arange(4096))
    distance = metrics.log_spectral_distance(tone, np.zeros_like(tone))
    assert 5.0 < distance < 30.0  # 80 dB where the tone is, next to nothing elsewhere
    assert metrics.log_spectral_distance(NOISE, np.zeros_like(NOISE)).min() > 60.0


def test_the_range_says_what_counts_as_silence():
    """A noise 40 to 60 dB below a tone is louder than the silence around it over 80 dB, and unheard over 30."""
    tone = np.sin(2 * np.pi * 1000 / 16000 * np.arange(2048))
    noisy, silent = tone + 0.01 * NOISE[0], np.zeros_like(tone)
    assert metrics.log_spectral_distance(tone, noisy) > metrics.log_spectral_distance(tone, silent)
    assert metrics.log_spectral_distance(tone, noisy, 30.0) < 0.2 < metrics.log_spectral_distance(tone, silent, 30.0)
    assert metrics.mean_spectrum(tone[None], 30.0).min() > metrics.mean_spectrum(tone[None]).min()
    for range_db in (0.0, -40.0, float("nan")):
        with pytest.raises(UserError, match=f"range_db {range_db}"):
            metrics.log_spectral_distance(tone, noisy, range_db)


@pytest.mark.parametrize("metric", [metrics.si_sdr, metrics.log_spectral_distance])
def test_silent_references_and_other_shapes_are_refused(metric):
    with pytest.raises(UserError, match="silent"):
        metric(np.zeros(1024), np.ones(1024))
    with pytest.raises(UserError, match="one shape"):
        metric(np.ones(1024), np.ones(1023))


def test_a_short_sound_is_refused():
    with pytest.raises(UserError, match="512"):
        metrics.log_spectral_distance(np.ones(511), np.ones(511))


def test_the_mean_spectrum_is_the_nearest_single_one():
    rng = np.random.default_rng(0)
    sounds = rng.normal(size=(3, 2048)) * np.linspace(0.1, 1.0, 2048)
    spectrum_F = metrics.mean_spectrum(sounds)
    assert spectrum_F.shape == (257,)

    def squared(candidate_F):
        return np.square(metrics.mean_spectrum_distance(sounds[:, :512], candidate_F)).sum()

    # Of sounds of one window the mean of them all is the best: moving any part of it moves it away.
    own_F = metrics.mean_spectrum(sounds[:, :512])
    for factor in (0.8, 1.25):
        moved_F = own_F * np.where(np.arange(257) < 100, factor, 1.0)
        assert squared(moved_F) > squared(own_F)
    # A steady tone repeats its spectrum in every window: the distance from its own mean is that of one window.
    tone = np.sin(2 * np.pi * np.arange(2048) / 64)[None]
    assert metrics.mean_spectrum_distance(tone, metrics.mean_spectrum(tone))[0] < 0.1
    with pytest.raises(UserError, match="silent"):
        metrics.mean_spectrum(np.zeros((1, 600)))

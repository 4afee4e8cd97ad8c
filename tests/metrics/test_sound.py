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


BANDS_FM = metrics.mel_bands(16_000)


def test_mel_bands_average_neighbours_and_leave_none_empty():
    assert BANDS_FM.shape == (257, 40) and BANDS_FM.sum(0).min() > 0
    centres = BANDS_FM.argmax(0)
    assert (np.diff(centres) > 0).all() and np.diff(centres)[-1] > 3 * np.diff(centres)[0]
    with pytest.raises(UserError, match="128 bands at 16000 Hz leave some empty"):
        metrics.mel_bands(16_000, 128)


def test_a_gain_is_itself_in_bands_too():
    np.testing.assert_allclose(metrics.log_spectral_distance(NOISE, 10 * NOISE, bands_FM=BANDS_FM), 20.0)


def test_two_draws_of_a_noise_are_nearer_to_each_other_by_bands():
    """Frequency by frequency the logarithm of a draw deviates by 5.57 dB, and of two by sqrt(2) as much."""
    one, other = np.random.default_rng(1).normal(size=(2, 4, 32_000))
    single = metrics.log_spectral_distance(one, other).mean()
    np.testing.assert_allclose(single, 5.57 * np.sqrt(2), rtol=0.02)
    mean = metrics.mean_spectrum_distance(one, metrics.mean_spectrum(other)).mean()
    np.testing.assert_allclose(mean, 5.57, rtol=0.02)
    banded = metrics.log_spectral_distance(one, other, bands_FM=BANDS_FM).mean()
    assert banded < 0.5 * single
    spectrum_M = metrics.mean_spectrum(other, bands_FM=BANDS_FM)
    assert spectrum_M.shape == (40,)
    mean = metrics.mean_spectrum_distance(one, spectrum_M, bands_FM=BANDS_FM).mean()
    assert 0.6 * banded < mean < banded


def test_a_tone_in_the_wrong_band_is_far():
    tone, near, far = (np.sin(2 * np.pi * hertz / 16_000 * np.arange(4096)) for hertz in (1000, 1005, 2000))

    def distance(other):
        return metrics.log_spectral_distance(tone, other, 40.0, BANDS_FM)

    assert distance(near) < 1.0 < 5.0 < distance(far)

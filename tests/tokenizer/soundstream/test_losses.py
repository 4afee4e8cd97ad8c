"""SoundStream's spectra, losses and discriminator."""

import jax
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.soundstream import losses, spectra
from magvit_jax.tokenizer.soundstream.discriminator import StftDiscriminator

RATE, SAMPLES = 16_000, 512
TINY = StftDiscriminator(channels=2, windows=(64, 32))


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).normal(scale=0.1, size=(2, SAMPLES)).astype(np.float32)


def test_stft_against_scipy(audio):
    signal = pytest.importorskip("scipy.signal")
    window = signal.get_window("hann", 64)
    theirs = signal.ShortTimeFFT(window, 16, 1.0, fft_mode="onesided", phase_shift=None)
    expected = theirs.stft(audio[0], p0=2, p1=2 + (SAMPLES - 64) // 16 + 1).T
    found = np.asarray(jax.jit(lambda x: spectra.stft(x, 64, 16))(audio)[0])
    assert found.shape == (1 + (SAMPLES - 64) // 16, 33)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_tone_is_in_its_mel_band():
    filters = spectra.mel_filters(513, 64, RATE)
    centres = (np.arange(1, 65) * (2595 * np.log10(1 + 8000 / 700)) / 65) / 2595
    hertz = 700 * (10**centres - 1)
    loudest = filters[np.round(hertz[20:] / 8000 * 512).astype(int)].argmax(1)
    np.testing.assert_array_equal(loudest, np.arange(20, 64))


def test_a_sound_shorter_than_a_window_is_refused(audio):
    with pytest.raises(UserError, match="needs 1024"):
        spectra.stft(audio, 1024, 256)


@pytest.mark.parametrize("floor", [1e-5, 0.3])
def test_spectral_distance_by_hand(audio, floor):
    other = audio[::-1].copy()
    found = jax.jit(lambda a, b: losses.spectral_distance(a, b, (64, 256), RATE, floor))(audio, other)
    total = 0.0
    for window in (64, 256):
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
        hop, filters = window // 4, spectra.mel_filters(window // 2 + 1, 64, RATE).astype(np.float64)
        values = []
        for a, b in zip(audio.astype(np.float64), other.astype(np.float64), strict=True):
            for start in range(0, SAMPLES - window + 1, hop):
                mel = [
                    np.abs(np.fft.rfft(x[start : start + window] * hann)) / np.sqrt(window) @ filters
                    for x in (a, b)
                ]
                log = [np.log(np.maximum(x, floor)) for x in mel]
                values.append(
                    np.abs(mel[0] - mel[1]).sum() + np.sqrt(window / 2) * np.linalg.norm(log[0] - log[1])
                )
        total += np.mean(values) / 2
    np.testing.assert_allclose(found, total, rtol=1e-4)


def test_spectral_distance_has_finite_slopes_where_sounds_are_equal_or_silent(audio):
    slope = jax.jit(jax.grad(lambda x, y: losses.spectral_distance(x, y, (64,), RATE)))
    assert np.isfinite(slope(audio, audio)).all()
    assert np.isfinite(slope(np.zeros_like(audio), audio)).all()


def test_feature_matching_by_hand():
    real = [[np.array([1.0, 3.0])], [np.array([2.0]), np.array([0.0])]]
    fake = [[np.array([0.0, 0.0])], [np.array([2.5]), np.array([-3.0])]]
    assert losses.feature_matching(real, fake) == (2.0 + 0.5 + 3.0) / 3


def test_the_discriminator_sees_each_example_alone_at_each_scale(audio):
    params = unbox(jax.jit(TINY.init)(jax.random.key(0), audio)["params"])
    run = jax.jit(lambda x: TINY.apply({"params": params}, x))
    verdicts = run(audio)
    assert [verdict.logits_BTF.shape[:2] for verdict in verdicts] == [(2, 29), (2, 61)]
    assert [len(verdict.features) for verdict in verdicts] == [5, 5]
    other = run(np.stack([audio[0], -audio[0] ** 2]))
    for before, after in zip(verdicts, other, strict=True):
        np.testing.assert_allclose(after.logits_BTF[0], before.logits_BTF[0], atol=1e-6)
        assert np.abs(after.logits_BTF[1] - before.logits_BTF[1]).max() > 1e-3


def test_a_window_that_does_not_divide_into_hops_is_refused():
    with pytest.raises(UserError, match="multiple of 4"):
        StftDiscriminator(channels=2, windows=(30,))

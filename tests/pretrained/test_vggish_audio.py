"""VGGish's front end: librosa's fixtures, sines, framings; and VGGish's own input."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
from random_params import random_params

from magvit_jax.errors import UserError
from magvit_jax.pretrained import encoders
from magvit_jax.pretrained.encoders import SoundEncoder
from magvit_jax.pretrained.networks import Definition, FrozenNetwork
from magvit_jax.pretrained.vggish import VGGish
from magvit_jax.pretrained.vggish_audio import (
    FRAMINGS,
    hertz_to_mel,
    log_mel_examples,
    log_mel_spectrogram,
    magnitudes,
    mel_filters,
    triangles,
)


def fixture(real_data, name):
    path = real_data / "audio" / f"{name}.mat"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return scipy.io.loadmat(path, squeeze_me=True)


def sine(hertz, seconds, rate=16000):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def test_triangles_are_those_of_librosas_fixture(real_data):
    """Its corners are on Slaney's scale and its triangles have area 1; ours have height 1."""
    data = fixture(real_data, "feature-melfb-001")
    bins, corners = int(data["nfft"]) // 2 + 1, data["frqs"]
    ours = triangles(np.linspace(0, data["sr"] / 2, bins), corners) * 2 / (corners[2:] - corners[:-2])
    np.testing.assert_allclose(ours.T, data["wts"][:, :bins], atol=1e-9)


def test_magnitudes_are_those_of_librosas_fixture(real_data):
    data = fixture(real_data, "core-stft-005")
    rate, audio = scipy.io.wavfile.read(real_data / "audio" / "test1_22050.wav")
    size, hop = int(data["nfft"]), int(data["hop_length"])
    audio = (audio if audio.ndim == 1 else audio.mean(axis=1)) / 32768
    ours = magnitudes(audio, np.ones(size), hop, size)
    assert rate == data["sr"]
    np.testing.assert_allclose(ours.T, np.abs(data["D"]), atol=1e-9)


def test_mel_scale_and_bands():
    assert hertz_to_mel(0) == 0
    assert hertz_to_mel(1000) == pytest.approx(1000, abs=0.02)  # the scale's anchor
    assert hertz_to_mel(700) == pytest.approx(1127 * np.log(2))
    filters = mel_filters()
    hertz = np.linspace(0, 8000, 257)
    assert filters.shape == (257, 64)
    assert not filters[(hertz <= 125) | (hertz >= 7500)].any() and filters.max() <= 1
    # Neighbouring triangles sum to 1 between the first centre and the last.
    inside = (hertz_to_mel(hertz) > np.interp(1, [0, 65], hertz_to_mel([125, 7500]))) & (
        hertz_to_mel(hertz) < np.interp(64, [0, 65], hertz_to_mel([125, 7500]))
    )
    np.testing.assert_allclose(filters[inside].sum(1), 1.0)


def test_silence_and_sines():
    np.testing.assert_allclose(log_mel_spectrogram(np.zeros(2000)), np.log(0.01))
    centres = np.linspace(hertz_to_mel(125), hertz_to_mel(7500), 66)[1:-1]
    for hertz in (440, 1000, 3000, 6000):
        log_mel = log_mel_spectrogram(sine(hertz, 0.1))
        assert log_mel.shape == (8, 64)
        assert set(log_mel.argmax(1)) == {int(np.abs(centres - hertz_to_mel(hertz)).argmin())}
    # A sine's magnitude in its bin is half its amplitude times the sum of the window, 200; 1 kHz is bin 32.
    spectrum = magnitudes(sine(1000, 0.1), np.sin(np.pi * np.arange(400) / 400) ** 2, 160, 512)
    np.testing.assert_allclose(spectrum[:, 32], 0.25 * 200, rtol=1e-3)


@pytest.mark.parametrize(
    "framing, samples, examples",
    [
        ("vggish", 15600, 1),
        ("vggish", 15600 + 15359, 1),
        ("vggish", 15600 + 15360, 2),
        ("fad", 16000, 1),
        ("fad", 23999, 1),
        ("fad", 24000, 2),
        ("fad", 160000, 19),
    ],
)
def test_numbers_of_examples(framing, samples, examples):
    assert log_mel_examples(np.zeros(samples), 16000, framing).shape == (examples, 96, 64)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_examples_are_what_they_would_be_alone(framing):
    audio = np.random.default_rng(0).uniform(-0.2, 0.2, 50000)
    audio[-1] = 1.0  # full loudness already
    hop, window, _ = FRAMINGS[framing]
    examples = log_mel_examples(audio, 16000, framing)
    assert len(examples) > 2
    for number, example in enumerate(examples):
        alone = log_mel_spectrogram(audio[number * hop : number * hop + window])
        np.testing.assert_allclose(example, alone[:96], atol=1e-5)


def test_channels_types_rates_and_loudness():
    audio = sine(700, 1.2)
    expected = log_mel_examples(audio, 16000, "vggish")
    stereo = np.stack([audio + 0.1, audio - 0.1], axis=1)
    np.testing.assert_allclose(log_mel_examples(stereo, 16000, "vggish"), expected, atol=1e-5)
    whole = np.round(audio * 32768).astype(np.int16)
    as_float = log_mel_examples(whole / 32768, 16000, "vggish")
    np.testing.assert_array_equal(log_mel_examples(whole, 16000, "vggish"), as_float)
    for rate in (48000, 24000, 22050, 8000):
        other = log_mel_examples(sine(700, 1.2, rate), rate, "vggish")
        np.testing.assert_allclose(other[:, 5:-5], expected[:, 5:-5], atol=2e-3)
    above = log_mel_examples(sine(9000, 1.2, 48000), 48000, "vggish")  # beyond what 16 kHz hold
    np.testing.assert_allclose(above[:, 5:-5], np.log(0.01), atol=2e-3)
    quiet, loud = (log_mel_examples(factor * audio, 16000, "fad") for factor in (0.4, 1.0))
    np.testing.assert_allclose(quiet, loud, atol=1e-5)
    # Below a tenth of full scale it is not made louder than ten times.
    tiny = log_mel_examples(0.02 * audio, 16000, "fad")
    np.testing.assert_allclose(tiny[0], log_mel_spectrogram(0.2 * audio[:16000])[:96], atol=1e-4)


def test_real_sounds(real_data):
    for name in ("test_24k.wav", "test_48k.wav"):
        rate, audio = scipy.io.wavfile.read(real_data / "audio" / name)
        examples = log_mel_examples(audio, rate, "fad")
        assert len(examples) == 1 + int((len(audio) / rate - 1) / 0.5)
        assert np.isfinite(examples).all() and examples.max() > 0 > examples.min() >= np.log(0.01) - 1e-6


@pytest.mark.parametrize(
    "audio, rate, framing, message",
    [
        (np.zeros(15599), 16000, "vggish", "a sound of 0.975 s: VGGish needs 0.975 s or more"),
        (np.zeros((2, 2, 2)), 16000, "fad", r"a sound of shape \[2, 2, 2\]"),
        (np.zeros(16000, np.int32), 16000, "fad", "a sound of type int32: expected int16"),
        (np.full(16000, np.nan), 16000, "fad", "holds NaN or infinity"),
        (np.zeros(16000), 0, "fad", "sample rate 0"),
        (np.zeros(16000), 16000, "fast", "framing 'fast' is unknown; expected one of vggish, fad"),
    ],
)
def test_sounds_that_do_not_fit_are_refused(audio, rate, framing, message):
    with pytest.raises(UserError, match=message):
        log_mel_examples(audio, rate, framing)


def test_embedding_is_not_activated_and_examples_are_apart(monkeypatch):
    module = VGGish(((2,), (3,)), 8, jnp.float32)
    examples = np.random.default_rng(0).normal(-1, 1, (3, 96, 64)).astype(np.float32)
    params = random_params(module, examples)
    network = FrozenNetwork("vggish", Definition(module, ()), params, "")
    found = network(examples)
    assert found.shape == (3, 128) and (np.asarray(found) < 0).any()
    np.testing.assert_allclose(network(examples[1:2]), found[1:2], atol=1e-5)
    audio = np.random.default_rng(1).uniform(-1, 1, 24000)
    np.testing.assert_array_equal(
        SoundEncoder(network)(audio, 16000, framing="fad"), network(log_mel_examples(audio, 16000, "fad"))
    )
    monkeypatch.setattr(encoders, "BATCH", 2)
    np.testing.assert_allclose(encoders.in_batches(network, examples), found, atol=1e-5)
    with pytest.raises(UserError, match="vggish: nothing to encode"):
        encoders.in_batches(network, examples[:0])
    with pytest.raises(UserError, match=r"shape \(1, 96, 63\): expected \[B, 96, 64\]"):
        network(examples[:1, :, :63])

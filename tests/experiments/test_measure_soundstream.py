"""tools/measure_soundstream.py: which clips it takes, and what it says of a codec whose losses are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

from magvit_jax import metrics
from magvit_jax.data import SoundFolder, SoundSpec
from magvit_jax.media.sound_io import write_wav

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import measure_soundstream as tool  # noqa: E402

SPEC = SoundSpec(1600, 16_000)


class Tenths:
    """The first level is a sample to a tenth, the second what is left."""

    sample_rate, levels, latent_rate, samples_per_latent = 16_000, 2, 16_000, 1

    def encode(self, audio_NS):
        tenths_NS = np.round(audio_NS, 1)
        return np.stack([tenths_NS, audio_NS - tenths_NS], axis=-1)

    def decode(self, ids_NSQ):
        return ids_NSQ.sum(-1)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    write_wav(tmp_path / "noise.wav", rng.uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)
    tone = 0.5 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(8_000))
    write_wav(tmp_path / "tone.wav", np.concatenate([tone, np.zeros(8_000)]).astype(np.float32), 16_000)
    write_wav(tmp_path / "silent.wav", np.zeros(16_000, np.float32), 16_000)
    return tmp_path


def test_clips_are_those_of_the_ends_that_are_heard(folder):
    source = SoundFolder(str(folder), "test", SPEC, held_out=0.6, held_out_by="time")
    found = {Path(path).name: audio_NS for path, audio_NS in tool.clips_of(source)}
    # 9,600 samples at the end: six clips of noise; of the tone the first 1,600 samples are heard.
    assert {name: len(audio_NS) for name, audio_NS in found.items()} == {"noise.wav": 6, "tone.wav": 1}


def test_each_level_is_measured_by_itself():
    rng = np.random.default_rng(1)
    audio, trained = rng.uniform(-0.5, 0.5, (2, 3, 1600)).astype(np.float32)
    rows = tool.rows_of(Tenths(), audio, trained)
    assert list(rows) == ["1 level", "2 levels", "mean spectrum", "silence"]
    np.testing.assert_allclose(rows["1 level"][0], metrics.si_sdr(audio, np.round(audio, 1)))
    assert (rows["2 levels"][0] > 100).all() and (rows["2 levels"][1:] < 1e-3).all()
    assert (rows["1 level"][1:] < rows["silence"][1:]).all() and np.isnan(rows["silence"][0]).all()
    bands_FM = metrics.mel_bands(16_000)
    expected = metrics.log_spectral_distance(audio, np.round(audio, 1), 40.0, bands_FM)
    np.testing.assert_allclose(rows["1 level"][4], expected)
    spectrum_M = metrics.mean_spectrum(trained, 40.0, bands_FM)
    np.testing.assert_allclose(
        rows["mean spectrum"][4], metrics.mean_spectrum_distance(audio, spectrum_M, 40.0, bands_FM)
    )


def test_the_page_has_every_recording_and_the_mean_over_all_clips(folder, monkeypatch):
    monkeypatch.setattr(tool.magvit_jax, "load_sound_tokenizer", lambda path: Tenths())
    page = tool.measure(Path("model"), folder, held_out=0.6, seconds=0.1)
    assert "noise.wav, 6 clips" in page and "tone.wav, 1 clips" in page and "all, 7 clips" in page
    assert page.count("| 2 levels |") == 3 and "| silence |  |" in page

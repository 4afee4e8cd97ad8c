"""magvit reconstruct and magvit tokenize with a sound tokenizer, on files."""

import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open
from scipy.io import wavfile

import magvit_jax
from magvit_jax import bundles, metrics
from magvit_jax.cli.main import main
from magvit_jax.data import read_sound
from magvit_jax.tokenizer.sound_tokenizer import unboxed_abstract_params
from magvit_jax.tokenizer.soundstream.codec import SoundStreamCodec

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

from sounds import tone, write_wav  # noqa: E402

MODEL = dict(channels=2, strides=[2], latent_dim=4, levels=2, codebook_size=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A bundle of a sound tokenizer with random weights, 8,000 latents a second."""
    draw = np.random.default_rng(0)
    shapes = unboxed_abstract_params(SoundStreamCodec(**MODEL))
    params = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape, scale=0.5).astype(np.float32), shapes)
    described = dict(format_version=bundles.FORMAT_VERSION, kind="sound_tokenizer", name="tiny", step=0)
    described |= dict(codec="soundstream", model=MODEL, sample_rate=16_000, class_names=[])
    described["fingerprint"] = bundles.fingerprint(described, params)
    return bundles.write(bundles.Bundle(described, params), tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def folder(tmp_path):
    """Three sounds, longer than two chunks, silent, and shorter than a window of spectra; and a broken one."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_wav(folder / "long.wav", tone(440, 8_000, 0.1)[:, None] * np.ones((1, 2)), 8_000)
    write_wav(folder / "silent.wav", np.zeros((600, 1)), 16_000)
    write_wav(folder / "short.wav", tone(440, 16_000, 0.01)[:, None], 16_000)
    (folder / "broken.mp3").write_bytes(b"no sound")
    return folder


def test_reconstruct_writes_wav_and_says_what_is_lost(model, folder, tmp_path, capsys):
    assert main(["reconstruct", f"--model={model}", f"--input={folder}", f"--output={tmp_path / 'out'}"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["long_wav.wav", "short_wav.wav", "silent_wav.wav"]
    rate, made = wavfile.read(tmp_path / "out" / "long_wav.wav")
    audio = read_sound(folder / "long.wav", 16_000).audio_S
    expected = np.asarray(magvit_jax.load_sound_tokenizer(model).reconstruct(audio[None]))[0]
    assert rate == 16_000 and made.shape == audio.shape == (1600,)
    np.testing.assert_allclose(made / 32767, expected, atol=1e-4)
    out = capsys.readouterr().out
    assert f"SI-SDR {metrics.si_sdr(audio, expected):.2f} dB" in out
    assert "0.10 s at 16000 Hz (8000 Hz resampled to 16000 Hz, 2 channels averaged)" in out
    assert out.count("SI-SDR nan dB") == 2  # the silent one and the short one
    assert "skipped" in out and "broken.mp3" in out and "1 of 4 files skipped" in out


def test_tokenize_writes_ids_that_name_their_tokenizer(model, folder, tmp_path, capsys):
    command = ["tokenize", f"--model={model}", f"--input={folder}", f"--output={tmp_path / 'ids'}", "--num=1"]
    assert main(command) == 0
    (path,) = (tmp_path / "ids").iterdir()
    tokenizer = magvit_jax.load_sound_tokenizer(model)
    with safe_open(path, "numpy") as opened:
        ids, about = opened.get_tensor("ids"), opened.metadata()
    assert about == dict(
        tokenizer=tokenizer.fingerprint, sample_rate="16000", samples="1600", file=str(folder / "long.wav")
    )
    np.testing.assert_array_equal(ids, tokenizer.encode(read_sound(folder / "long.wav", 16_000).audio_S[None])[0])
    assert "800 latents of 2 ids, 0.1 s of sound" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["reconstruct", "--input=x.wav", "--whole"], "--whole: .* takes whole files"),
        (["reconstruct", "--input=x.wav"], "x.wav: no such file"),
        (["tokenize", "--input=x.wav", "--data-dir=d"], "--data-dir: .* takes whole files"),
        (["tokenize", "--input=x.wav", "--num=0"], "num is 0"),
        (["tokenize"], "expected a sound, a video, or a folder"),
    ],
)
def test_what_says_nothing_to_sound_is_refused(model, arguments, message, tmp_path, capsys):
    assert main([*arguments, f"--model={model}", f"--output={tmp_path / 'out'}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)

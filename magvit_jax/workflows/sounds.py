"""Sounds through a sound tokenizer: back to sound with what was lost, and to ids. Files of any length, in parts."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from magvit_jax import metrics
from magvit_jax.data.files import VIDEO_EXTENSIONS
from magvit_jax.data.sound import Sound, read_sound
from magvit_jax.data.sound_folder import SOUND_EXTENSIONS
from magvit_jax.errors import UserError
from magvit_jax.media.atomic import replacing
from magvit_jax.media.sound_io import write_wav
from magvit_jax.metrics.sound import WINDOW
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.workflows.inputs import each_file
from magvit_jax.workflows.reconstruct import output_name

FILES = (*SOUND_EXTENSIONS, *VIDEO_EXTENSIONS)
CHUNK = 250  # latents computed at once


def reconstruct_sounds(
    tokenizer: SoundTokenizer,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    say: Callable[[str], None] = print,
) -> dict[str, tuple[float, float]]:
    """Writes NAME.wav, the reconstruction, for each sound and each video with sound.

    Args:
      source: a sound, a video with sound, or a folder of them; a bad file of a folder is skipped and named.
      output: folder, made if absent.
      say: gets the lines that say what was done, and what was converted on the way.

    Returns:
      SI-SDR and log spectral distance in dB by file name; NaN of a sound that is silent or shorter than 512 samples.

    Raises:
      UserError: nothing could be read.
    """
    scores: dict[str, tuple[float, float]] = {}

    def run(path: Path) -> None:
        sound = read_sound(path, tokenizer.sample_rate)
        parts = tokenizer.reconstruct_stream(_parts(tokenizer, sound), CHUNK)
        made_S = np.concatenate([np.asarray(part)[0] for part in parts])[: sound.audio_S.size]
        target = write_wav(_target(path, source, output, ".wav"), made_S, tokenizer.sample_rate)
        scores[str(path)] = si_sdr, distance = _scores(sound.audio_S, made_S)
        lost = f"SI-SDR {si_sdr:.2f} dB, log spectral distance {distance:.2f} dB"
        say(f"{path}: {_described(sound)}, {lost} -> {target}")

    for _ in each_file(source, run, say, FILES, "sound or video"):
        pass
    return scores


def tokenize_sounds(
    tokenizer: SoundTokenizer,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    num: int | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Writes NAME.safetensors for each sound and each video with sound: "ids", int32 [f, Q].

    Its metadata name the tokenizer's fingerprint, the sample rate in Hz, the samples and the file.

    Args:
      source, output, say: as of `reconstruct_sounds`.
      num: how many files, the first good ones; None for all.

    Returns:
      The number of latents that were written.

    Raises:
      UserError: nothing could be read, or a file that cannot be written.
    """
    if num is not None and num < 1:
        raise UserError(f"num is {num}; expected 1 or more")
    latents = 0

    def run(path: Path) -> int:
        sound = read_sound(path, tokenizer.sample_rate)
        parts = tokenizer.encode_stream(_parts(tokenizer, sound), CHUNK)
        ids_fQ = np.concatenate([np.asarray(part)[0] for part in parts])
        target = _target(path, source, output, ".safetensors")
        about = dict(
            tokenizer=tokenizer.fingerprint,
            sample_rate=str(tokenizer.sample_rate),
            samples=str(sound.audio_S.size),
            file=str(path),
        )
        try:
            with replacing(target) as partial:
                save_file({"ids": ids_fQ}, partial, metadata=about)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{target}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
        say(f"{path}: {_described(sound)}, {ids_fQ.shape[0]} latents of {ids_fQ.shape[1]} ids -> {target}")
        return ids_fQ.shape[0]

    for done, count in enumerate(each_file(source, run, say, FILES, "sound or video"), 1):
        latents += count
        if done == num:
            break
    return latents


def _parts(tokenizer: SoundTokenizer, sound: Sound) -> Iterator[np.ndarray]:
    """The samples in rows [1, S] of a chunk each."""
    length = CHUNK * tokenizer.samples_per_latent
    for start in range(0, sound.audio_S.size, length):
        yield sound.audio_S[None, start : start + length]


def _target(path: Path, source: str | os.PathLike, output: str | os.PathLike, suffix: str) -> Path:
    return Path(output) / f"{output_name(path, source)}{suffix}"


def _scores(audio_S: np.ndarray, made_S: np.ndarray) -> tuple[float, float]:
    if not audio_S.any() or audio_S.size < WINDOW:
        return float("nan"), float("nan")
    return float(metrics.si_sdr(audio_S, made_S)), float(metrics.log_spectral_distance(audio_S, made_S))


def _described(sound: Sound) -> str:
    note = f" ({sound.note})" if sound.note else ""
    return f"{sound.audio_S.size / sound.sample_rate:.2f} s at {sound.sample_rate} Hz{note}"

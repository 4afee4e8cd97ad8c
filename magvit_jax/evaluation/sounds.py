"""Frechet Audio Distance (Kilgour et al. 2019; thesis 8.4.3): folders of sound through VGGish."""

import os
from collections.abc import Callable

import av
import numpy as np

from magvit_jax.data.files import VIDEO_EXTENSIONS, find_files
from magvit_jax.errors import UserError
from magvit_jax.evaluation.measured import Measured, measure_frechet, network_mark
from magvit_jax.evaluation.protocols import Protocol
from magvit_jax.evaluation.streams import Seconds, timed
from magvit_jax.pretrained.encoders import SoundEncoder

AUDIO_EXTENSIONS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
_FRAMING = "fad"


def read_sound(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """The first sound of a file: float32 [S, channels] in [-1, 1] and its rate in Hz. UserError where there is none."""
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: no sound in it")
            stream = container.streams.audio[0]
            rate = stream.rate
            # Planar floats at the file's own rate: only the format changes, VGGish's front end does the rest.
            resampler = av.AudioResampler(format="fltp")
            frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
            frames += resampler.resample(None)
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(f"{path}: not a readable sound: {getattr(error, 'strerror', None) or error}") from error
    parts = [frame.to_ndarray() for frame in frames]
    if not parts:
        raise UserError(f"{path}: no sound in it")
    return np.concatenate(parts, axis=1).T, rate


def measure_fad(
    real: str | os.PathLike,
    made: str | os.PathLike,
    protocol: Protocol,
    encoder: SoundEncoder,
    seconds: Seconds,
    *,
    num: int | None = None,
    resamples: int | None = None,
    say: Callable[[str], None] = print,
) -> Measured:
    """FAD of two folders of sounds, or of videos with sound.

    The features are those of all seconds of all files together. The interval draws whole files.

    Args:
      num: files at most on each side.

    Raises:
      UserError: an empty folder, or a file without sound, unreadable or shorter than a second; it is named.
    """
    features, owners, files = [], [], []
    for side, folder in (("real", real), ("made", made)):
        found_NF, numbers_N = sound_features(folder, encoder, seconds, num)
        features.append(found_NF)
        owners.append(numbers_N)
        files.append(int(numbers_N.max()) + 1)
        say(f"fad: {files[-1]} {side} sounds, {len(found_NF)} examples")
    with seconds.time("statistics"):
        return measure_frechet(
            "fad",
            protocol,
            features[0],
            features[1:],
            network=network_mark(encoder.network),
            paired=False,
            owners=owners,
            resamples=resamples,
        )


def sound_features(
    folder: str | os.PathLike, encoder: SoundEncoder, seconds: Seconds, num: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [N, 128] of all sounds of a folder, in order of their names, and the number of each one's file [N]."""
    paths = find_files(folder, (*AUDIO_EXTENSIONS, *VIDEO_EXTENSIONS), "sound or video")[:num]
    features, owners = [], []
    for number, (path, (audio, rate)) in enumerate(timed(((p, read_sound(p)) for p in paths), seconds, "decode")):
        with seconds.time("features"):
            try:
                features.append(np.asarray(encoder(audio, rate, framing=_FRAMING)))
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
        owners.append(np.full(len(features[-1]), number))
    return np.concatenate(features), np.concatenate(owners)

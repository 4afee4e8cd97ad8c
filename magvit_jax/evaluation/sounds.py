"""Frechet Audio Distance (Kilgour et al. 2019; thesis 8.4.3): folders of sound through VGGish."""

import os
from collections.abc import Callable

import numpy as np

from magvit_jax.data.files import VIDEO_EXTENSIONS, find_files
from magvit_jax.data.sound import read_channels
from magvit_jax.data.sound_folder import SOUND_EXTENSIONS
from magvit_jax.errors import UserError
from magvit_jax.evaluation.measured import Measured, measure_frechet, network_mark
from magvit_jax.evaluation.protocols import Protocol
from magvit_jax.evaluation.streams import Seconds, timed
from magvit_jax.pretrained.encoders import SoundEncoder

_FRAMING = "fad"


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
    paths = find_files(folder, (*SOUND_EXTENSIONS, *VIDEO_EXTENSIONS), "sound or video")[:num]
    features, owners = [], []
    for number, (path, (audio_CS, rate, _)) in enumerate(
        timed(((p, read_channels(p)) for p in paths), seconds, "decode")
    ):
        with seconds.time("features"):
            try:
                features.append(np.asarray(encoder(audio_CS.T, rate, framing=_FRAMING)))
            except UserError as error:
                raise UserError(f"{path}: {error}") from error
        owners.append(np.full(len(features[-1]), number))
    return np.concatenate(features), np.concatenate(owners)

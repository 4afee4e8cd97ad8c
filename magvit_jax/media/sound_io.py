"""Sound in files that are written: the AAC track of an mp4, and wav."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from scipy.io import wavfile

from magvit_jax.media.atomic import replacing

#: Sample rates that AAC knows; a sound of another rate is written at the next one above it.
AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
BITS_A_SECOND = 128_000  # of one channel, more than AAC has use for below 44,100 Hz


class SoundTrack:
    """One channel of sound as an AAC stream of an open container; made before anything is written to it."""

    def __init__(self, container: av.container.OutputContainer, sample_rate: int):
        """`sample_rate`: of the samples, in Hz, 1 to 96,000."""
        written_at = next((rate for rate in AAC_RATES if rate >= sample_rate), None)
        if sample_rate < 1 or written_at is None:
            raise ValueError(f"expected a sample rate of 1 to {AAC_RATES[-1]} Hz, got {sample_rate}")
        self._container, self._rate, self._samples = container, sample_rate, 0
        self._stream = container.add_stream("aac", rate=written_at, layout="mono")
        self._stream.bit_rate = BITS_A_SECOND

    def write(self, audio_S: np.ndarray) -> None:
        """The samples that follow, float [S]; what lies beyond -1 and 1 is clipped."""
        audio_S = check_sound(audio_S)
        if not audio_S.size:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio_S)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = self._rate, Fraction(1, self._rate), self._samples
        self._samples += audio_S.size
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """To be called once, at the end."""
        self._container.mux(self._stream.encode(None))


def check_sound(audio_S: np.ndarray) -> np.ndarray:
    """float32 [S] in [-1, 1]. ValueError for another shape or type, or samples that are not finite."""
    audio_S = np.asarray(audio_S)
    if audio_S.ndim != 1 or not np.issubdtype(audio_S.dtype, np.floating) or not np.isfinite(audio_S).all():
        raise ValueError(f"expected finite float samples [S], got {audio_S.dtype} {audio_S.shape}")
    return np.clip(audio_S, -1.0, 1.0).astype(np.float32)


def write_wav(path: str | os.PathLike, audio_S: np.ndarray, sample_rate: int) -> Path:
    """Writes float [S] in [-1, 1] as wav of 16 bits, whole or not at all."""
    samples_S = np.rint(check_sound(audio_S) * 32767).astype(np.int16)
    with replacing(path) as temporary:
        wavfile.write(temporary, sample_rate, samples_S)
    return Path(path)

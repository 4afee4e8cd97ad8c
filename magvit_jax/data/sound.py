"""Sound of files through PyAV: wav, mp3, and the sound track of videos."""

import math
import os
from typing import NamedTuple

import av
import numpy as np
import scipy.signal

from magvit_jax.errors import UserError

#: The sinc that other rates are resampled with: zeros on a side, share of the band that passes, Kaiser window. What
#: lies above 1.04 of the band is 90 dB down; SciPy's own filter lets images through at -50 dB.
SINC_ZEROS, SINC_ROLLOFF, SINC_BETA = 64, 0.95, 9.0


class Sound(NamedTuple):
    """One channel of sound.

    Fields:
      audio_S: float32 samples, from -1 to 1.
      sample_rate: in Hz.
      note: what was converted on the way, for people, such as "48000 Hz resampled to 16000 Hz, 2 channels averaged";
        empty where nothing was.
      start: seconds on the file's clock at which it begins: a video's sound need not begin with its first frame.
    """

    audio_S: np.ndarray
    sample_rate: int
    note: str
    start: float


def read_sound(path: str | os.PathLike, sample_rate: int) -> Sound:
    """The first sound track of a file, at `sample_rate` Hz, its channels averaged.

    Raises:
      UserError: no such file, one that cannot be decoded, or one without sound; or a bad sample rate.
    """
    channels_CS, rate, start = read_channels(path)
    notes = []
    audio_S = channels_CS.mean(axis=0)
    if rate != sample_rate:
        notes.append(f"{rate} Hz resampled to {sample_rate} Hz")
    if len(channels_CS) > 1:
        notes.append(f"{len(channels_CS)} channels averaged")
    audio_S = resample(audio_S, rate, sample_rate).astype(np.float32)
    return Sound(audio_S, sample_rate, ", ".join(notes), start)


def resample(audio_S: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """A sound of `rate` Hz at `sample_rate` Hz, of ceil(S sample_rate / rate) samples; as it is where both are equal.

    Raises:
      UserError: a rate below 1.
    """
    if min(rate, sample_rate) < 1:
        raise UserError(f"sample rates {rate} and {sample_rate}: expected whole numbers of Hz, 1 or more")
    if rate == sample_rate:
        return audio_S
    common = math.gcd(rate, sample_rate)
    up, down = sample_rate // common, rate // common
    widest = max(up, down)
    taps = scipy.signal.firwin(2 * SINC_ZEROS * widest + 1, SINC_ROLLOFF / widest, window=("kaiser", SINC_BETA))
    return scipy.signal.resample_poly(audio_S, up, down, window=taps)


def read_channels(path: str | os.PathLike) -> tuple[np.ndarray, int, float]:
    """The first sound track of a file as it is: float32 [channels, samples] in [-1, 1], its rate in Hz, and the second
    at which it starts.

    Raises:
      UserError: no such file, one that cannot be decoded, or one without sound.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file; expected a sound or a video with sound")
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: has no sound track; expected a sound or a video with sound")
            stream = container.streams.audio[0]
            rate = stream.rate
            # Of the sample format only: libswresample would mix channels with gains of its own.
            planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            frames = [*container.decode(stream), None]
            parts = [part.to_ndarray() for frame in frames for part in planar.resample(frame)]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = str(getattr(error, "strerror", None) or error).split("\n")[0]
        raise UserError(f"{path}: not a readable sound ({reason})") from error
    if not parts:
        raise UserError(f"{path}: no sample can be decoded; expected a sound or a video with sound")
    return np.concatenate(parts, axis=1), rate, float(frames[0].time or 0)

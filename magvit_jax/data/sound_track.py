"""The sound of a clip: as much of a video's sound track as belongs to a run of its frames."""

import math
import os
from typing import NamedTuple

import av
import numpy as np

from magvit_jax.data.decode import Unreadable
from magvit_jax.data.sound import read_sound
from magvit_jax.data.timeline import Timeline
from magvit_jax.errors import UserError


class Track(NamedTuple):
    """When a sound track is heard, by its packets; nothing is decoded for it.

    Fields:
      start, end: seconds on the file's clock.
      rate, channels: as it is stored.
    """

    start: float
    end: float
    rate: int
    channels: int


def probe_track(path: str) -> Track | None:
    """The first sound track of a file; None where there is none. Raises Unreadable."""
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            packets = [packet for packet in container.demux(stream) if packet.pts is not None and packet.size]
            base, rate, channels = float(stream.time_base), stream.rate, stream.channels
            times = [(packet.pts * base, (packet.pts + (packet.duration or 0)) * base) for packet in packets]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).split("\n")[0]
        raise Unreadable(f"its sound track is not readable ({reason})") from error
    if not times:
        raise Unreadable("its sound track is empty")
    return Track(min(start for start, _ in times), max(end for _, end in times), rate, channels)


def require_covered(start: float, end: float, timeline: Timeline, tolerance: float) -> None:
    """Unreadable where sound from `start` to `end` leaves more of the video silent, at either end, than so many
    seconds."""
    if max(start - timeline.first, timeline.end - end) > tolerance:
        raise Unreadable(
            f"its sound lasts from {start:.2f} to {end:.2f} s, its video from {timeline.first:.2f} to "
            f"{timeline.end:.2f} s: expected no more than data.sound_tolerance={tolerance:g} s without sound"
        )


def read_track(path: str | os.PathLike, timeline: Timeline, sample_rate: int, tolerance: float) -> np.ndarray:
    """The sound of a whole video, from its first frame to the end of its last: float32 [S].

    Silence where there is none. Raises Unreadable where that is more than `tolerance` seconds at either end.
    """
    try:
        sound = read_sound(path, sample_rate)
    except UserError as error:
        raise Unreadable(str(error).removeprefix(f"{os.fspath(path)}: ")) from error
    require_covered(sound.start, sound.start + sound.audio_S.size / sample_rate, timeline, tolerance)
    first = round((timeline.first - sound.start) * sample_rate)
    return window(sound.audio_S, first, track_samples(timeline, sample_rate))


def track_samples(timeline: Timeline, sample_rate: int) -> int:
    """S of `read_track`."""
    return math.ceil(timeline.seconds * sample_rate)


def window(audio_S: np.ndarray, first: int, samples: int) -> np.ndarray:
    """`samples` of a sound from number `first` on, float32 [samples]; silence where it has none."""
    out_S = np.zeros(samples, np.float32)
    low, high = max(first, 0), min(first + samples, audio_S.size)
    if low < high:
        out_S[low - first : high - first] = audio_S[low:high]
    return out_S

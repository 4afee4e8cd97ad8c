"""Frames of files by number, resized, out of memory where the file has its place there."""

import functools
from collections.abc import Sequence

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.cache import FrameCache
from magvit_jax.data.decode import Unreadable, VideoInfo, read_numbers


class FrameStore:
    """Keeps whole files, each resized to one size, up to a limit; decodes the frames of others each time."""

    def __init__(self, cache_mb: float):
        self._cache = FrameCache(cache_mb)

    def frames(self, path: str, info: VideoInfo, size: tuple[int, int], numbers: Sequence[int]) -> np.ndarray:
        """The frames of these numbers, which never fall, at `size` (height, width): uint8 [T, H, W, 3].

        Raises:
          Unreadable: one of them cannot be decoded.
        """
        whole = functools.partial(_decode, path, size, range(info.frames))
        try:
            cached = self._cache.get((path, size), info.frames * size[0] * size[1] * 3, whole)
        except Unreadable:  # somewhere in the file; the wanted part of it may be sound
            cached = None
        return _decode(path, size, numbers) if cached is None else cached[np.asarray(numbers)]


def _decode(path: str, size: tuple[int, int], numbers: Sequence[int]) -> np.ndarray:
    frames = np.empty((len(numbers), *size, 3), np.uint8)
    for place, frame in enumerate(read_numbers(path, numbers)):
        frames[place] = pixels.resize(frame, size)
    return frames

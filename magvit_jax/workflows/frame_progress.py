"""A line that says how far into a long video the work is."""

import shutil
import sys
import time
from typing import TextIO

from magvit_jax.training.writers import duration

SECONDS = 10.0  # between lines where the line cannot be rewritten in place


class FrameProgress:
    """How many frames of a video are done, how fast, and how long the rest will take. A context manager.

    On a terminal one line is rewritten in place and wiped in the end; elsewhere there is a line every few seconds,
    and none for a video that is done before.
    """

    def __init__(self, name: str, frames: int, stream: TextIO | None = None):
        """`frames` will come, more or less; `stream` is standard error by default."""
        self._name, self._total = name, frames
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._start = self._last = time.monotonic()

    def __enter__(self) -> "FrameProgress":
        return self

    def __exit__(self, *_) -> None:
        if self._in_place:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def update(self, done: int) -> None:
        """So many are done now."""
        now = time.monotonic()
        if not self._in_place and now - self._last < SECONDS:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        left = duration(max(self._total - done, 0) / max(rate, 1e-9))
        percent = min(100, 100 * done // max(self._total, 1))
        line = f"{self._name}: {done} of {self._total} frames ({percent}%)  {rate:.1f} a second  ETA {left}"
        if self._in_place:
            self._stream.write("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1])
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

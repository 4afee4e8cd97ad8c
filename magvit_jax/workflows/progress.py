"""A progress line for work that goes through many inputs."""

import shutil
import sys
import time
from typing import TextIO

from magvit_jax.training.writers import duration

_EVERY = 0.5, 30.0  # seconds between two lines on a terminal, and elsewhere


class Progress:
    """Counts inputs and clips; shows them, the speed and the time left. A context manager.

    On a terminal the line is rewritten in place.
    """

    def __init__(self, total: int, stream: TextIO | None = None):
        """`total` inputs will come; `stream` is standard error by default."""
        self._stream = sys.stderr if stream is None else stream
        self._total, self._done, self._clips = total, 0, 0
        self._in_place = self._stream.isatty()
        self._every = _EVERY[0 if self._in_place else 1]
        self._began = self._shown = time.monotonic()
        self._open_line = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._done:
            self._show()
        if self._open_line:
            self._stream.write("\n")

    def clip(self) -> None:
        """A clip more."""
        self._clips += 1
        self._maybe_show()

    def recording(self) -> None:
        """An input more is done."""
        self._done += 1
        self._maybe_show()

    def say(self, message: str) -> None:
        """A line that stays."""
        start = "\r\x1b[K" if self._open_line else ""
        self._stream.write(f"{start}{message}\n")
        self._stream.flush()
        self._open_line = False

    def _maybe_show(self) -> None:
        if time.monotonic() - self._shown >= self._every:
            self._show()

    def _show(self) -> None:
        self._shown = now = time.monotonic()
        seconds = max(now - self._began, 1e-9)
        left = ""
        if 0 < self._done < self._total:
            left = f"  ETA {duration((self._total - self._done) * seconds / self._done)}"
        percent = 100 * self._done // max(self._total, 1)
        line = (
            f"input {self._done}/{self._total} ({percent}%){left}  {self._clips} clips  "
            f"{self._clips / seconds:.1f} clips/s"
        )
        if not self._in_place:
            self.say(line)
            return
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r\x1b[K" + line[:width])
        self._stream.flush()
        self._open_line = True

"""The line that says how far the work is."""

import shutil
import sys
import time
from typing import TextIO

from magvit_jax.training.writers import duration

TERMINAL, ELSEWHERE = 0.5, 10.0  # seconds between two lines


class Progress:
    """Counts what is done, and shows it with the speed and the time left. A context manager.

    On a terminal one line is rewritten in place and wiped in the end. Elsewhere there is a line every few
    seconds, and none for work that is done before.

    Example:
        >>> import io
        >>> with Progress(400, "frames", name="a.mp4", stream=io.StringIO()) as line:
        ...     line.advance(100)
    """

    def __init__(
        self, total: int, unit: str, *, name: str = "", parts: str = "", stream: TextIO | None = None
    ):
        """Begins at none.

        Args:
          total: about how many will come.
          unit: what is counted, "frames".
          name: of the whole, put before the line.
          parts: smaller things that are counted too, "clips"; the speed is then theirs.
          stream: standard error by default.
        """
        self._total, self._unit, self._name, self._parts = total, unit, name, parts
        self._done = self._done_parts = 0
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._every = TERMINAL if self._in_place else ELSEWHERE
        self._began = self._shown = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        self._wipe()
        self._stream.flush()

    def advance(self, by: int = 1) -> None:
        """So many more are done."""
        self._done += by
        self._show()

    def part(self) -> None:
        """A part more is done."""
        self._done_parts += 1
        self._show()

    def say(self, message: str) -> None:
        """A line that stays."""
        self._wipe()
        self._stream.write(f"{message}\n")
        self._stream.flush()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < self._every:
            return
        self._shown = now
        if self._in_place:
            self._wipe()
            self._stream.write(self._line(now)[: shutil.get_terminal_size().columns - 1])
            self._stream.flush()
        else:
            self.say(self._line(now))

    def _line(self, now: float) -> str:
        seconds = max(now - self._began, 1e-9)
        percent = min(100, 100 * self._done // max(self._total, 1))
        line = f"{self._name}: " if self._name else ""
        line += f"{self._done} of {self._total} {self._unit} ({percent}%)"
        if self._parts:
            line += f"  {self._done_parts} {self._parts}"
        line += f"  {(self._done_parts if self._parts else self._done) / seconds:.1f} a second"
        if 0 < self._done < self._total:
            line += f"  ETA {duration((self._total - self._done) * seconds / self._done)}"
        return line

    def _wipe(self) -> None:
        if self._in_place:
            self._stream.write("\r\x1b[K")

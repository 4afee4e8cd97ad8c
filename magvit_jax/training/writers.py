"""Where metrics go: a JSONL file always, a progress line always, TensorBoard where asked for."""

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from magvit_jax.errors import UserError
from magvit_jax.training.workdir import METRICS_FILE, TENSORBOARD, write_text

_SHOWN = 5


class MetricWriter:
    """Writes the metrics of one run.

    Records of metrics.jsonl: {"step": N, "kind": "train" | "eval", name: value, ...}, null for a value that
    is not finite, and {"step": N, "kind": "event", "message": ...}. On the screen: a line that is rewritten
    in place on a terminal, a line a record elsewhere.
    """

    def __init__(
        self,
        workdir: Path,
        total_steps: int,
        start_step: int,
        tensorboard: bool,
        stream: TextIO | None = None,
    ):
        """Drops records after `start_step`: the run will write them again.

        Args:
          total_steps: steps of the whole run, for the progress line.
          start_step: step of the checkpoint that the run goes on from, 0 for a new run.
          tensorboard: also write event files for TensorBoard; needs TensorFlow.
          stream: where the progress line goes, standard error by default.

        Raises:
          UserError: the file cannot be written, or TensorFlow is absent.
        """
        self._path, self._total = workdir / METRICS_FILE, total_steps
        self._board = _tensorboard(workdir / TENSORBOARD) if tensorboard else None
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._open_line = False
        _truncate(self._path, start_step)
        self._file = self._path.open("a", encoding="utf-8")

    def train(self, step: int, values: Mapping[str, float], eta: float | None) -> None:
        """Means of the training metrics up to `step`; `eta` in seconds, None where not known yet."""
        self._record(step, "train", values)
        self._progress(step, values, eta)

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        """What the evaluators found at `step`."""
        self._record(step, "eval", values)
        self._line(f"evaluation at step {step}  {_shown(values, len(values))}")

    def event(self, step: int, message: str) -> None:
        """Something that happened at `step` and that the user should know."""
        self._write({"step": step, "kind": "event", "message": message})
        self._line(f"step {step}: {message}")

    def say(self, message: str) -> None:
        """A line on the screen only."""
        self._line(message)

    def close(self) -> None:
        """Ends the progress line and closes the files."""
        if self._open_line:
            self._stream.write("\n")
            self._stream.flush()
        # Every record was flushed when it was written: what fails to leave now was reported then.
        with contextlib.suppress(OSError):
            self._file.close()
        if self._board is not None:
            self._board.close()

    def _record(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        self._write({"step": step, "kind": kind, **values})
        if self._board is not None:
            self._board.write_scalars(step, {f"{kind}/{name}": value for name, value in values.items()})
            self._board.flush()

    def _write(self, record: Mapping[str, object]) -> None:
        finite = {
            key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in record.items()
        }
        try:
            self._file.write(json.dumps(finite, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written: {error.strerror}") from error

    def _progress(self, step: int, values: Mapping[str, float], eta: float | None) -> None:
        left = "" if eta is None else f"  ETA {duration(eta)}"
        line = f"step {step}/{self._total} ({100 * step // self._total}%){left}  {_shown(values, _SHOWN)}"
        if not self._in_place:
            self._line(line)
            return
        width = shutil.get_terminal_size().columns - 1
        self._stream.write("\r\x1b[K" + line[:width])
        self._stream.flush()
        self._open_line = True

    def _line(self, line: str) -> None:
        start = "\r\x1b[K" if self._open_line else ""
        self._stream.write(f"{start}{line}\n")
        self._stream.flush()
        self._open_line = False


class SilentWriter:
    """The writer of the processes that do not write."""

    def train(self, step: int, values: Mapping[str, float], eta: float | None) -> None:
        """Does nothing."""

    def evaluation(self, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""

    def event(self, step: int, message: str) -> None:
        """Does nothing."""

    def say(self, message: str) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def duration(seconds: float) -> str:
    """Seconds as "45s", "3m05s" or "2h07m"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def _shown(values: Mapping[str, float], count: int) -> str:
    """The first values, losses before others; no word of skipped updates where there are none."""
    names = sorted(values, key=lambda name: (name != "loss", "loss" not in name, name))
    names = [name for name in names if name != "skipped" or values[name]]
    return "  ".join(f"{name} {values[name]:.4g}" for name in names[:count])


def _truncate(path: Path, step: int) -> None:
    """Keeps whole records up to `step`; a killed run may leave half a line and records of steps it lost."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and record["step"] <= step:
            kept.append(line)
    write_text(path, "".join(line + os.linesep for line in kept))


def _tensorboard(folder: Path):
    try:
        from clu.metric_writers.summary_writer import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"training.tensorboard: True, but {error.name} is not installed; expected False, or "
            "`pip install 'magvit_jax[tensorboard]'`"
        ) from error
    return SummaryWriter(str(folder))

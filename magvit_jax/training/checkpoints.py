"""Checkpoints: everything that touches orbax.

A checkpoint of step N is the folder checkpoints/N with the state and, as JSON, the position in the data.
Orbax writes it under another name and renames it when it is whole. What a killed process leaves is never
taken for a checkpoint.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint.checkpoint_managers import LatestN

from magvit_jax.errors import UserError
from magvit_jax.training.state import LoopState
from magvit_jax.training.workdir import CHECKPOINTS

STATE, POSITION = "state", "position"

#: Files without which a folder is not a whole checkpoint.
_PARTS = ("_CHECKPOINT_METADATA", f"{STATE}/_METADATA", f"{STATE}/manifest.ocdbt", f"{POSITION}/metadata")


def checkpoint_steps(workdir: str | os.PathLike) -> list[int]:
    """Steps of the whole checkpoints of a workdir, ascending. Reads only."""
    return sorted(step for step, folder in _step_folders(Path(workdir)).items() if _is_whole(folder))


def latest_step(workdir: str | os.PathLike) -> int | None:
    """Step of the newest whole checkpoint of a workdir, or None. Reads only."""
    return max(checkpoint_steps(workdir), default=None)


def restore(workdir: str | os.PathLike, abstract: LoopState, step: int) -> tuple[LoopState, dict[str, Any]]:
    """(state, position) of a checkpoint.

    Args:
      abstract: shapes, dtypes and shardings, from `sharded.abstract_state`; the mesh may be another one than
        the checkpoint was written on.

    Raises:
      UserError: the checkpoint cannot be read, or belongs to another model.
    """
    folder = (Path(workdir) / CHECKPOINTS / str(step)).absolute()
    args = {STATE: ocp.args.StandardRestore(abstract), POSITION: ocp.args.JsonRestore()}
    try:
        with _one_error():
            _require_same_model(folder, abstract)
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
                found = reader.restore(folder, args=ocp.args.Composite(**args))
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: cannot be read: {_one_line(error)}; delete it to go on from an earlier checkpoint"
        ) from error
    return found[STATE], found[POSITION]


class Checkpoints:
    """The checkpoints of a run that is under way.

    `save` returns when the state is copied off the devices and writes it in the background; every process
    calls every method. A write that failed (a full disk) raises at the next call; only a whole checkpoint makes older
    ones go.
    """

    def __init__(self, workdir: Path, keep: int):
        """Removes what a killed process left half-written.

        Args:
          keep: how many of the newest checkpoints to keep, at least 1.
        """
        if keep < 1:
            raise UserError(f"training.checkpoint_keep: {keep}; expected 1 or more")
        self._folder = (workdir / CHECKPOINTS).absolute()
        self.removed = _remove_half_written(workdir) if jax.process_index() == 0 else []
        multihost_utils.sync_global_devices("checkpoints cleaned")
        self._pending: int | None = None
        self._quiet = _one_error()
        self._quiet.__enter__()
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=LatestN(keep),
                save_interval_steps=1,
                enable_async_checkpointing=True,
            ),
        )

    def save(self, step: int, state: LoopState, position: Mapping[str, Any]) -> None:
        """Starts to write a checkpoint, after the one before it is finished.

        Raises:
          UserError: it, or the one before it, could not be written.
        """
        self.wait()
        self._pending = step
        args = {STATE: ocp.args.StandardSave(state), POSITION: ocp.args.JsonSave(dict(position))}
        self._guard(lambda: self._manager.save(step, args=ocp.args.Composite(**args), force=True))

    def wait(self) -> None:
        """Returns when nothing is being written.

        Raises:
          UserError: the last checkpoint could not be written.
        """
        if self._pending is not None:
            self._guard(self._manager.wait_until_finished)
            self._pending = None

    def check(self) -> None:
        """Never waits; call it once a step, so that a run does not go on for long without its checkpoints.

        Raises:
          UserError: the last checkpoint could not be written.
        """
        if self._pending is not None and not self._manager.is_saving_in_progress():
            self.wait()

    def close(self) -> None:
        """Finishes what is being written and ends the background threads.

        Never raises, so that it does not hide the error that ends a run; `wait` tells of a failed write.
        """
        with contextlib.suppress(Exception):
            self._manager.close()
        self._quiet.__exit__(None, None, None)

    def _guard(self, call) -> None:
        step = self._pending
        try:
            call()
        except Exception as error:
            self._pending = None
            raise UserError(
                f"{self._folder}: the checkpoint of step {step} could not be written: {_one_line(error)}; "
                "earlier checkpoints are unharmed"
            ) from error


def _step_folders(workdir: Path) -> dict[int, Path]:
    folder = workdir / CHECKPOINTS
    if not folder.is_dir():
        return {}
    return {int(entry.name): entry for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir()}


def _is_whole(folder: Path) -> bool:
    if not all((folder / part).is_file() for part in _PARTS):
        return False
    try:
        json.loads((folder / POSITION / "metadata").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _remove_half_written(workdir: Path) -> list[str]:
    """Removes what has a temporary name of orbax's, and step folders that lack a part; gives their names."""
    folder = workdir / CHECKPOINTS
    if not folder.is_dir():
        return []
    half = [entry for entry in folder.iterdir() if ".orbax-checkpoint-tmp" in entry.name]
    half += [entry for entry in _step_folders(workdir).values() if not _is_whole(entry)]
    for entry in half:
        shutil.rmtree(entry)
    return sorted(entry.name for entry in half)


def _require_same_model(folder: Path, abstract: LoopState) -> None:
    """Orbax would pad or cut an array of another shape without a word."""
    handlers = {STATE: ocp.StandardCheckpointHandler(), POSITION: ocp.JsonCheckpointHandler()}
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler(**handlers)) as reader:
        saved = reader.metadata(folder).item_metadata[STATE]
    saved = {_name(path): tuple(x.shape) for path, x in jax.tree_util.tree_leaves_with_path(saved)}
    for path, x in jax.tree_util.tree_leaves_with_path(abstract):
        shape = saved.pop(_name(path), None)
        if shape != x.shape:
            was = "absent" if shape is None else f"of shape {shape}"
            raise UserError(f"{folder}: another model: {_name(path)} is {was}, expected shape {x.shape}")
    if saved:
        raise UserError(f"{folder}: another model: {next(iter(saved))} is not part of this one")


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path)


def _one_line(error: BaseException) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0].split(" [tensorstore_spec")[0]
    return line if len(line) <= 300 else f"{line[:100]} ... {line[-200:]}"


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    """Inside, one failure is one exception.

    Without it, orbax's threads also print the tracebacks of what they then raise, tensorstore prints one for every
    array that answers after the event loop has ended on the first failure, and asyncio one for every other array
    that failed too. Asyncio's come when the tasks are collected, which may be after the end of this context, so
    that filter stays.
    """

    def not_raised_again(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR or "orbax" not in record.pathname

    def not_too_late(unraisable) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            previous(unraisable)

    logging.getLogger("asyncio").addFilter(_not_of_another_array)
    previous, log = sys.unraisablehook, logging.getLogger("absl")
    log.addFilter(not_raised_again)
    sys.unraisablehook = not_too_late
    try:
        yield
    finally:
        sys.unraisablehook = previous
        log.removeFilter(not_raised_again)


def _not_of_another_array(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    unseen = "exception was never retrieved" in record.getMessage()  # of a task, or of a future
    return not (unseen and "[tensorstore_spec=" in str(error))

"""The files of a training workdir besides checkpoints, and whose workdir it is.

    config.json       {"config": ..., "extra": ...}: what the run is
    metrics.jsonl     one JSON object a line: step, kind, values
    checkpoints/      one folder a step
    tensorboard/      where asked for
    profile/          traces, where asked for
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from magvit_jax.errors import UserError

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
PROFILE = "profile"
LOCK_FILE = ".lock"

#: Keys, and groups of keys, that may change between two starts in the same workdir: they change how long, how
#: fast and how closely watched a run is. A longer run goes on with the schedule of its new length.
FREE_KEYS = (
    "mesh",
    "sharding_rules",
    "profile",
    "data.workers",
    "data.cache_mb",
    "training.steps",
    "training.log_every",
    "training.eval_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.checkpoint_keep",
    "training.max_nonfinite",
    "training.tensorboard",
)


def load_config(workdir: str | os.PathLike) -> ConfigDict:
    """The config that a workdir was trained with; sequences come back as tuples.

    Raises:
      UserError: there is none, or it is not readable.
    """
    return ConfigDict(_tuples(_read(Path(workdir))["config"]))


def load_extra(workdir: str | os.PathLike) -> dict[str, Any]:
    """The `extra` that `train` was given (names of the classes and the like), as plain JSON values."""
    return _read(Path(workdir))["extra"]


@contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """Keeps a second run out of the workdir; the lock ends with the process, however that ends.

    Raises:
      UserError: another process trains in the workdir, or it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / LOCK_FILE).open("w")
    except OSError as error:
        raise UserError(f"{workdir}: cannot be used as a workdir: {error.strerror}") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"{workdir}: cannot be locked ({error.strerror}): another run uses it") from error
        yield


def claim(
    workdir: Path, config: ConfigDict, extra: Mapping[str, Any], free_keys: Sequence[str], write: bool
) -> None:
    """Makes the workdir this run's, or checks that it already is.

    Args:
      extra: plain JSON values that belong to what the run is.
      free_keys: keys and groups of keys that may differ from what is there.
      write: whether this process writes the file.

    Raises:
      UserError: the workdir holds another config (names the first key that differs), or cannot be written.
    """
    record = {"config": _plain(config.to_dict()), "extra": _plain(dict(extra))}
    path = workdir / CONFIG_FILE
    if path.exists():
        _require_same(path, _read(workdir), record, free_keys)
    elif (workdir / CHECKPOINTS).exists() and write:
        raise UserError(f"{workdir}: has checkpoints but no {CONFIG_FILE}; expected both or neither")
    if write:
        write_text(path, json.dumps(record, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all.

    Raises:
      UserError: it cannot be written; what was there before is unharmed.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def _read(workdir: Path) -> dict[str, Any]:
    path = workdir / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{workdir}: no {CONFIG_FILE}; expected the workdir of a training run")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(record, dict) or set(record) != {"config", "extra"}:
        raise UserError(f"{path}: expected an object with 'config' and 'extra'")
    return record


def _require_same(path: Path, old: Mapping, new: Mapping, free_keys: Sequence[str]) -> None:
    for part in ("config", "extra"):
        before, now = _flat(old[part]), _flat(new[part])
        for key in [*now, *(key for key in before if key not in now)]:
            if any(key == free or key.startswith(free + ".") for free in free_keys):
                continue
            if (key in before, before.get(key)) != (key in now, now.get(key)):
                was, is_now = (json.dumps(x[key]) if key in x else "absent" for x in (before, now))
                raise UserError(
                    f"{path}: another {part}: {key} was {was}, is {is_now}; expected a workdir of this {part}"
                )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _plain(tree: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be read back, so that comparing never finds a difference that JSON made."""
    try:
        return json.loads(json.dumps(tree, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UserError(f"config: not expressible as JSON: {error}") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(x) for key, x in value.items()}
    return tuple(_tuples(x) for x in value) if isinstance(value, list) else value

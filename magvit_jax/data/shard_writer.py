"""Writing a folder of shards so that it may be killed at any point, and by several processes at once.

A shard has its name only once it is whole and on the disk, and the index says "finished" only once all of
them have. Until then `.progress/` holds what is known of each finished shard. Processes share nothing but the
files, and no locks, which not every file system of a cluster has: what two of them might write at once is the
same in both.
"""

import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter

from magvit_jax.data.shards import INDEX, Index, Shard, Skipped, file_size, is_shards, parse_index
from magvit_jax.errors import UserError

_PROGRESS = ".progress"
# A chunk a record, as random access wants. Why so compressed: `data/records.py`.
_OPTIONS = {"tokens": "group_size:1,uncompressed", "clips": "group_size:1,zstd:3"}


class ShardFolder:
    """A folder of shards that is being written.

    Raises:
      UserError: the folder holds something else, or shards of another identity (names the first difference),
        or cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, identity: Mapping[str, Any]):
        self.folder = Path(os.path.abspath(folder))
        self._identity = json.loads(json.dumps(identity, allow_nan=False))
        if not is_shards(self.folder):
            _require_empty(self.folder)
        if not is_shards(self.folder):  # another process may have begun it meanwhile
            _write_text(self.folder / INDEX, Index(self._identity, {}).to_text())
        _require_same(self.folder, parse_index(self.folder).identity, self._identity)

    def is_done(self, number: int) -> bool:
        """Whether a shard is there, whole."""
        return number in self._finished([number])

    def write(self, number: int, records: Iterable[bytes], skipped: Callable[[], Iterable[Skipped]]) -> Shard:
        """Writes a shard, whole or not at all.

        Args:
          records: what goes into it, in order.
          skipped: called after the last record: inputs that left none.

        Raises:
          UserError: the disk is full or cannot be written, or another process writes this shard.
        """
        identity = self._identity
        name = f"{identity['kind']}-{number:05d}-of-{identity['shard_count']:05d}.array_record"

        def fill(partial: Path) -> Shard:
            count = _write_records(partial, records, _OPTIONS[identity["kind"]])
            shard = Shard(name, count, partial.stat().st_size, tuple(skipped()))
            # Noted before it is there: what is there is always known.
            _write_text(self._note(number), json.dumps(dataclasses.asdict(shard)))
            return shard

        _remove_partials(self.folder / name)
        return _put(self.folder / name, fill)

    def finish(self) -> Index:
        """Writes the index if all shards are there, whoever wrote them. Gives what there is."""
        index = Index(self._identity, self._finished(range(self._identity["shard_count"])))
        if index.finished:
            if (self.folder / INDEX).read_text(encoding="utf-8") != index.to_text() + "\n":
                _write_text(self.folder / INDEX, index.to_text())
            _remove_partials(self.folder / INDEX)
            shutil.rmtree(self.folder / _PROGRESS, ignore_errors=True)
        return index

    def _note(self, number: int) -> Path:
        return self.folder / _PROGRESS / f"{number:05d}.json"

    def _finished(self, numbers: Iterable[int]) -> dict[int, Shard]:
        """Those of the shards that are there, by their notes, or by the index where it has taken the notes'
        place."""
        shards = {number: self._noted(number) for number in numbers}
        if None in shards.values():
            listed = parse_index(self.folder).shards
            shards = {number: shard or listed.get(number) for number, shard in shards.items()}
        return {
            n: s for n, s in shards.items() if s is not None and file_size(self.folder / s.name) == s.bytes
        }

    def _noted(self, number: int) -> Shard | None:
        try:
            return Shard.from_json(json.loads(self._note(number).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


def _require_empty(folder: Path) -> None:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; expected a new or empty folder") from error
    if names and INDEX not in names:
        raise UserError(
            f"{folder}: holds {names[0]} and no {INDEX}; expected a new or empty folder, or one to go on with"
        )


def _require_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """UserError naming the first difference between two identities."""
    found, wanted = _flat(found), _flat(wanted)
    for key in [*wanted, *(key for key in found if key not in wanted)]:
        if (key in found, found.get(key)) != (key in wanted, wanted.get(key)):
            was, is_now = (json.dumps(x[key]) if key in x else "absent" for x in (found, wanted))
            raise UserError(
                f"{folder}: was written with another {key.split('.')[0]}: {key} was {was}, is {is_now}; "
                "expected the same, or a new folder"
            )


def _flat(tree: Mapping[str, Any] | list, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping | list) else {name: value}
    return flat


def _write_records(path: Path, records: Iterable[bytes], options: str) -> int:
    """How many there were."""
    writer = _disk(ArrayRecordWriter, str(path), options)
    count = 0
    try:
        for record in records:
            _disk(writer.write, record)
            count += 1
    finally:
        _disk(writer.close)
    return count


def _disk(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the library calls a RuntimeError is the disk's: "write() failed: No space left on device; ..."."""
    try:
        return call(*arguments)
    except RuntimeError as error:
        raise OSError(str(error).split(";")[0].split("\n")[0]) from error


def _put(path: Path, fill: Callable[[Path], Any]) -> Any:
    """Has `fill` write a hidden file beside `path`, which then takes its place."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            result = fill(partial)
            _sync(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{path}: cannot be written: {reason}; finished shards are unharmed, and the same command goes on"
        ) from error
    return result


def _remove_partials(path: Path) -> None:
    """Those of a process that was killed. One that is alive and writes the same file ends with an error."""
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_text(path: Path, text: str) -> None:
    try:
        _put(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))
    except UserError:
        # Another process that has just written the same may have taken ours for that of a killed one.
        if not path.is_file() or path.read_text(encoding="utf-8") != text + "\n":
            raise

"""Folders of ArrayRecord shards: clips of pixels, or token ids, with an index that says what they are.

    index.json                          what was written, from what, by which tokenizer; shards, skipped inputs
    KIND-00003-of-00064.array_record    records as in `data/records.py`, each readable by itself

This file reads them; `data/shard_writer.py` writes them.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import grain
import numpy as np

from magvit_jax.data import records
from magvit_jax.errors import UserError

FORMAT_VERSION = 1
INDEX = "index.json"
KINDS = ("clips", "tokens")


@dataclasses.dataclass(frozen=True)
class Skipped:
    """An input that could not be used, or only its first `clips` clips, and why."""

    name: str
    reason: str
    clips: int = 0


@dataclasses.dataclass(frozen=True)
class Shard:
    """A finished shard: its file's name and size, how many records it has, and which inputs left none."""

    name: str
    records: int
    bytes: int
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Shard":
        """As `dataclasses.asdict` gave it. Raises KeyError and TypeError where it did not."""
        skipped = tuple(Skipped(**entry) for entry in content["skipped"])
        return cls(content["name"], content["records"], content["bytes"], skipped)


@dataclasses.dataclass(frozen=True)
class Index:
    """What an index.json says.

    Attributes:
      identity: everything that decides what is in the shards, as plain JSON values: kind, shard_count,
        class_names, clip (frames, height, width, stride, ...), shape of a record, input, and of tokens the
        tokenizer.
      shards: finished shards by number.
    """

    identity: Mapping[str, Any]
    shards: Mapping[int, Shard]

    @property
    def finished(self) -> bool:
        """Whether every shard is there."""
        return len(self.shards) == self.identity["shard_count"]

    @property
    def records(self) -> int:
        """In all shards."""
        return sum(shard.records for shard in self.shards.values())

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Of all shards, by name."""
        every = (skipped for shard in self.shards.values() for skipped in shard.skipped)
        return tuple(sorted(every, key=lambda skipped: skipped.name))

    def to_text(self) -> str:
        """The file's content; of an unfinished folder the shards are left out."""
        content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "identity": self.identity,
            "finished": self.finished,
        }
        if self.finished:
            listed = [dataclasses.asdict(self.shards[number]) for number in sorted(self.shards)]
            content |= {"records": self.records, "skipped": len(self.skipped), "shards": listed}
        return json.dumps(content, indent=1)


def is_shards(folder: str | os.PathLike) -> bool:
    """Whether there is an index in the folder."""
    return (Path(folder) / INDEX).is_file()


def parse_index(folder: Path) -> Index:
    """The index of a folder as it stands in the file: without shards where it is not finished. Raises
    UserError."""
    path = folder / INDEX
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {INDEX}; expected a folder of shards") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {version!r}; this version of magvit_jax reads {FORMAT_VERSION}"
        )
    try:
        return Index(content["identity"], dict(enumerate(map(Shard.from_json, content.get("shards", ())))))
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: changed since it was written: {error}") from error


def read_index(folder: str | os.PathLike, kind: str) -> Index:
    """The index of a folder that is whole.

    Args:
      kind: one of `KINDS`, what is expected there.

    Raises:
      UserError: there is none, it is not finished, holds another kind, or a shard is missing or cut off.
    """
    folder = Path(folder)
    index = parse_index(folder)
    if index.identity["kind"] != kind:
        raise UserError(f"{folder}: holds shards of {index.identity['kind']}; expected shards of {kind}")
    if not index.finished:
        raise UserError(f"{folder}: not finished; run the command that writes it again, it goes on")
    for shard in index.shards.values():
        if (size := file_size(folder / shard.name)) != shard.bytes:
            found = "is missing" if size is None else f"has {size} bytes"
            raise UserError(f"{folder / shard.name} {found}; expected {shard.bytes} bytes, as {INDEX} says")
    return index


def file_size(path: Path) -> int | None:
    """In bytes; None where there is no such file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


@dataclasses.dataclass(frozen=True)
class _Instruction:
    """Which records of a file to read, in the form that ArrayRecord's data source takes; saves it opening
    each."""

    filename: str
    skip: int
    take: int
    examples_in_shard: int


class ShardReader:
    """Random access to the records of shards. Safe in threads; another process opens the files anew."""

    def __init__(self, folder: str | os.PathLike, shards: Iterable[Shard]):
        files = [(os.path.join(folder, shard.name), shard.records) for shard in shards if shard.records]
        self._folder = os.fspath(folder)
        instructions = [_Instruction(name, 0, count, count) for name, count in files]
        self._source = grain.sources.ArrayRecordDataSource(instructions) if files else []

    def __len__(self) -> int:
        return len(self._source)

    def read(self, number: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Array and header of a record, as of `records.decode`. UserError where it is damaged."""
        try:
            return records.decode(self._source[number])
        except (RuntimeError, records.BadRecord) as error:
            raise UserError(f"{self._folder}: record {number} is damaged: {error}") from error

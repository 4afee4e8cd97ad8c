"""Metrics on disk (JSON lines) to the lines of a chart."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from magvit_jax.errors import UserError
from magvit_jax.media.curves import Series


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """The records of a JSONL file of metrics, one JSON object a line.

    A last line that was cut off, as a killed run leaves it, is dropped.

    Raises:
        UserError: the file is missing, or a line before the last is not a JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected metrics as JSON lines")
    lines = path.read_text(encoding="utf-8").splitlines()
    records = []
    for index, line in enumerate(lines, start=1):
        try:
            record = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            if index == len(lines):
                break
            raise UserError(f"{path}: line {index} is not JSON ({error.msg})") from error
        if not isinstance(record, dict):
            raise UserError(f"{path}: line {index} is not a JSON object")
        records.append(record)
    return [record for record in records if record]


def series_from_records(
    records: Iterable[Mapping], key: str, name: str | None = None, x: str = "step"
) -> Series:
    """The line of `key` over `x`, from those records that have both; `name` is `key` unless given."""
    found = [(record[x], record[key]) for record in records if x in record and record.get(key) is not None]
    return Series(key if name is None else name, [point[0] for point in found], [point[1] for point in found])

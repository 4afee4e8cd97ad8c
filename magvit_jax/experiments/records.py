"""What a table's runs gave, as one small JSON file that pages and claims are made from."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.experiments import files
from magvit_jax.experiments.models import models
from magvit_jax.experiments.tables import Column, Row, Table
from magvit_jax.media.atomic import write_bytes

KEPT = (
    "model", "seed", "config", "steps", "fingerprint", "train_seconds", "measure_seconds", "parameters", "values",
    "missing",
)  # fmt: skip


#: Why a cell is empty that only waits for somebody to run it.
READY = "ready to run"


@dataclasses.dataclass(frozen=True)
class Record:
    """The results of one table at one scale.

    Attributes:
      table, scale: the table's key; "mini" or "paper".
      data: what it ran on, for people.
      made_with: versions and device.
      runs: of every model and seed that ran, the keys of `KEPT`.
      skipped: by model, why it did not run.
    """

    table: str
    scale: str
    data: str
    made_with: Mapping[str, str]
    runs: Sequence[Mapping[str, Any]]
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def values(self, model: str, measure: str) -> dict[int, float]:
        """By seed, what was measured of a model under that name; empty where it was not."""
        found = {}
        for run in self.runs:
            values = run["values"] | dict(parameters=run.get("parameters"))
            if run["model"] == model and values.get(measure) is not None:
                found[run["seed"]] = float(values[measure])
        return dict(sorted(found.items()))

    def cell(self, row: Row, column: Column) -> dict[int, float]:
        """By seed, our numbers of a cell; empty where there are none, see `why_empty`."""
        model, measure = row.model_of(column), measure_of(column, self.scale)
        return self.values(model, measure) if model and measure else {}

    def why_empty(self, row: Row, column: Column) -> str:
        """Why we have no number in a cell."""
        model = row.model_of(column)
        if not model:
            return row.why_not
        if self.scale == "mini" and not models()[model].mini:
            return models()[model].why_not_mini
        if self.scale == "mini" and not column.mini:
            return column.why_not_mini or f"nothing stands in for {column.name} at mini scale"
        measure, runs = measure_of(column, self.scale), (run for run in self.runs if run["model"] == model)
        lacking = [run.get("missing", {}).get(measure) for run in runs]
        return next(filter(None, lacking), self.skipped.get(model, "not measured"))


def measure_of(column: Column, scale: str) -> str:
    """The name of what is measured of a column's models: "" where nothing is."""
    if scale == "mini":
        return column.mini
    return " ".join(part for part in (column.metric, column.protocol, column.task) if part)


def text_of(numbers: Mapping[int, float]) -> str:
    """Mean, deviation over seeds and how many: "1.23 ± 0.04 (5)"; numbers that no seed changes stand alone."""
    values = np.array(list(numbers.values()))
    if len(values) == 1 or np.ptp(values) == 0.0:
        return _short(values[0]) + (f" ({len(values)})" if not float(values[0]).is_integer() else "")
    return f"{_short(values.mean())} ± {_short(values.std(ddof=1), 2)} ({len(values)})"


def _short(value: float, digits: int = 4) -> str:
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def path_of(folder: Path, table: str, scale: str) -> Path:
    return folder / f"{table}_{scale}.json"


def write(record: Record, folder: Path) -> Path:
    """The record as `TABLE_SCALE.json` in the folder."""
    content = dataclasses.asdict(record)
    content["runs"] = [{key: run[key] for key in KEPT if key in run} for run in record.runs]
    return write_bytes(path_of(folder, record.table, record.scale), (json.dumps(content, indent=1) + "\n").encode())


def read(path: Path) -> Record:
    """A record. UserError where the file is none."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no results of a table: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: no results of a table; expected an object")
    return files.build(Record, content, str(path))


def stored(folder: Path) -> dict[tuple[str, str], Record]:
    """All records of a folder, by table and scale."""
    records = [read(path) for path in sorted(folder.glob("*.json"))]
    return {(record.table, record.scale): record for record in records}


def empty(table: Table, scale: str) -> Record:
    """Of a table that never ran."""
    return Record(table.key, scale, "", {}, (), dict.fromkeys(table.models, READY))

"""The thesis's tables and figures as data: what it reports, and which of our models makes each cell.

A file `experiments/<chapter>/table_6_8.toml` or `figure_5_1.toml` is one `Table`. Its cells are the thesis's own text,
"76 ± 0.1" or "94*"; what the extracted text does not show is `UNREADABLE`, never a guess.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from magvit_jax.errors import UserError
from magvit_jax.experiments import files

Better = Literal["higher", "lower", ""]
Side = tuple[str, str]  # (row, column) of a claim
UNREADABLE = "not readable"
OTHERS = "another paper's system"
#: Metrics that columns name; "setting" is text that says what a row is.
METRICS = (
    "fvd", "fid", "is", "video_is", "psnr", "ssim", "ms_ssim", "lpips", "fad", "clip_score", "clipsim", "accuracy",
    "l1", "l2", "codebook_use", "entropy_bits", "parameters", "tokens", "decoding_steps", "epochs",
    "frames_per_second", "seconds_per_frame", "transformer_seconds_per_frame", "decoder_seconds_per_frame", "human",
    "setting",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of figures.

    Attributes:
      id, name: the key in this file, and the thesis's heading without its arrow.
      metric: one of `METRICS`.
      better: which direction is; "" of what is no quality.
      dataset: the data set's key in datasets.toml; "" where there is none.
      protocol: how the thesis measured, by the name that results carry.
      task: of a generator, the task that is measured.
      mini: the name of what stands in for it at mini scale; "" where nothing does.
      why_not_mini: why nothing does.
    """

    id: str
    name: str
    metric: str
    better: Better = ""
    dataset: str = ""
    protocol: str = ""
    task: str = ""
    mini: str = ""
    why_not_mini: str = ""

    @property
    def measured(self) -> bool:
        """Whether it is a figure that we could measure, and not text that says what a row is."""
        return self.metric not in ("setting", "epochs")

    @property
    def heading(self) -> str:
        return self.name + {"higher": "↑", "lower": "↓", "": ""}[self.better]


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
      id, system: the key in this file, and the thesis's name with its reference.
      values: the thesis's text in every column, in their order.
      model: the key of our model of every measured column; "" where we have none.
      models: the same of single columns, before `model`.
      why_not: why there is no model; the table's own where it says nothing.
    """

    id: str
    system: str
    values: tuple[str, ...]
    model: str = ""
    models: Mapping[str, str] = dataclasses.field(default_factory=dict)
    why_not: str = ""

    def model_of(self, column: Column) -> str:
        return self.models.get(column.id, self.model) if column.measured else ""


@dataclasses.dataclass(frozen=True)
class Claim:
    """That one cell is better than another, by the direction of the better one's column."""

    id: str
    says: str
    better: Side
    worse: Side


@dataclasses.dataclass(frozen=True)
class Table:
    """One table or figure.

    Attributes:
      number: of the thesis, "6.8" or "5.7d"; a figure's key is "fig6.8".
      unreadable: what of it the extracted text does not hold; "" where nothing is missing.
      facts: what the text says about it in words and figures, where the picture itself is not readable.
      why_not: why rows without a model have none.
    """

    number: str
    kind: Literal["table", "figure"]
    section: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    note: str = ""
    unreadable: str = ""
    facts: tuple[str, ...] = ()
    why_not: str = OTHERS

    @property
    def key(self) -> str:
        return ("fig" if self.kind == "figure" else "") + self.number

    @property
    def name(self) -> str:
        return f"{'Fig.' if self.kind == 'figure' else 'Tab.'} {self.number}"

    @property
    def chapter(self) -> str:
        return self.number.split(".")[0]

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.id == name)

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.id == name)

    def value(self, row: str, column: str) -> str:
        """The thesis's text in a cell."""
        return self.row(row).values[[one.id for one in self.columns].index(column)]

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that one of its cells is made with, once."""
        found = [row.model_of(column) for row in self.rows for column in self.columns]
        return tuple(dict.fromkeys(name for name in found if name))


def figure(text: str) -> float | None:
    """The number that a cell says, without its deviation, unit or star; None where it says none."""
    match = re.match(r"\s*(-?[\d,]*\.?\d+)", text)
    return float(match[1].replace(",", "")) if match else None


def parse(content: Mapping[str, Any], where: str) -> Table:
    """A table from a file's content.

    Raises:
      UserError: unknown or missing keys, rows of another length, names that are not there, or two of one name.
    """
    content = dict(content)
    for name, kind in (("columns", Column), ("rows", Row), ("claims", Claim)):
        parts = content.get(name, [])
        content[name] = [files.build(kind, part, f"{where}: {name[:-1]} {i + 1}") for i, part in enumerate(parts)]
    table = files.build(Table, content, where)
    _check(table, where)
    rows = (dataclasses.replace(row, why_not=row.why_not or table.why_not) for row in table.rows)
    return dataclasses.replace(table, rows=tuple(rows))


def _check(table: Table, where: str) -> None:
    columns, rows = ([one.id for one in part] for part in (table.columns, table.rows))
    for kind, names in (("column", columns), ("row", rows), ("claim", [claim.id for claim in table.claims])):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise UserError(f"{where}: two {kind}s are called {min(twice)!r}; expected one")
    for column in table.columns:
        if column.metric not in METRICS or column.better not in get_args(Better):
            raise UserError(
                f"{where}: column {column.id!r} has metric {column.metric!r} and better {column.better!r}; expected "
                f"one of {', '.join(METRICS)} and one of higher, lower and nothing"
            )
    for row in table.rows:
        if len(row.values) != len(columns):
            raise UserError(f"{where}: row {row.id!r} has {len(row.values)} values; expected {len(columns)}")
        if not set(row.models) <= set(columns):
            raise UserError(f"{where}: row {row.id!r} has models of {sorted(set(row.models) - set(columns))}")
    for claim in table.claims:
        for row, column in (claim.better, claim.worse):
            if row not in rows or column not in columns:
                raise UserError(f"{where}: claim {claim.id!r} is about ({row}, {column}), which is no cell")


@functools.cache
def tables() -> Mapping[str, Table]:
    """All of them by key, in the order of the thesis."""
    found: dict[str, Table] = {}
    for path in sorted(files.folder().glob("chapter*/*.toml")):
        if path.stem.startswith(("table_", "figure_")):
            table = parse(files.read(path), str(path))
            expected = _file_name(table)
            if path.stem != expected:
                raise UserError(f"{path}: is {table.name}; expected in {expected}.toml")
            found[table.key] = table
    return dict(sorted(found.items(), key=lambda item: _order(item[1])))


def load(key: str) -> Table:
    """The table of a key such as "6.3", "5.7d" or "fig6.8". UserError where there is none, naming those there are."""
    name = key.lower().removeprefix("tab").removeprefix("le").lstrip(". ")
    name = re.sub(r"^fig(ure)?[. ]*", "fig", name)
    if name not in tables():
        raise UserError(f"--table={key}: no such table; expected one of {', '.join(tables())}")
    return tables()[name]


def path_of(table: Table) -> Path:
    """The file that holds it."""
    return files.folder() / f"chapter{table.chapter}" / f"{_file_name(table)}.toml"


def _file_name(table: Table) -> str:
    return f"{table.kind}_{table.number.replace('.', '_')}"


def _order(table: Table) -> tuple[int, int, str, str]:
    chapter, number, letter = re.fullmatch(r"(\d+)\.(\d+)(\w?)", table.number).groups()
    return int(chapter), int(number), letter, table.kind

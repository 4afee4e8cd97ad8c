"""`magvit experiment`: a table's runs made where they are missing, its page written, its claims checked."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from magvit_jax.errors import UserError
from magvit_jax.experiments import report
from magvit_jax.experiments.records import READY, Record, write
from magvit_jax.experiments.runs import RESULT, Runs, Scale, made_with
from magvit_jax.experiments.tables import Table
from magvit_jax.media.atomic import write_bytes


def run(
    table: Table,
    workdir: Path,
    scale: Scale,
    *,
    seeds: Sequence[int],
    rows: Sequence[str] = (),
    say: Callable[[str], None],
) -> Record:
    """Makes what is missing of the rows, and writes the record and the pages.

    All rows of a seed come before the next seed. The record has every finished run of the table in this workdir, also
    of earlier calls.

    Args:
      rows: ids of rows; all rows of ours by default.

    Raises:
      UserError: a row that the table has not, or nothing that can be run at this scale, with the reason.
    """
    runs = Runs(workdir, scale, say)
    reasons = {name: scale.why_not(name) for name in _models(table, rows)}
    wanted = [name for name, reason in reasons.items() if not reason]
    if not wanted:
        why = next(iter(reasons.values()), "no row of it is ours")
        raise UserError(f"table {table.key} at {scale.name} scale: {why}")
    for number, seed in enumerate(seeds, 1):
        for model in wanted:
            say(f"seed {seed} ({number} of {len(seeds)}): {model}")
            runs.result(model, seed)
    record = gather(table, runs)
    write_pages(table, record, workdir)
    return record


def gather(table: Table, runs: Runs) -> Record:
    """The record of every finished run of the table in the workdir, with today's recipe."""
    found, skipped = [], {}
    for model in table.models:
        why = runs.scale.why_not(model)
        skipped[model] = why or READY
        for path in sorted(runs.workdir.glob(f"runs/{model}_s*_*/{RESULT}")) if not why else ():
            result = json.loads(path.read_text())
            if result["model"] == model and path.parent == runs.folder(model, result["seed"]):
                found.append(result)
                skipped.pop(model, None)
    found.sort(key=lambda result: (table.models.index(result["model"]), result["seed"]))
    return Record(table.key, runs.scale.name, runs.scale.data_name, made_with(), found, skipped)


def write_pages(table: Table, record: Record, workdir: Path) -> tuple[Path, Path]:
    """The record, and the table as Markdown and as a page, in `workdir`; gives the paths of the two pages."""
    write(record, workdir)
    paths = tuple(workdir / f"{table.key}_{record.scale}.{ending}" for ending in ("md", "html"))
    for path, text in zip(paths, (report.as_markdown(table, record), report.as_html(table, record)), strict=True):
        write_bytes(path, text.encode())
    return paths


def _models(table: Table, rows: Sequence[str]) -> tuple[str, ...]:
    """The models of some rows, or of all."""
    known = [row.id for row in table.rows]
    for name in rows:
        if name not in known:
            raise UserError(f"--rows={name}: table {table.key} has no such row; expected some of {', '.join(known)}")
    chosen = tuple(row for row in table.rows if not rows or row.id in rows)
    return dataclasses.replace(table, rows=chosen).models

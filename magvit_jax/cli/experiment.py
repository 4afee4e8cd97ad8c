"""magvit experiment: a table of the thesis with our column beside its own."""

import argparse
import functools
import sys

from magvit_jax.errors import UserError
from magvit_jax.experiments import mini, paper, records, report, tables
from magvit_jax.experiments.experiment import run as run_table

SEEDS = {"mini": "5", "paper": "1"}


def run(args: argparse.Namespace) -> None:
    if args.list or not args.table:
        print(listing())
        return
    table = tables.load(args.table)
    if args.commands:
        print("\n".join(line for _, line in report.command_lines(table)) or f"{table.name}: no row is ours")
        return
    if args.workdir is None:
        raise UserError("--workdir is missing: expected a folder for the runs and the pages")
    say = functools.partial(print, file=sys.stderr, flush=True)
    numbers = seeds(args.seeds or SEEDS[args.scale])
    rows = tuple(args.rows.split(",")) if args.rows else ()
    if args.scale == "mini":
        scale = mini.load(args.videos)
    else:
        scale = paper.Scale(table, args.data, args.weights_dir, say)
    record = run_table(table, args.workdir, scale, seeds=numbers, rows=rows, say=say)
    if args.results is not None:
        say(f"results: {records.write(record, args.results)}")
    print(report.as_markdown(table, record))
    print(f"page: {args.workdir / f'{table.key}_{record.scale}.html'}")


def seeds(text: str) -> tuple[int, ...]:
    """ "5" are the seeds 0 to 4; "0,3" these two, "3," only that one."""
    try:
        if "," in text:
            found = tuple(int(part) for part in text.split(",") if part)
        else:
            found = tuple(range(int(text)))
    except ValueError:
        found = ()
    if not found or min(found) < 0:
        raise UserError(f"--seeds={text}: expected how many, such as 5, or which, such as 0,3")
    return found


def listing() -> str:
    """Every table and figure, its key first, and whether something of it can be run."""
    lines = []
    for table in tables.tables().values():
        ours = f"{len(table.models)} models of ours, {len(table.claims)} claims"
        lines.append(f"{table.key:8} {table.title} ({ours})")
    return "\n".join(lines)

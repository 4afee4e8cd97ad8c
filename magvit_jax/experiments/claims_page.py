"""docs/claims.md: every claim of the thesis's tables, and what our stored runs say of it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from magvit_jax.experiments import claims, records
from magvit_jax.experiments.claims import State, Verdict
from magvit_jax.experiments.paired import markdown
from magvit_jax.experiments.records import READY, Record
from magvit_jax.experiments.report import claim_row
from magvit_jax.experiments.tables import Table, tables

HEADER = ("Claim", "Thesis", "Ours at mini scale", "Measured", "Difference (interval)", "p", "Verdict")
INTRO = """# Claims

Which cell of the thesis's tables beats which, and what came of it here. This page is made by
`python tools/make_claims.py` from the results stored in `experiments/results/`, which `magvit experiment` writes;
nothing on it is written by hand.

Ours are runs at mini scale: the same configs, shrunk to minutes on two processor cores, on embedded clips
(`experiments/mini.toml`). FVD, FID and their networks are not measured there; "Measured" says what stands in for them,
and its numbers compare with each other only, never with the thesis's. A verdict needs five paired seeds:

- **reproduced**: exact sign-flip test p <= 1/16 and an interval of the mean difference without 0, on the thesis's
  side;
- **not reproduced**: the same, for the other side, at this scale;
- **undecided**: neither, which is not "equal";
- **not run**: with the reason; "ready to run" waits for nothing but the command under the heading.

Of comparisons without a true difference one in sixteen is decided by chance; nothing is corrected for making many."""


def page(folder: Path) -> str:
    """The page, from the results in a folder."""
    stored = records.stored(folder)
    found = {key: _verdicts(table, stored) for key, table in tables().items() if table.claims}
    counts = Counter(verdict.state for _, verdicts in found.values() for verdict in verdicts)
    total = sum(counts.values())
    summary = ", ".join(f"{counts[state]} {state}" for state in get_args(State))
    parts = [INTRO, f"{total} claims: {summary}."]
    for key, (record, verdicts) in found.items():
        parts.append(_section(tables()[key], record, verdicts))
    return "\n\n".join(parts) + "\n"


def _verdicts(table: Table, stored: Mapping[tuple[str, str], Record]) -> tuple[Record, tuple[Verdict, ...]]:
    record = stored.get((table.key, "mini")) or records.empty(table, "mini")
    return record, claims.check(table, record)


def _section(table: Table, record: Record, verdicts: tuple[Verdict, ...]) -> str:
    lines = [f"## {table.name}: {table.title}"]
    if record.runs:
        seconds = [run["train_seconds"] + run["measure_seconds"] for run in record.runs]
        with_what = ", ".join(f"{key} {value}" for key, value in record.made_with.items())
        minutes = sum(seconds) / len(seconds) / 60
        lines.append(f"On {record.data}; {len(record.runs)} runs, {minutes:.1f} minutes each; {with_what}.")
    if record.runs or any(verdict.why == READY for verdict in verdicts):
        lines.append(f"`magvit experiment --table={table.key} --workdir=DIR --results=experiments/results`")
    run = [verdict for verdict in verdicts if verdict.state != "not run"]
    if run:
        lines.append(markdown(HEADER, [claim_row(table, verdict) for verdict in run]))
    others = [verdict for verdict in verdicts if verdict.state == "not run"]
    if others:
        rows = [(one.claim.says, claims.thesis_figures(table, one.claim), one.why) for one in others]
        lines.append(markdown(("Claim", "Thesis", "Not run"), rows))
    return "\n\n".join(lines)

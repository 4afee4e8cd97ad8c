"""The thesis's claims, which cell beats which, held against our runs over paired seeds.

The rule is that of `metrics.compare`: with five seeds all five differences have one sign and the interval of the mean
difference is without 0. Otherwise a claim is undecided, which is not "wrong".
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from magvit_jax import metrics
from magvit_jax.experiments.records import READY, Record, measure_of
from magvit_jax.experiments.tables import Claim, Table

State = Literal["reproduced", "not reproduced", "undecided", "not run"]
#: Pairs that the sign-flip test needs to decide anything at its level of 1/16.
SEEDS = 5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
      state: "not reproduced" means that the other side was better, decided by the same rule.
      why: of "not run", why; of "undecided" with too few seeds, that.
      measure: what was measured of the two sides, by the name at this scale.
      seeds: that both sides have.
      means: of the better and the worse side of the claim, over these seeds.
      difference: mean of better - worse with its interval; None without two seeds.
      p_value: of the sign-flip test.
    """

    claim: Claim
    table: str
    scale: str
    state: State
    why: str = ""
    measure: str = ""
    seeds: tuple[int, ...] = ()
    means: tuple[float, float] | None = None
    difference: metrics.Interval | None = None
    p_value: float | None = None


def check(table: Table, record: Record) -> tuple[Verdict, ...]:
    """A verdict on every claim of a table."""
    return tuple(verdict(table, claim, record) for claim in table.claims)


def verdict(table: Table, claim: Claim, record: Record) -> Verdict:
    """The verdict on one claim, from whatever seeds both sides have."""
    sides: list[Mapping[int, float]] = []
    for row, column in (claim.better, claim.worse):
        sides.append(record.cell(table.row(row), table.column(column)))
    base = dict(claim=claim, table=table.key, scale=record.scale)
    column = table.column(claim.better[1])
    measure = measure_of(column, record.scale)
    seeds = sorted(set(sides[0]) & set(sides[1]))
    if len(seeds) < 2:
        return Verdict(**base, state="not run", why=_why(table, claim, record, seeds), measure=measure)
    a_N, b_N = ([side[seed] for seed in seeds] for side in sides)
    found = metrics.compare(a_N, b_N, better=column.better)
    state = {"a better": "reproduced", "b better": "not reproduced", "undecided": "undecided"}[found.verdict]
    return Verdict(
        **base,
        state=state,
        why=f"{len(seeds)} seeds; {SEEDS} are needed to decide" if len(seeds) < SEEDS else "",
        measure=measure,
        seeds=tuple(seeds),
        means=(float(np.mean(a_N)), float(np.mean(b_N))),
        difference=found.difference,
        p_value=found.p_value,
    )


def _why(table: Table, claim: Claim, record: Record, seeds: list[int]) -> str:
    """The reason that takes most to overcome: a side that cannot be run, before one that only waits to be."""
    reasons = []
    for row, column in (claim.better, claim.worse):
        cell = table.row(row), table.column(column)
        if not record.cell(*cell):
            reason = record.why_empty(*cell)
            reasons.append(reason if reason == READY else f"{cell[0].system}: {reason}")
    reasons.sort(key=lambda reason: reason == READY)
    return reasons[0] if reasons else f"{len(seeds)} seed in common"


def thesis_figures(table: Table, claim: Claim) -> str:
    """The two cells as the thesis prints them: "48 against 74"."""
    return f"{table.value(*claim.better)} against {table.value(*claim.worse)}"

"""Variants compared over paired seeds: runs that are made once, comparisons, tables, files.

The verdicts are those of `magvit_jax.metrics.compare`: over five seeds all five differences must have one sign.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from magvit_jax import metrics
from magvit_jax.media.atomic import write_bytes

Result = Mapping[str, Any]  # variant, seed, values by measure, and whatever else was asked or found


@dataclasses.dataclass(frozen=True)
class Measure:
    """Which direction is better, and how many digits are shown."""

    better: Literal["higher", "lower"]
    digits: int


def parser(description: str, *, steps: int, clips: int) -> argparse.ArgumentParser:
    """The flags that all these tools have, with their defaults."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--workdir", type=Path, required=True, help="where the runs and the results are written")
    made.add_argument("--steps", type=int, default=steps, help=f"of each run (default: {steps})")
    made.add_argument("--seeds", type=int, default=5, help="runs of each variant (default: 5)")
    made.add_argument("--clips", type=int, default=clips, help=f"held-out clips at most (default: {clips})")
    return made


def require_sizes(made: argparse.ArgumentParser, flags: argparse.Namespace) -> None:
    """Ends the program with a line on how to call it, unless the numbers can be used."""
    if flags.seeds < 2 or flags.steps < 1:
        made.error(f"--seeds={flags.seeds} --steps={flags.steps}: expected 2 or more seeds, 1 or more steps")


def once(file: Path, asked: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """A run's result: from its file where it is finished and the same was asked, else made and written there."""
    asked = json.loads(json.dumps(asked))  # as it will be read back: lists for tuples
    if file.is_file():
        result = json.loads(file.read_text())
        if all(result.get(key) == value for key, value in asked.items()):
            return result
    result = asked | dict(make())
    write_bytes(file, (json.dumps(result, indent=1) + "\n").encode())
    return result


def compare_all(
    folder: Path,
    variants: Sequence[str],
    seeds: int,
    run: Callable[[str, int, Path], Result],
    compare: Callable[[Sequence[Result]], list[dict[str, Any]]],
    show: Callable[[Sequence[Result], Sequence[Result]], str],
    record: Mapping[str, Any],
) -> str:
    """Makes what is missing, writes comparison.json and comparison.md, and returns the latter's text.

    Args:
        run: (variant, seed, its folder) -> its result. All variants of a seed come before the next seed.
        compare, show: `comparisons` and `tables` with their measures.
        record: what comparison.json says beside results and comparisons.
    """
    plan, results = list(itertools.product(range(seeds), variants)), []
    for number, (seed, variant) in enumerate(plan, 1):
        print(f"run {number} of {len(plan)}: {variant}, seed {seed}", file=sys.stderr, flush=True)
        results.append(run(variant, seed, folder / f"{variant}_{seed}"))
    compared = compare(results)
    text = show(results, compared)
    written = dict(record) | dict(seeds=seeds, results=results, comparisons=compared)
    write_bytes(folder / "comparison.json", (json.dumps(written, indent=1) + "\n").encode())
    write_bytes(folder / "comparison.md", text.encode())
    return text


def comparisons(
    results: Sequence[Result], measures: Mapping[str, Measure], *, against: str | None = None
) -> list[dict[str, Any]]:
    """Every two variants by every measure, over the seeds that both have.

    Args:
        against: only the pairs that this variant is the first of.
    """
    values = {(result["variant"], result["seed"]): result["values"] for result in results}
    variants = list(dict.fromkeys(result["variant"] for result in results))
    compared = []
    for a, b in itertools.combinations(variants, 2):
        if against not in (None, a):
            continue
        seeds = sorted(seed for variant, seed in values if variant == a and (b, seed) in values)
        for name, measure in measures.items():
            pair = [[values[variant, seed][name] for seed in seeds] for variant in (a, b)]
            found = metrics.compare(*pair, better=measure.better)
            verdict = found.verdict.replace("a better", f"{a} better").replace("b better", f"{b} better")
            compared.append(
                dict(
                    measure=name,
                    a=a,
                    b=b,
                    better=measure.better,
                    seeds=seeds,
                    p_value=found.p_value,
                    verdict=verdict,
                )
                | dataclasses.asdict(found.difference)
            )
    return compared


def tables(
    results: Sequence[Result], compared: Sequence[Mapping[str, Any]], measures: Mapping[str, Measure]
) -> str:
    """Means over seeds, and the comparisons, as Markdown."""
    variants = list(dict.fromkeys(result["variant"] for result in results))
    clips = results[0]["values"]["clips"]
    rows = []
    for name, measure in measures.items():
        cells = []
        for variant in variants:
            values = [result["values"][name] for result in results if result["variant"] == variant]
            cells.append(f"{np.mean(values):.{measure.digits}f} ± {np.std(values, ddof=1):.{measure.digits}f}")
        rows.append([f"{name} ({measure.better} is better)", *cells])
    means = markdown([f"{clips} held-out clips, mean ± deviation over seeds", *variants], rows)
    rows = []
    for one in compared:
        digits = measures[one["measure"]].digits
        rows.append(
            [
                one["measure"],
                f"{one['a']} - {one['b']}",
                f"{one['estimate']:+.{digits}f}",
                f"{one['low']:+.{digits}f} to {one['high']:+.{digits}f}",
                f"{one['p_value']:.4f}",
                one["verdict"],
            ]
        )
    confidence = f"{compared[0]['confidence']:.1%} interval"
    header = ["measure", "difference", "mean", confidence, "p (sign flips)", "verdict"]
    chance = len(compared) / 16
    note = (
        f"{len(compared)} comparisons: about {chance:.1f} would be decided by chance if no variant differed."
    )
    return f"{means}\n\n{markdown(header, rows)}\n\n{note}\n"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

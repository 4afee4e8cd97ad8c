"""Trains a small tokenizer with and without an adversary, in float32 and bfloat16, and reports what became of both.

    python tools/gan_stability.py --workdir=runs/gan_stability                  # 2,000 steps of the quickstart, 4 runs
    python tools/gan_stability.py --workdir=/tmp/try --steps=20 --clips=64      # to see that it works
    python tools/gan_stability.py --workdir=runs/heavy --set adversarial.weight=1.0

Per run: how many updates were not finite, the discriminator's mean logits over the last tenth of the steps and the
widest gap between them in any record, the smallest perplexity of the codebook after the first tenth, warnings, and
PSNR and `fd_small` of held-out clips decoded from their ids, with `fd_small`'s bootstrap interval over clips. The pairs
have the same seed, first parameters, clips and steps, so the difference is the adversary's. Started again it goes on
where it was interrupted. Ends with status 1 if any update or result was not finite.
"""

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import magvit_jax
from magvit_jax import metrics
from magvit_jax.cli.config_files import load_config
from magvit_jax.evaluation.small_features import measure_fd_small, shipped
from magvit_jax.media.tables import text_table
from magvit_jax.workflows.evaluate import test_clips
from magvit_jax.workflows.train import train


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one run; nan where it had no adversary, or nothing to measure."""

    dtype: str
    weight: float
    seed: int
    steps: int
    not_finite: int
    warnings: int
    logits_real: float
    logits_fake: float
    widest_gap: float
    least_perplexity: float
    psnr: float
    fd_small: float
    low: float
    high: float
    minutes: float


def run(flags: argparse.Namespace, dtype: str, adversarial: bool, seed: int) -> Outcome:
    """Trains, or goes on, and measures."""
    workdir = flags.workdir / f"{dtype}_{'with' if adversarial else 'without'}_{seed}"
    changes = [f"model.dtype={dtype}", f"discriminator.dtype={dtype}", f"seed={seed}", f"data.seed={seed}"]
    changes += [f"adversarial.weight={flags.weight}", *flags.set] if adversarial else flags.set
    if not adversarial:
        changes.append("adversarial.weight=0.0")
    changes += [f"training.steps={flags.steps}", "training.sample_every=0", "training.log_every=1"]
    config = load_config(flags.config, [f"--config.{change}" for change in changes])
    begin = time.monotonic()
    train(config, workdir)
    minutes = (time.monotonic() - begin) / 60
    return Outcome(
        dtype=dtype,
        weight=config.adversarial.weight,
        seed=seed,
        steps=flags.steps,
        minutes=minutes,
        **of_the_log(workdir / "metrics.jsonl", flags.steps),
        **measured(workdir, flags.clips),
    )


def of_the_log(path: Path, steps: int) -> dict[str, float]:
    """The signs of stability, from one record a step."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    trained = [record for record in records if record["kind"] == "train"]
    late = [record for record in trained if record["step"] > 0.9 * steps]
    # A record of a dropped update has no values.
    settled = [r["batch_perplexity"] for r in trained if r["step"] > 0.1 * steps and "batch_perplexity" in r]
    gaps = [abs(record["logits_real"] - record["logits_fake"]) for record in trained if "logits_real" in record]
    events = [record["message"] for record in records if record["kind"] == "event"]
    return dict(
        not_finite=sum(record["skipped"] for record in trained),
        warnings=sum("not finite" not in message for message in events),
        logits_real=float(np.mean([record.get("logits_real", math.nan) for record in late])),
        logits_fake=float(np.mean([record.get("logits_fake", math.nan) for record in late])),
        widest_gap=max(gaps, default=math.nan),
        least_perplexity=min(settled, default=math.nan),
    )


def measured(workdir: Path, clips: int) -> dict[str, float]:
    """PSNR and `fd_small` of what the shipped tokenizer, the moving average, makes of held-out clips."""
    tokenizer = magvit_jax.load_tokenizer(workdir)
    batches = list(test_clips(tokenizer.clip, None, clips))
    outputs = [np.asarray(tokenizer.reconstruct(batch["video"])) for batch in batches]
    psnr = np.concatenate([metrics.psnr(b["video"], y) for b, y in zip(batches, outputs, strict=True)])
    real, made = (
        np.concatenate([shipped()(x) for x in videos]) for videos in ([b["video"] for b in batches], outputs)
    )
    distance = measure_fd_small(real, made, frames=tokenizer.clip.frames, paired=True)
    return dict(psnr=float(psnr.mean()), fd_small=distance.value, low=distance.low, high=distance.high)


def _json(outcome: Outcome) -> dict[str, object]:
    values = dataclasses.asdict(outcome)
    return {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in values.items()}


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a run."""
    header = ("dtype", "weight", "seed", "not finite", "warnings", "D real", "D fake", "widest gap", "perplexity >=")
    header += ("PSNR", "fd_small", "95%", "minutes")
    rows = [
        (
            x.dtype,
            f"{x.weight:g}",
            str(x.seed),
            str(x.not_finite),
            str(x.warnings),
            *(f"{value:.2f}" for value in (x.logits_real, x.logits_fake, x.widest_gap)),
            f"{x.least_perplexity:.0f}",
            f"{x.psnr:.2f}",
            f"{x.fd_small:.4f}",
            f"{x.low:.4f} to {x.high:.4f}",
            f"{x.minutes:.1f}",
        )
        for x in outcomes
    ]
    return text_table(rows, header=header, align="l" + "r" * (len(header) - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--config", default="quickstart/tokenizer:full")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--weight", type=float, default=0.1, help="of the adversarial loss; 0.1 is the thesis's")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--clips", type=int, default=512, help="held-out clips measured")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further config overrides")
    flags = parser.parse_args()
    outcomes = []
    for seed in range(flags.seeds):
        for dtype in flags.dtypes.split(","):
            outcomes += [run(flags, dtype, adversarial, seed) for adversarial in (False, True)]
            (flags.workdir / "results.json").write_text(
                json.dumps([_json(x) for x in outcomes], indent=1, allow_nan=False) + "\n"
            )
    print(f"\n{flags.config}, fd_small {shipped().fingerprint} over {flags.clips} clips\n{table(outcomes)}")
    bad = [x for x in outcomes if x.not_finite or not np.isfinite([x.psnr, x.fd_small]).all()]
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

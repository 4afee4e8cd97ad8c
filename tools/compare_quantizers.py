"""Lookup-free quantization with and without its entropy loss, and vector quantization, on real clips.

The analogue of thesis Tab. 5.7d and of LFQ against VQ (5.3.1): one small budget, paired seeds, no adversary.

    python tools/compare_quantizers.py --videos=DIR --workdir=DIR [--steps=1000] [--seeds=5]

Each run is the quickstart's tokenizer (`configs/quickstart/tokenizer.py`) on the training files, with 2^10
codes; about four minutes on two quiet cores at 1,000 steps. The variants of a seed see the same clips in the
same order. All are measured on the same clips of other files, which take turns, so that with few clips no
long file outweighs the others. Runs live in WORKDIR/steps_N/VARIANT_SEED; finished ones are skipped and an
interrupted one goes on. At the end WORKDIR/steps_N holds comparison.json and comparison.md.

The verdicts are those of `magvit_jax.metrics.compare`: over five seeds all five differences must have one
sign. They are about other seeds on the same files, not about other files.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data, metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation import evaluate_reconstruction
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.media.atomic import write_bytes
from magvit_jax.quickstart.run import stage_config
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.workflows.train import train

BITS = 10
LFQ = dict(name="lfq", bits=BITS, entropy_groups=1)
#: (config.model.quantizer, changes of config.loss). The thesis's VQ has an entropy loss too (ch. 3).
VARIANTS: Mapping[str, tuple[dict[str, Any], dict[str, float]]] = {
    "lfq_entropy": (LFQ, {}),
    "lfq_plain": (LFQ, dict(entropy=0.0)),
    "vq": (dict(name="vq", size=2**BITS, width=32), dict(codebook=1.0, commitment=0.25)),
}
#: What is compared, and which direction is better.
MEASURES = {
    "psnr": "higher",
    "ssim": "higher",
    "fd_small": "lower",
    "codebook_use": "higher",
    "codebook_perplexity": "higher",
}
DIGITS = {"psnr": 2, "ssim": 4, "fd_small": 4, "codebook_use": 3, "codebook_perplexity": 1}


def run_config(variant: str, seed: int, videos: Path, steps: int, held_out: float) -> ConfigDict:
    """The training config of one run."""
    quantizer, loss = VARIANTS[variant]
    config = stage_config("tokenizer", "small", videos)
    config.name = f"compare_quantizers_{variant}"
    config.seed = config.data.seed = seed
    config.data.held_out = held_out
    config.model.quantizer = ConfigDict(quantizer)
    config.loss.update(loss)
    config.loss.entropy_annealing_steps = min(config.loss.entropy_annealing_steps, max(steps // 2, 1))
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, steps // 10)
    config.training.steps = steps
    config.training.sample_every = config.training.eval_every = 0
    config.training.checkpoint_every = max(steps // 4, 1)
    return config


def measure(tokenizer: Tokenizer, config: ConfigDict, clips: int) -> dict[str, float]:
    """Reconstruction of the first held-out clips, decoded from their ids."""
    network, real, made = shipped(), [], []

    def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = tokenizer.encode(video)
        output = np.asarray(tokenizer.decode(ids))
        real.append(network(video))
        made.append(network(output))
        return np.asarray(ids), output

    spec = dataclasses.replace(data.ClipSpec.from_config(config.data), flip=False, random_crop=False)
    source = data.build_source(config.data, "test")
    batches = data.eval_batches(source, spec, batch_size=64, num=clips)
    result = evaluate_reconstruction(reconstruct, tokenizer.model.codebook_size, batches)
    distance = metrics.frechet_distance(np.concatenate(real), np.concatenate(made))
    return dataclasses.asdict(result) | {"fd_small": distance}


def run(variant: str, seed: int, workdir: Path, config: ConfigDict, clips: int) -> dict[str, Any]:
    """One run's result: from its file where it is finished, else trained and measured."""
    file = workdir / "result.json"
    asked = dict(variant=variant, seed=seed, clips_at_most=clips, fd_small_network=shipped().fingerprint)
    asked["config"] = json.loads(json.dumps(config.to_dict()))  # as it will be read back: lists for tuples
    if file.is_file():
        result = json.loads(file.read_text())
        if all(result.get(key) == value for key, value in asked.items()):
            return result
    start = time.monotonic()
    train(config, workdir)
    seconds = time.monotonic() - start
    tokenizer = bundles.build_tokenizer(bundles.from_workdir(workdir))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(tokenizer.params))
    result = asked | dict(values=measure(tokenizer, config, clips), seconds=seconds, parameters=parameters)
    write_bytes(file, (json.dumps(result, indent=1) + "\n").encode())
    return result


def comparisons(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every two variants by every measure, over the seeds that both have."""
    values = {(result["variant"], result["seed"]): result["values"] for result in results}
    variants = list(dict.fromkeys(result["variant"] for result in results))
    compared = []
    for a, b in itertools.combinations(variants, 2):
        seeds = sorted(seed for variant, seed in values if variant == a and (b, seed) in values)
        for name, better in MEASURES.items():
            pair = [[values[variant, seed][name] for seed in seeds] for variant in (a, b)]
            found = metrics.compare(*pair, better=better)
            verdict = found.verdict.replace("a better", f"{a} better").replace("b better", f"{b} better")
            compared.append(
                dict(
                    measure=name, a=a, b=b, better=better, seeds=seeds, p_value=found.p_value, verdict=verdict
                )
                | dataclasses.asdict(found.difference)
            )
    return compared


def tables(results: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]]) -> str:
    """Means over seeds, and the comparisons, as Markdown."""
    variants = list(dict.fromkeys(result["variant"] for result in results))
    clips = results[0]["values"]["clips"]
    rows = []
    for name, better in MEASURES.items():
        cells = []
        for variant in variants:
            values = [result["values"][name] for result in results if result["variant"] == variant]
            cells.append(f"{np.mean(values):.{DIGITS[name]}f} ± {np.std(values, ddof=1):.{DIGITS[name]}f}")
        rows.append([f"{name} ({better} is better)", *cells])
    means = markdown([f"{clips} held-out clips, mean ± deviation over seeds", *variants], rows)
    rows = [
        [
            one["measure"],
            f"{one['a']} - {one['b']}",
            f"{one['estimate']:+.{DIGITS[one['measure']]}f}",
            f"{one['low']:+.{DIGITS[one['measure']]}f} to {one['high']:+.{DIGITS[one['measure']]}f}",
            f"{one['p_value']:.4f}",
            one["verdict"],
        ]
        for one in compared
    ]
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    parser.add_argument(
        "--workdir", type=Path, required=True, help="where the runs and the results are written"
    )
    parser.add_argument("--steps", type=int, default=1000, help="of each run (default: 1000)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each variant (default: 5)")
    parser.add_argument(
        "--held-out", type=float, default=0.25, help="share of the files measured on (default: 0.25)"
    )
    parser.add_argument("--clips", type=int, default=64, help="held-out clips at most (default: 64)")
    flags = parser.parse_args()
    if flags.seeds < 2 or flags.steps < 1:
        parser.error(
            f"--seeds={flags.seeds} --steps={flags.steps}: expected 2 or more seeds, 1 or more steps"
        )
    try:
        print(compare_all(flags.videos, flags.workdir, flags.steps, flags.seeds, flags.held_out, flags.clips))
    except UserError as error:
        sys.exit(f"error: {error}")


def compare_all(videos: Path, workdir: Path, steps: int, seeds: int, held_out: float, clips: int) -> str:
    """Trains what is missing, writes comparison.json and comparison.md, and returns the latter's text."""
    folder = workdir / f"steps_{steps}"
    plan = list(itertools.product(range(seeds), VARIANTS))
    results = []
    for number, (seed, variant) in enumerate(plan, 1):
        print(f"run {number} of {len(plan)}: {variant}, seed {seed}", file=sys.stderr, flush=True)
        config = run_config(variant, seed, videos, steps, held_out)
        results.append(run(variant, seed, folder / f"{variant}_{seed}", config, clips))
    compared = comparisons(results)
    text = tables(results, compared)
    record = dict(steps=steps, seeds=seeds, held_out=held_out, results=results, comparisons=compared)
    write_bytes(folder / "comparison.json", (json.dumps(record, indent=1) + "\n").encode())
    write_bytes(folder / "comparison.md", text.encode())
    return text


if __name__ == "__main__":
    main()

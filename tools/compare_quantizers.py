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

import dataclasses
import functools
import sys
import time
from collections.abc import Mapping
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
from magvit_jax.experiments import paired
from magvit_jax.experiments.paired import Measure
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
#: What is compared.
MEASURES = {
    "psnr": Measure("higher", 2),
    "ssim": Measure("higher", 4),
    "fd_small": Measure("lower", 4),
    "codebook_use": Measure("higher", 3),
    "codebook_perplexity": Measure("higher", 1),
}
comparisons = functools.partial(paired.comparisons, measures=MEASURES)
tables = functools.partial(paired.tables, measures=MEASURES)


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
    asked = dict(variant=variant, seed=seed, clips_at_most=clips, fd_small_network=shipped().fingerprint)

    def make() -> dict[str, Any]:
        start = time.monotonic()
        train(config, workdir)
        seconds = time.monotonic() - start
        tokenizer = bundles.build_tokenizer(bundles.from_workdir(workdir))
        parameters = sum(leaf.size for leaf in jax.tree.leaves(tokenizer.params))
        return dict(values=measure(tokenizer, config, clips), seconds=seconds, parameters=parameters)

    return paired.once(workdir / "result.json", asked | dict(config=config.to_dict()), make)


def main() -> None:
    parser = paired.parser(__doc__, steps=1000, clips=64)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos")
    parser.add_argument(
        "--held-out", type=float, default=0.25, help="share of the files measured on (default: 0.25)"
    )
    flags = parser.parse_args()
    paired.require_sizes(parser, flags)
    try:
        print(compare_all(flags.videos, flags.workdir, flags.steps, flags.seeds, flags.held_out, flags.clips))
    except UserError as error:
        sys.exit(f"error: {error}")


def compare_all(videos: Path, workdir: Path, steps: int, seeds: int, held_out: float, clips: int) -> str:
    """Trains what is missing, writes comparison.json and comparison.md, and returns the latter's text."""

    def one(variant: str, seed: int, folder: Path) -> Mapping[str, Any]:
        return run(variant, seed, folder, run_config(variant, seed, videos, steps, held_out), clips)

    record = dict(steps=steps, held_out=held_out)
    return paired.compare_all(
        workdir / f"steps_{steps}", tuple(VARIANTS), seeds, one, comparisons, tables, record
    )


if __name__ == "__main__":
    main()

"""COMMIT against latent masking and prefix condition, and parallel against autoregressive decoding, at small size.

The analogues of thesis Tab. 6.8 and 6.9: one small tokenizer, one small budget, paired seeds.

    python tools/compare_masking.py --workdir=DIR [--videos=DIR] [--steps=600] [--seeds=5]
        [--variants=commit,latent,autoregressive] [--tokenizer=WORKDIR_OR_BUNDLE | --tokenizer-steps=800] [--given=3]
        [--clips=256] [--held-out=0.25]

Every run is the quickstart's generator on clips of the given folder (the embedded moving digits without one), with
one head over all codes as in Tab. 6.9, trained on the tasks below at once. The variants of a seed see the same clips
and draw the same tasks. `commit`, `latent` and `prefix` decode in twelve parallel steps, `autoregressive` token by
token with a cache. COMMIT is the first of every pair.

Measured on the same held-out clips for all: PSNR over the pixels that were not given, of the likeliest tokens (arg max)
and of a sample at temperature 1, `fd_small` of the samples, and the seconds that the ids of a clip take in batches of
64. By default three frames are given: they end inside a latent frame, so that its token is not known, as in the
thesis's one of four. With --given=5 they end where a latent frame ends; this tokenizer is causal, the condition is
exact then, and COMMIT has nothing to refine in that task.

Runs live in WORKDIR/steps_N/VARIANT_SEED; finished ones are skipped and an interrupted one goes on. At the end
WORKDIR/steps_N holds comparison.json and comparison.md. The verdicts are those of `magvit_jax.metrics.compare`; they
are about other seeds on this data, not about other data.
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

from magvit_jax import bundles, data
from magvit_jax.errors import UserError
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.experiments import paired
from magvit_jax.experiments.measures import measure_task, seconds_per_clip
from magvit_jax.experiments.paired import Measure
from magvit_jax.generation.generator import Generator
from magvit_jax.quickstart.run import stage_config
from magvit_jax.workflows.train import train

#: By name: the shipped config, `masking.method`, weights of the loss's parts. Latent masking is learned from masked
#: tokens alone (Eq. 6.1); a prefix condition has no condition token to refine.
VARIANTS: Mapping[str, tuple[str, str, dict[str, float] | None]] = {
    "commit": ("generator", "commit", dict(refine=1.0, mask=1.0, reconstruct=1.0)),
    "latent": ("generator", "latent", dict(refine=0.0, mask=1.0, reconstruct=0.0)),
    "prefix": ("generator", "prefix", dict(refine=0.0, mask=1.0, reconstruct=1.0)),
    "autoregressive": ("autoregressive", "prefix", None),
}
DEFAULT_VARIANTS = "commit,latent,autoregressive"
TASKS = ("frame_prediction", "frame_interpolation", "central_outpainting", "central_inpainting")
PARALLEL_STEPS = 12
#: The thesis's default confidence noise, and samples from the whole distribution, as token by token.
SAMPLED = dict(steps=PARALLEL_STEPS, schedule="cosine", temperature=4.5, sampling_temperature=1.0)
EVALUATED_SEED = 1000  # of the clips that all runs are measured on
BATCH = 64
KINDS = {
    "psnr_arg_max": Measure("higher", 2),
    "psnr_sampled": Measure("higher", 2),
    "fd_small": Measure("lower", 4),
}
#: What is compared: each task, their mean, and the time.
MEASURES = {f"{task} {kind}": measure for task in (*TASKS, "mean") for kind, measure in KINDS.items()} | {
    "seconds_per_clip": Measure("lower", 4)
}
comparisons = functools.partial(paired.comparisons, measures=MEASURES, against="commit")
tables = functools.partial(paired.tables, measures=MEASURES)


@dataclasses.dataclass(frozen=True)
class Clips:
    """What all runs are trained and measured on: a folder of videos, or the embedded clips; and the files held out."""

    videos: Path | None
    held_out: float

    def config(self, stage: str) -> ConfigDict:
        """The quickstart's config of that stage on these clips."""
        config = stage_config(stage, "small", self.videos)
        if self.videos is not None:
            config.data.held_out = self.held_out
        return config


def run_config(variant: str, seed: int, tokenizer: Path, steps: int, given: int, clips: Clips) -> ConfigDict:
    """The training config of one run."""
    stage, method, part_weights = VARIANTS[variant]
    config = clips.config(stage)
    config.name = f"compare_masking_{variant}"
    config.tokenizer = str(tokenizer)
    config.seed = config.data.seed = seed
    config.model.factors = 1
    config.masking.method = method
    if part_weights is not None:
        config.loss.part_weights.update(part_weights)
    for name, task in config.tasks.items():
        task.weight = 1.0 if name in TASKS else 0.0
        if part_weights is not None:
            task.decoding.update(SAMPLED)
    config.tasks.frame_prediction.settings.frames = given
    return shorten(config, steps)


def shorten(config: ConfigDict, steps: int) -> ConfigDict:
    """So many steps; nothing is measured or shown on the way."""
    config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, steps // 10)
    config.training.steps = steps
    config.training.sample_every = config.training.eval_every = 0
    config.training.checkpoint_every = max(steps // 4, 1)
    return config


def tokenizer_bundle(workdir: Path, given: Path | None, steps: int, clips: Clips) -> Path:
    """The bundle of the tokenizer given, or of the quickstart's, trained here once."""
    bundle = workdir / ("tokenizer" if given is not None else f"tokenizer_{steps}")
    if given is not None:
        found = bundles.read(given)
        if found.kind != "tokenizer":
            raise UserError(f"--tokenizer={given}: holds a {found.kind}; expected a tokenizer")
        return bundles.write(found, bundle)
    if not bundle.is_dir():
        config = shorten(clips.config("tokenizer"), steps)
        config.loss.entropy_annealing_steps = min(config.loss.entropy_annealing_steps, max(steps // 2, 1))
        train(config, workdir / f"tokenizer_{steps}_run")
        bundles.write(bundles.from_workdir(workdir / f"tokenizer_{steps}_run"), bundle)
    return bundle


def measure(generator: Generator, config: ConfigDict, clips: int) -> dict[str, float]:
    """Every task on the first held-out clips, and the time of the first one's ids."""
    wanted = dict(config.data.to_dict(), seed=EVALUATED_SEED)
    source = data.build_source(ConfigDict(wanted), "test")
    spec = dataclasses.replace(data.ClipSpec.from_config(config.data), flip=False, random_crop=False)
    batches = list(data.eval_batches(source, spec, batch_size=BATCH, num=clips))
    values = {"clips": float(sum(len(batch["video"]) for batch in batches))}
    for task in TASKS:
        for kind, value in measure_task(generator, task, batches).items():
            values[f"{task} {kind}"] = value
    for kind in KINDS:
        values[f"mean {kind}"] = float(np.mean([values[f"{task} {kind}"] for task in TASKS]))
    values["clips"] = int(values["clips"])
    return values | {"seconds_per_clip": seconds_per_clip(generator, TASKS[0], batches[0]["video"])}


def run(variant: str, seed: int, workdir: Path, config: ConfigDict, clips: int) -> dict[str, Any]:
    """One run's result: from its file where it is finished, else trained and measured."""
    asked = dict(variant=variant, seed=seed, clips_at_most=clips, fd_small_network=shipped().fingerprint)
    asked |= dict(config=config.to_dict(), tokenizer=bundles.read(config.tokenizer).config["fingerprint"])

    def make() -> dict[str, Any]:
        start = time.monotonic()
        train(config, workdir)
        seconds = time.monotonic() - start
        generator = bundles.load_generator(workdir)
        parameters = sum(leaf.size for leaf in jax.tree.leaves(generator.params))
        return dict(values=measure(generator, config, clips), seconds=seconds, parameters=parameters)

    return paired.once(workdir / "result.json", asked, make)


def compare_all(
    workdir: Path,
    tokenizer: Path,
    variants: tuple[str, ...],
    source: Clips,
    *,
    steps: int,
    seeds: int,
    given: int,
    clips: int,
) -> str:
    """Trains what is missing, writes comparison.json and comparison.md, and returns the latter's text."""

    def one(variant: str, seed: int, folder: Path) -> Mapping[str, Any]:
        return run(variant, seed, folder, run_config(variant, seed, tokenizer, steps, given, source), clips)

    record = dict(steps=steps, given=given, tasks=TASKS, parallel_steps=PARALLEL_STEPS)
    return paired.compare_all(
        workdir / f"steps_{steps}", variants, seeds, one, comparisons, tables, record
    )


def main() -> None:
    parser = paired.parser(__doc__, steps=600, clips=256)
    parser.add_argument("--variants", default=DEFAULT_VARIANTS, help=f"out of {', '.join(VARIANTS)}; commit first")
    parser.add_argument("--tokenizer", type=Path, help="bundle or workdir; by default the quickstart's is trained")
    parser.add_argument("--tokenizer-steps", type=int, default=800, help="of its training (default: 800)")
    parser.add_argument("--videos", type=Path, help="folder of videos; by default the embedded clips")
    parser.add_argument("--held-out", type=float, default=0.25, help="share of the files measured on (default: 0.25)")
    parser.add_argument("--given", type=int, default=3, help="frames given in frame prediction (default: 3)")
    flags = parser.parse_args()
    paired.require_sizes(parser, flags)
    variants = tuple(flags.variants.split(","))
    if variants[0] != "commit" or len(set(variants) & set(VARIANTS)) != len(variants) or len(variants) < 2:
        parser.error(f"--variants={flags.variants}: expected commit and then others out of {', '.join(VARIANTS)}")
    try:
        source = Clips(flags.videos, flags.held_out)
        tokenizer = tokenizer_bundle(flags.workdir, flags.tokenizer, flags.tokenizer_steps, source)
        sizes = dict(steps=flags.steps, seeds=flags.seeds, given=flags.given, clips=flags.clips)
        print(compare_all(flags.workdir, tokenizer, variants, source, **sizes))
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

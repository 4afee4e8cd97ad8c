"""What can be measured of a model without anybody's weights: reconstruction, samples of each task, and time."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from magvit_jax import metrics
from magvit_jax.evaluation import evaluate_reconstruction
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.generation.generator import Generator
from magvit_jax.tokenizer.tokenizer import Tokenizer

BATCH = 64
Batches = Sequence[Mapping[str, np.ndarray]]
#: Arguments of `generate` by what is measured; none are the model's own.
ARG_MAX = {"autoregressive": dict(temperature=0.0), "parallel": dict(temperature=0.0, sampling_temperature=0.0)}


def reconstruction(tokenizer: Tokenizer, batches: Batches, frames: int, compared: int) -> dict[str, float]:
    """Clips decoded from their ids.

    Args:
      frames: of each clip that the tokenizer gets, the first ones.
      compared: of those that are measured, the first ones.
    """
    network, real, made, errors = shipped(), [], [], []

    def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(tokenizer.encode(next(fed)))
        output = np.asarray(tokenizer.decode(ids))[:, :compared]
        difference = output.astype(np.float64) - video / 255.0
        errors.append((np.abs(difference).mean((1, 2, 3, 4)), (difference**2).mean((1, 2, 3, 4))))
        real.append(network(video))
        made.append(network(output))
        return ids, output

    wholes = [np.asarray(batch["video"]) for batch in batches]
    height, width = wholes[0].shape[2:4]
    fed = (video[:, :frames] for video in wholes)
    shown = [dict(video=video[:, :compared]) for video in wholes]
    found = evaluate_reconstruction(reconstruct, tokenizer.model.codebook_size, shown)
    l1_N, l2_N = (np.concatenate(part) for part in zip(*errors, strict=True))
    return dataclasses.asdict(found) | dict(
        l1=float(l1_N.mean()),
        l2=float(l2_N.mean()),
        entropy_bits=float(np.log2(found.codebook_perplexity)),
        fd_small=metrics.frechet_distance(np.concatenate(real), np.concatenate(made)),
        tokens=int(np.prod(tokenizer.model.latent_shape(frames, height, width))),
    )


def generation(generator: Generator, batches: Batches) -> dict[str, float]:
    """Every task that is given pixels, one sample a clip, by task and the mean over tasks."""
    values: dict[str, float] = {"clips": sum(len(batch["video"]) for batch in batches)}
    tasks = [task.name for task in generator.mixture.tasks if task.given(generator.clip.shape).any()]
    scores = {task: measure_task(generator, task, batches, kinds=("psnr_sampled",)) for task in tasks}
    for task, found in scores.items():
        values |= {f"{task} {kind}": value for kind, value in found.items()}
    for kind in scores[tasks[0]]:
        values[f"mean {kind}"] = float(np.mean([scores[task][kind] for task in tasks]))
    return values | lengths(generator)


def lengths(generator: Generator) -> dict[str, float]:
    """Tokens of a sequence, and the steps that decode it."""
    tokens = int(np.prod(generator.mixture.grid.shape))
    settings = generator.decoding[generator.tasks[0]]
    return dict(
        tokens=tokens + generator.transformer.condition_length,
        decoding_steps=int(getattr(settings, "steps", tokens)),  # token by token without one
    )


def efficiency(generator: Generator, video: np.ndarray) -> dict[str, float]:
    """Seconds a frame of transformer and decoder, and what decides them."""
    frames = generator.clip.frames
    task = generator.tasks[0]
    ids, decoder = seconds_per_clip(generator, task, video), decoder_seconds_per_clip(generator, task, video)
    return lengths(generator) | dict(
        seconds_per_clip=ids,
        transformer_seconds_per_frame=ids / frames,
        decoder_seconds_per_frame=decoder / frames,
        seconds_per_frame=(ids + decoder) / frames,
    )


def measure_task(
    generator: Generator,
    task: str,
    batches: Batches,
    kinds: Sequence[str] = ("psnr_arg_max", "psnr_sampled"),
) -> dict[str, float]:
    """PSNR over what was not given, means over clips of one sample each, and `fd_small` of whole clips."""
    network, real, made = shipped(), [], []
    unseen_THW = ~generator.mixture.tasks[generator.tasks.index(task)].given(generator.clip.shape)
    scores: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for kind, video, clip in samples(generator, task, batches, kinds):
        scores[kind].append(metrics.psnr_where(video, clip, unseen_THW))
        if kind == "psnr_sampled":
            real.append(network(video))
            made.append(network(clip))
    means = {kind: float(np.concatenate(found).mean()) for kind, found in scores.items()}
    return means | {"fd_small": metrics.frechet_distance(np.concatenate(real), np.concatenate(made))}


def samples(
    generator: Generator, task: str, batches: Batches, kinds: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(kind, clips, what the generator makes of them), of every batch and kind."""
    first = 0
    for batch in batches:
        video = batch["video"]
        for kind in kinds:
            settings: dict[str, Any] = ARG_MAX[_decodes(generator, task)] if kind == "psnr_arg_max" else {}
            yield kind, video, np.asarray(generator.generate(task, video=video, first=first, **settings))
        first += len(video)


def seconds_per_clip(generator: Generator, task: str, video: np.ndarray, repeats: int = 3) -> float:
    """Median seconds of the ids of a batch, over its clips; what is compiled for it is compiled before."""
    return _median_seconds(lambda seed: generator.generate_ids(task, video=video, seed=seed), repeats) / len(video)


def decoder_seconds_per_clip(generator: Generator, task: str, video: np.ndarray, repeats: int = 3) -> float:
    """The same of the tokenizer's decoder."""
    ids = generator.generate_ids(task, video=video)
    return _median_seconds(lambda _: generator.tokenizer.decode(ids), repeats) / len(video)


def _median_seconds(make, repeats: int) -> float:
    seconds = []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(make(repeat))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def _decodes(generator: Generator, task: str) -> str:
    return "parallel" if hasattr(generator.decoding[task], "steps") else "autoregressive"

"""Measures a model on a folder of videos, or on the embedded test clips."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data
from magvit_jax.errors import UserError
from magvit_jax.evaluation import evaluate_frame_prediction, evaluate_reconstruction
from magvit_jax.evaluation.small_features import NAME as FD_SMALL
from magvit_jax.generation.generator import Generator
from magvit_jax.media.tables import Result
from magvit_jax.metrics import repeat_frame
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.workflows.fd_small import FdSmallOfModel
from magvit_jax.workflows.task_scores import measure_tasks, task_rows

METRICS = ("psnr", "ssim", "codebook", "frame_prediction", "tasks", FD_SMALL)
OF_GENERATORS = ("frame_prediction", "tasks")
BATCH = 64
Batches = Sequence[Mapping[str, np.ndarray]]


def evaluate(
    model: str | os.PathLike,
    source: str | os.PathLike | None,
    metrics: Sequence[str],
    num: int = 256,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Any], list[Result]]:
    """Measures the model of a bundle or workdir.

    Args:
      source: folder of videos (all of them are used); None takes the embedded test clips.
      metrics: names out of `METRICS`; "frame_prediction" and "tasks" need a generator. "tasks" is the PSNR of every
        task that is given pixels, see `evaluation.tasks`. "fd_small" is measured for the reconstructions, and for
        each of a generator's tasks "frame_prediction" and "class_conditional".
      num: clips at most.
      say: gets a line of progress after each batch.

    Returns:
      The numbers by name, and the same as rows of a table.

    Raises:
      UserError: an unknown metric, a model that cannot be measured so, or no readable video.
    """
    for name in metrics:
        if name not in METRICS:
            raise UserError(f"metric {name!r} is unknown; expected some of {', '.join(METRICS)}")
    kind = bundles.read(model).kind
    for name in OF_GENERATORS:
        if name in metrics and kind != "generator":
            raise UserError(f"{model}: holds a {kind}; metric {name} needs a generator")
    tokenizer = bundles.load_tokenizer(model)
    values: dict[str, Any] = {"model": str(model), "fingerprint": tokenizer.fingerprint}
    rows: list[Result] = []
    clips = list(test_clips(tokenizer.clip, source, num))
    distances = FdSmallOfModel(clips) if FD_SMALL in metrics else None
    if {"psnr", "ssim", "codebook", FD_SMALL} & set(metrics):
        _measure_reconstruction(
            tokenizer, counted(clips, "reconstruction", say), metrics, values, rows, distances
        )
    if kind == "generator" and {"frame_prediction", "tasks", FD_SMALL} & set(metrics):
        generator = bundles.load_generator(model)
        if "tasks" in metrics:
            scores = measure_tasks(generator, counted(clips, "tasks", say))
            values["tasks"] = {name: dataclasses.asdict(score) for name, score in scores.items()}
            rows += task_rows(scores)
        if "frame_prediction" in metrics or (distances is not None and "frame_prediction" in generator.tasks):
            predicted = counted(clips, "frame prediction", say)
            _measure_prediction(generator, predicted, metrics, values, rows, distances)
        if distances is not None and "class_conditional" in generator.tasks:
            _measure_classes(generator, counted(clips, "generation by class", say), distances)
    if distances is not None:
        values[FD_SMALL] = distances.values()
        rows += distances.rows()
    return values, rows


def counted(batches: Batches, what: str, say: Callable[[str], None]) -> Iterator[Mapping[str, np.ndarray]]:
    """The batches; after each, `say` gets how many clips are done."""
    total, done = sum(len(batch["video"]) for batch in batches), 0
    for batch in batches:
        yield batch
        done += len(batch["video"])
        say(f"{what}: {done} of {total} clips")


def test_clips(
    clip: ClipFormat, source: str | os.PathLike | None, num: int
) -> Iterator[Mapping[str, np.ndarray]]:
    """Batches of the clips that a model is measured on, in its own format."""
    config = ConfigDict(
        dict(
            dataclasses.asdict(clip),
            source="embedded" if source is None else "video_folder",
            path="" if source is None else os.fspath(source),
            flip=False,
            random_crop=False,
            smallest_crop=1.0,
            seed=0,
            size=1,
            held_out=0.5,  # not used: a folder is measured whole
            cache_mb=256,
        )
    )
    split = "test" if source is None else "all"
    return data.eval_batches(
        data.build_source(config, split), data.ClipSpec.from_config(config), batch_size=BATCH, num=num
    )


def _measure_reconstruction(
    tokenizer: Tokenizer,
    clips: Iterator[Mapping[str, np.ndarray]],
    metrics: Sequence[str],
    values: dict[str, Any],
    rows: list[Result],
    distances: FdSmallOfModel | None,
) -> None:
    made = []

    def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = tokenizer.encode(video)
        output = np.asarray(tokenizer.decode(ids))
        if distances is not None:
            made.append(distances.features(output))
        return np.asarray(ids), output

    result = evaluate_reconstruction(reconstruct, tokenizer.model.codebook_size, clips)
    if distances is not None:
        distances.add("reconstruction", made, paired=True)
    values["reconstruction"] = dataclasses.asdict(result)
    over = f"{result.clips} clips"
    if "psnr" in metrics:
        rows.append(
            Result(
                f"reconstruction PSNR, {over}",
                result.psnr,
                baseline=result.psnr_mean_frame,
                unit="dB",
                baseline_name="clip's mean frame",
            )
        )
    if "ssim" in metrics:
        rows.append(Result(f"reconstruction SSIM, {over}", result.ssim, digits=3))
    if "codebook" in metrics:
        rows.append(Result("share of the codebook in use", result.codebook_use, digits=3))
        rows.append(
            Result(
                "codebook perplexity",
                result.codebook_perplexity,
                ceiling=float(tokenizer.model.codebook_size),
                digits=0,
            )
        )


def _measure_prediction(
    generator: Generator,
    clips: Iterator[Mapping[str, np.ndarray]],
    metrics: Sequence[str],
    values: dict[str, Any],
    rows: list[Result],
    distances: FdSmallOfModel | None,
) -> None:
    if "frame_prediction" not in generator.tasks:
        raise UserError(
            f"metric frame_prediction: the model knows the tasks {', '.join(generator.tasks)} only"
        )
    given = generator.mixture.tasks[generator.tasks.index("frame_prediction")].given_frames
    made, repeated = [], []

    def predict(video: np.ndarray) -> np.ndarray:
        output = np.asarray(generator.generate("frame_prediction", video=video[:, :given]))
        if distances is not None:
            made.append(distances.features(output))
            frozen = np.concatenate([video[:, :given], repeat_frame(video, given - 1)[:, given:]], axis=1)
            repeated.append(distances.features(frozen))
        return output

    if "frame_prediction" in metrics:
        result = evaluate_frame_prediction(predict, generator.tokenizer.reconstruct, given, clips)
        values["frame_prediction"] = dataclasses.asdict(result)
        rows += prediction_rows(result, given)
    else:
        for batch in clips:
            predict(batch["video"])
    if distances is not None:
        distances.add("frame_prediction", made, repeated, "repeating the last given frame", paired=True)


def _measure_classes(
    generator: Generator, clips: Iterator[Mapping[str, np.ndarray]], distances: FdSmallOfModel
) -> None:
    """As many clips as there are real ones, the classes in turn."""
    made, first = [], 0
    for batch in clips:
        numbers = range(first, first + len(batch["video"]))
        labels = [number % len(generator.class_names) for number in numbers]
        made.append(distances.features(generator.generate("class_conditional", label=labels, first=first)))
        first = numbers.stop
    distances.add("class_conditional", made, paired=False)


def prediction_rows(result, given: int, margin: float | None = None) -> list[Result]:
    """Rows of a table; `margin` is the promised distance over the baseline in dB."""
    shared = dict(baseline_name="repeating the last given frame", ceiling_name="tokenizer")
    return [
        Result(
            f"frame prediction from {given} frames, PSNR of unseen frames, {result.clips} clips",
            result.psnr,
            baseline=result.psnr_repeat_last,
            ceiling=result.psnr_ceiling,
            target=None if margin is None else result.psnr_repeat_last + margin,
            unit="dB",
            **shared,
        ),
        Result(
            "frame prediction, SSIM of unseen frames",
            result.ssim,
            baseline=result.ssim_repeat_last,
            ceiling=result.ssim_ceiling,
            target=None if margin is None else result.ssim_repeat_last,
            digits=3,
            **shared,
        ),
    ]

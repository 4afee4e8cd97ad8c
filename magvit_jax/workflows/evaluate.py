"""Measures a model on a folder of videos, or on the embedded test clips."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data
from magvit_jax.errors import UserError
from magvit_jax.evaluation import evaluate_frame_prediction, evaluate_reconstruction
from magvit_jax.generation.generator import Generator
from magvit_jax.media.tables import Result
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer

METRICS = ("psnr", "ssim", "codebook", "frame_prediction")
BATCH = 64


def evaluate(
    model: str | os.PathLike, source: str | os.PathLike | None, metrics: Sequence[str], num: int = 256
) -> tuple[dict[str, Any], list[Result]]:
    """Measures the model of a bundle or workdir.

    Args:
      source: folder of videos (all of them are used); None takes the embedded test clips.
      metrics: names out of `METRICS`; "frame_prediction" needs a generator.
      num: clips at most.

    Returns:
      The numbers by name, and the same as rows of a table.

    Raises:
      UserError: an unknown metric, a model that cannot be measured so, or no readable video.
    """
    for name in metrics:
        if name not in METRICS:
            raise UserError(f"metric {name!r} is unknown; expected some of {', '.join(METRICS)}")
    kind = bundles.read(model).kind
    if "frame_prediction" in metrics and kind != "generator":
        raise UserError(f"{model}: holds a {kind}; metric frame_prediction needs a generator")
    tokenizer = bundles.load_tokenizer(model)
    values: dict[str, Any] = {"model": str(model), "fingerprint": tokenizer.fingerprint}
    rows: list[Result] = []
    clips = list(test_clips(tokenizer.clip, source, num))
    if {"psnr", "ssim", "codebook"} & set(metrics):
        _measure_reconstruction(tokenizer, clips, metrics, values, rows)
    if "frame_prediction" in metrics:
        _measure_prediction(bundles.load_generator(model), clips, values, rows)
    return values, rows


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
    tokenizer: Tokenizer, clips: Sequence, metrics: Sequence[str], values: dict[str, Any], rows: list[Result]
) -> None:
    def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = tokenizer.encode(video)
        return np.asarray(ids), np.asarray(tokenizer.decode(ids))

    result = evaluate_reconstruction(reconstruct, tokenizer.model.codebook_size, clips)
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
                "codebook perplexity", result.codebook_perplexity, ceiling=float(tokenizer.model.codebook_size), digits=0
            )
        )


def _measure_prediction(
    generator: Generator, clips: Sequence, values: dict[str, Any], rows: list[Result]
) -> None:
    if "frame_prediction" not in generator.tasks:
        raise UserError(
            f"metric frame_prediction: the model knows the tasks {', '.join(generator.tasks)} only"
        )
    given = generator.mixture.tasks[generator.tasks.index("frame_prediction")].given_frames
    result = evaluate_frame_prediction(
        lambda video: generator.generate("frame_prediction", video=video[:, :given]),
        generator.tokenizer.reconstruct,
        given,
        clips,
    )
    values["frame_prediction"] = dataclasses.asdict(result)
    rows += prediction_rows(result, given)


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

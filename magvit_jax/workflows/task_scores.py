"""Every task of a generator that is given pixels, measured by PSNR, as rows of a table."""

import functools
from collections.abc import Iterator, Mapping

import jax.numpy as jnp
import numpy as np

from magvit_jax.evaluation.tasks import MeasuredTask, TaskScore, evaluate_tasks
from magvit_jax.generation.generator import Generator
from magvit_jax.media.tables import Result
from magvit_jax.tokens.tasks import Task


def measure_tasks(generator: Generator, batches: Iterator[Mapping[str, np.ndarray]]) -> dict[str, TaskScore]:
    """By name, the tasks that are given some pixels; one that is given none has no truth to be held against.

    No task is told the class: a folder of videos need not know the model's labels.
    """
    tasks = {task.name: _measured(generator, task) for task in generator.mixture.tasks}
    tasks = {name: task for name, task in tasks.items() if task.given_THW.any()}
    return evaluate_tasks(tasks, generator.tokenizer.reconstruct, batches)


def _measured(generator: Generator, task: Task) -> MeasuredTask:
    def generate(video: np.ndarray, first: int) -> np.ndarray:
        made = np.asarray(generator.generate(task.name, video=_in(generator, video), first=first))
        return made[:, None] if generator.makes_images else made

    return MeasuredTask(
        generate=generate,
        pad=lambda video: np.asarray(task.pad(jnp.asarray(video))),
        given_THW=task.given(generator.clip.shape),
    )


def _in(generator: Generator, video_BTHWC: np.ndarray) -> np.ndarray:
    return video_BTHWC[:, 0] if generator.makes_images else video_BTHWC


def task_rows(scores: Mapping[str, TaskScore]) -> list[Result]:
    """Two rows a task: over what was not given, and over what was."""
    row = functools.partial(Result, unit="dB", ceiling_name="tokenizer")
    rows = []
    for name, score in scores.items():
        over = f"{score.unseen_share:.0%} unseen pixels, {score.clips} clips"
        rows.append(
            row(
                f"{name}, PSNR of the {over}",
                score.psnr_unseen,
                baseline=score.psnr_unseen_padded,
                baseline_name="padded clip",
                ceiling=score.psnr_unseen_ceiling,
            )
        )
        rows.append(
            row(f"{name}, PSNR of the given pixels", score.psnr_given, ceiling=score.psnr_given_ceiling)
        )
    return rows

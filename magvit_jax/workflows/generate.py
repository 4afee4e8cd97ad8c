"""Clips of a task from a trained generator, written to a folder."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.generation.generator import Generator
from magvit_jax.generation.pixels import USER_MASK
from magvit_jax.media import output as media_output
from magvit_jax.media.given import given_only
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.workflows.conditions import Condition, UserMask, read_conditions
from magvit_jax.workflows.generate_states import draw_states

BATCH = 32
FPS = 8.0  # of clips that come from no file


def generate(
    generator: Generator,
    task: str,
    output: str | os.PathLike,
    *,
    source: str | os.PathLike | None = None,
    mask: UserMask | None = None,
    prompt: str | None = None,
    label: int | str | None = None,
    num: int = 8,
    seed: int = 0,
    paste: bool = False,
    states: bool = False,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> np.ndarray:
    """Generates `num` clips and writes each as mp4 and gif, also beside its original and what was given of it
    where there is one, and a grid.png. Images, of a model of images, are written as png.

    Args:
      task: one of the generator's, or "mask".
      source: the video or image file, or the folder of them, that the task is conditioned on; its files are
        taken in turn.
      mask: of task "mask": what is given.
      prompt: of task "mask": the task whose prompt is used; by default the one that comes nearest.
      label: class of all clips; None takes the classes in turn.
      paste: put the given pixels back.
      states: also draw every step of the decoding, NAME_states.png and .gif.
      say: gets the lines that say what was done.
      settings: `decoding`, a name, and fields of it to change, see `Generator.generate`.

    Returns:
      uint8 [num, T, H, W, 3].

    Raises:
      UserError: an unknown task, label or setting, a condition that is missing or does not fit.
    """
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more clips")
    conditions = read_conditions(generator, task, source, num, mask, say)
    prompt = _prompt(generator, task, conditions, prompt, say)
    labels = labels_for(generator, prompt or task, label, num)
    names = [clip_name(generator, task, i, None if labels is None else labels[i]) for i in range(num)]
    stems = [Path(output) / name for name in names]
    clips, drawn = [], []
    for start in range(0, num, BATCH):
        part = slice(start, min(start + BATCH, num))
        arguments: dict[str, Any] = dict(num=part.stop - part.start, prompt=prompt)
        if conditions:
            arguments["video"] = np.stack([condition.filled_THWC for condition in conditions[part]])
        if prompt is not None:
            arguments["mask"] = np.stack([condition.given_THW for condition in conditions[part]])
        more = dict(
            label=None if labels is None else labels[part], seed=seed, first=start, paste=paste, **settings
        )
        if states:
            video, found = generator.generate_states(task, **arguments, **more)
            drawn += draw_states(generator, found, generator.given(task, **arguments))
        else:
            video = generator.generate(task, **arguments, **more)
        clips.append(to_uint8(np.asarray(video).reshape(-1, *generator.clip.shape, 3)))
    clips = np.concatenate(clips)
    _write(Path(output), stems, clips, conditions)
    for stem, pictures in zip(stems, drawn, strict=False):
        media_output.write_states(stem.with_name(stem.name + "_states"), *pictures)
    say(f"{num} {'images' if generator.makes_images else 'clips'} of task {task}: {output}")
    if conditions:
        say(_score(clips, conditions))
    return clips


def _prompt(
    generator: Generator,
    task: str,
    conditions: Sequence[Condition],
    prompt: str | None,
    say: Callable[[str], None],
) -> str | None:
    """The task whose prompt is used with a user's mask; None for a task, which has its own."""
    if task != USER_MASK:
        if prompt is not None:
            raise UserError(
                f"task {task!r} has its own prompt; expected a prompt with task {USER_MASK!r} only"
            )
        return None
    first = conditions[0]
    chosen = generator.given(
        task, video=first.filled_THWC[None], mask=first.given_THW, prompt=prompt
    ).task.name
    if prompt is None:
        say(f"the mask comes nearest to task {chosen}, whose prompt is used; --prompt names another")
    return chosen


def labels_for(generator: Generator, task: str, label: int | str | None, num: int) -> list[int] | None:
    """A label, by name or number, for each of `num` clips; without one the classes in turn. None of a task
    that takes none, and of a model without classes."""
    if not generator.mixture.tasks[generator.tasks.index(task)].uses_class:
        if label is not None:
            raise UserError(f"task {task!r} takes no class; expected no label, got {label!r}")
        return None
    if label is None:
        classes = len(generator.class_names)
        return [i % classes for i in range(num)] if classes else None
    if isinstance(label, str) and label not in generator.class_names and label.isdecimal():
        label = int(label)
    return [int(generator.label_ids(label)[0])] * num


def clip_name(generator: Generator, task: str, index: int, label: int | None) -> str:
    """The name of a clip's files: task, index, class."""
    name = f"{task}_{index:04d}"
    if label is not None:
        name += "_" + re.sub(r"[^\w.-]+", "_", generator.class_names[label])
    return name


def _write(output: Path, stems: Sequence[Path], clips: np.ndarray, conditions: Sequence[Condition]) -> None:
    rows = []
    for i, (stem, clip) in enumerate(zip(stems, clips, strict=True)):
        row, rate = {"generated": clip}, FPS
        if conditions:
            shown = given_only(conditions[i].filled_THWC, conditions[i].given_THW)
            row = {"original": conditions[i].video_THWC, "given": shown, "generated": clip}
            rate = conditions[i].rate
            media_output.write_beside(stem.with_name(stem.name + "_beside"), row, rate)
        media_output.write_clip(stem, clip, rate)
        rows.append(row)
    media_output.write_grid(output / "grid.png", rows, _leading(conditions[0].given_THW) if conditions else 0)


def _leading(given_THW: np.ndarray) -> int:
    """How many frames at the start are given whole."""
    return int(np.argmin(given_THW.all(axis=(1, 2))))  # in some frame something is missing


def _score(clips: np.ndarray, conditions: Sequence[Condition]) -> str:
    """Means over clips: PSNR of the given pixels and of the others, as far as the originals go."""
    scores: dict[str, list[float]] = {"given": [], "unseen": []}
    for clip, condition in zip(clips, conditions, strict=True):
        original_THWC = condition.video_THWC
        given_THW = condition.given_THW[: len(original_THWC)]
        for name, where_THW in (("given", given_THW), ("unseen", ~given_THW)):
            if where_THW.any():
                score = metrics.psnr_where(original_THWC, clip[: len(original_THWC)], where_THW)
                scores[name].append(float(score))
    return "PSNR against the original: " + ", ".join(
        f"{np.mean(values):.2f} dB of the {name} pixels" for name, values in scores.items() if values
    )

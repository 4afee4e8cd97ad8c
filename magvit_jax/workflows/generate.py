"""Clips of a task from a trained generator, written to a folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax import data
from magvit_jax.errors import UserError
from magvit_jax.generation.generator import Generator
from magvit_jax.media import output as media_output
from magvit_jax.systems.pixels import to_uint8

BATCH = 32


def generate(
    generator: Generator,
    task: str,
    output: str | os.PathLike,
    *,
    source: str | os.PathLike | None = None,
    label: int | str | None = None,
    num: int = 8,
    seed: int = 0,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> np.ndarray:
    """Generates `num` clips and writes each as mp4 and gif, beside its original where it has one, and a grid.png.

    Args:
      source: the video file or folder that the task is conditioned on.
      label: class of all clips; None takes the classes in turn.
      settings: decoding settings to change, see `Generator.generate`.

    Returns:
      uint8 [num, T, H, W, 3].

    Raises:
      UserError: an unknown task or label, a condition that is missing or does not fit.
    """
    generator.vocabulary.prompt_id(task)  # an unknown task is said before any file is read
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more clips")
    chosen = generator.mixture.tasks[generator.tasks.index(task)]
    given = chosen.given_frames
    originals = _conditions(generator, source, num, say) if given else None
    labels = _labels(generator, label, num) if chosen.uses_class else None
    clips = []
    for start in range(0, num, BATCH):
        part = slice(start, min(start + BATCH, num))
        video = generator.generate(
            task,
            video=None if originals is None else originals[part],
            label=None if labels is None else labels[part],
            num=part.stop - start,
            seed=seed,
            first=start,
            **settings,
        )
        clips.append(to_uint8(video))
    clips = np.concatenate(clips)
    _write(Path(output), task, clips, originals, labels, given, generator)
    say(f"{num} clips of task {task}: {output}")
    return clips


def _conditions(
    generator: Generator, source: str | os.PathLike | None, num: int, say: Callable[[str], None]
) -> np.ndarray:
    """`num` clips uint8 [num, T', H, W, 3] from a file or, in turn, from a folder's files."""
    if source is None:
        raise UserError("this task is conditioned on a video; expected --input=FILE or FOLDER")
    clip = generator.clip
    spec = data.ClipSpec(frames=clip.frames, height=clip.height, width=clip.width, stride=clip.stride)
    source = Path(source)
    names = data.list_videos(source) if source.is_dir() else [source]
    clips = []
    for name in names:
        if len(clips) == num:
            break
        try:
            clips.append(data.load_clip(name, spec))
        except UserError as error:
            if not source.is_dir():
                raise
            say(f"skipped: {error}")
    if not clips:
        raise UserError(f"{source}: none of its {len(names)} videos could be read")
    return np.stack([clips[i % len(clips)] for i in range(num)])


def _labels(generator: Generator, label: int | str | None, num: int) -> list[int] | None:
    if label is None:
        classes = len(generator.class_names)
        return [i % classes for i in range(num)] if classes else None
    if isinstance(label, str) and label not in generator.class_names and label.isdecimal():
        label = int(label)
    return [int(generator.label_ids(label)[0])] * num


def _write(
    output: Path,
    task: str,
    clips: np.ndarray,
    originals: np.ndarray | None,
    labels: list[int] | None,
    given: int,
    generator: Generator,
) -> None:
    fps = 8.0
    rows = []
    for i, clip in enumerate(clips):
        name = f"{task}_{i:04d}"
        if labels is not None:
            name += f"_{generator.class_names[labels[i]]}"
        media_output.write_clip(output / name, clip, fps)
        row = {"generated": clip}
        if originals is not None:
            row = {"original": originals[i], "generated": clip}
            media_output.write_beside(output / f"{name}_beside", row, fps)
        rows.append(row)
    media_output.write_grid(output / "grid.png", rows, given)

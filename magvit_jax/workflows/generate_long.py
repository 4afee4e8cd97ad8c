"""Videos of any length: frame prediction slides over its own output, and every frame is written as it
comes."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.generation.generator import EXTENDING, Generator
from magvit_jax.media.pixels import viewing_scale
from magvit_jax.media.video_io import mp4_writer
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.workflows.conditions import read_conditions
from magvit_jax.workflows.generate import clip_name, labels_for
from magvit_jax.workflows.progress import Progress


def generate_long(
    generator: Generator,
    task: str,
    output: str | os.PathLike,
    frames: int,
    *,
    source: str | os.PathLike,
    label: int | str | None = None,
    num: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
    stream: TextIO | None = None,
    **settings: Any,
) -> list[Path]:
    """Writes `num` videos of `frames` frames as mp4: the frames that the task is given, then as many new ones
    as are missing. One window is in memory at a time.

    Args:
      task: "frame_prediction" or "class_conditional_frame_prediction".
      frames: length of each video, the given frames among them.
      source, label, seed, say, settings: as of `generate`.
      stream: where the progress line goes, standard error by default.

    Returns:
      The files.

    Raises:
      UserError: a task that does not extend a video, too few frames, and as of `generate`.
    """
    if task not in EXTENDING:
        raise UserError(f"task {task!r} makes no video of {frames} frames; expected {' or '.join(EXTENDING)}")
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more videos")
    conditions = read_conditions(generator, task, source, num, None, say)
    given = generator.mixture.tasks[generator.tasks.index(task)].given_frames
    if frames <= given:
        raise UserError(f"frames is {frames}; expected more than the {given} that are given")
    labels = labels_for(generator, task, label, num)
    scale, paths = viewing_scale(generator.clip.height, generator.clip.width), []
    for i, condition in enumerate(conditions):
        label = None if labels is None else labels[i]
        path = Path(output) / f"{clip_name(generator, task, i, label)}.mp4"
        begin_THWC = condition.video_THWC[:given]
        windows = generator.extend(
            begin_THWC[None], frames=frames - given, task=task, label=label, seed=seed, first=i, **settings
        )
        with contextlib.ExitStack() as open_files:
            progress = open_files.enter_context(Progress(frames, "frames", name=path.name, stream=stream))
            write = open_files.enter_context(mp4_writer(path, condition.rate, scale))
            write(begin_THWC)
            progress.advance(given)
            for window_BTHWC in windows:
                write(to_uint8(np.asarray(window_BTHWC)[0]))
                progress.advance(window_BTHWC.shape[1])
        say(f"{condition.path}: {given} frames given, {frames - given} new -> {path}")
        paths.append(path)
    return paths

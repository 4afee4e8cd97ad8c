"""Videos of any length from a multimodal generator: a clip of a task, then windows that go on from the last second."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import Made, MultimodalGenerator
from magvit_jax.generation.multimodal_chain import makes
from magvit_jax.generation.multimodal_long import extending_task
from magvit_jax.media.pixels import viewing_scale
from magvit_jax.media.video_io import mp4_writer
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokens.videopoet import sequence_task
from magvit_jax.workflows.generate_multimodal import say_unknown
from magvit_jax.workflows.multimodal_files import NO_FILES, Files, read_files
from magvit_jax.workflows.progress import Progress


def generate_multimodal_long(
    generator: MultimodalGenerator,
    task: str,
    output: str | os.PathLike,
    frames: int,
    *,
    files: Files = NO_FILES,
    prompt: str | None = None,
    given: int | None = None,
    num: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
    stream: TextIO | None = None,
    **settings: Any,
) -> list[Path]:
    """Writes `num` videos of `frames` frames as mp4, with their sound where the task makes one.

    Args:
        task: makes the first clip; what follows is the business of `MultimodalGenerator.extend`.
        frames: of each video, more than the first clip has.
        files, prompt, given, num, seed, say, settings: as of `generate_multimodal`; the prompt holds for all windows.
        stream: where the progress line goes, standard error by default.

    Returns:
        The files.

    Raises:
        UserError: a task that makes no video to go on with, too few frames, and as of `generate_multimodal`.
    """
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more")
    latents = generator.latents_of(task, given)
    own, first_frames = generator.plan(task, latents).layouts[0], generator.clip.grid.pixel_frames
    hears = any(part.kind == "audio" for part in own.task.inputs)
    if "video" not in makes(task) or own.task.outputs[0].extent == "first" or (hears and "audio" not in makes(task)):
        raise UserError(f"task {task!r} makes no video that can be extended; expected one of video without given sound")
    if frames <= first_frames:
        raise UserError(f"frames is {frames}; expected more than the {first_frames} of a clip")
    extending_task(generator.tasks, None, sounding="audio" in makes(task))  # a mistake is said before anything is made
    say_unknown(generator, [prompt or ""], say)
    values = read_files(generator, [own], files, num, say)
    if sequence_task(task).given is None:
        given = generator.clip.pixel_frames_of(latents)
    paths = []
    for number in range(num):
        arguments = {name: value[number % len(value)] for name, value in values.items() if value is not None}
        shared = dict(prompt=prompt, num=1, seed=seed, first=number, **settings)

        def made(arguments=arguments, shared=shared) -> Iterator[Made]:
            begin = generator.generate(task, **arguments, given=given, **shared)
            yield begin
            yield from generator.extend(begin.video, audio=begin.audio, frames=frames - first_frames, **shared)

        path = Path(output) / f"{task}_{number:04d}.mp4"
        _write(path, made(), generator, frames, "audio" in makes(task), stream)
        say(f"{frames} frames, {frames / generator.fps:.2f} s, of task {task}: {path}")
        paths.append(path)
    return paths


def _write(path: Path, parts: Iterator[Made], generator, frames: int, sounding: bool, stream: TextIO | None) -> None:
    """One window is in memory at a time."""
    _, height, width = generator.clip.grid.pixel_shape
    rate = generator.sample_rate if sounding else None
    with contextlib.ExitStack() as open_files:
        progress = open_files.enter_context(Progress(frames, "frames", name=path.name, stream=stream))
        writer = mp4_writer(path, generator.fps, viewing_scale(height, width), sample_rate=rate)
        write = open_files.enter_context(writer)
        for part in parts:
            write(to_uint8(np.asarray(part.video)[0]), None if part.audio is None else np.asarray(part.audio)[0])
            progress.advance(part.video.shape[1])

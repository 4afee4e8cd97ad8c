"""Videos, images and sounds of a multimodal generator, written to a folder; one task, or a chain of them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import Made, MultimodalGenerator
from magvit_jax.generation.prompts import Prompt, texts_of
from magvit_jax.media import output as media_output
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokens.videopoet import sequence_task
from magvit_jax.workflows.multimodal_files import NO_FILES, Files, read_files

BATCH = 8


def generate_multimodal(
    generator: MultimodalGenerator,
    task: str,
    output: str | os.PathLike,
    *,
    files: Files = NO_FILES,
    prompt: Prompt = None,
    then: Sequence[str] = (),
    then_prompt: str | None = None,
    given: int | None = None,
    num: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
    **settings: Any,
) -> list[Path]:
    """Makes `num` examples and writes each as one mp4 with its sound and as gif, images as png.

    A grid.png shows the first of them: what the first task was given to see, and what each task made. What is seen or
    heard but not made is in the file too: the video that a sound was made for, and the sound that a video was made for.

    Args:
        task: one of the generator's.
        files: what it is given.
        prompt: text, or texts that are taken in turn.
        then: tasks that go on with what was made, one after the other (Fig. 8.7, 8.8); every step is written.
        then_prompt: text of those; by default the same.
        given: frames that frame prediction is given; by default those of two latents.
        say: gets the lines that say what was done and converted.
        settings: see `MultimodalGenerator.generate`.

    Returns:
        The mp4 and png files, those of the last step.

    Raises:
        UserError: as `MultimodalGenerator.chain`, or a file that is missing, not wanted or does not fit.
    """
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more")
    tasks, texts = (task, *then), texts_of(prompt)
    if then_prompt is not None and not then:
        raise UserError(f"then_prompt {then_prompt!r} without a task that follows; expected --then with it")
    say_unknown(generator, [*texts, then_prompt or ""], say)
    counts = [generator.latents_of(name, None if step else given) for step, name in enumerate(tasks)]
    layouts = [generator.plan(name, count).layouts[0] for name, count in zip(tasks, counts, strict=True)]
    values = read_files(generator, layouts, files, num, say)
    if counts[0] is not None:
        given = generator.clip.pixel_frames_of(counts[0])
    paths, rows = [], []
    for start in range(0, num, BATCH):
        order = np.arange(start, min(start + BATCH, num))
        own = {name: value[order % len(value)] for name, value in values.items() if value is not None}
        own_texts = [texts[i % len(texts)] for i in order]
        prompts = [own_texts, *[own_texts if then_prompt is None else then_prompt] * len(then)]
        shared = dict(num=len(order), seed=seed, first=start, given=given, **settings)
        made = generator.chain(tasks, prompts=prompts, **own, **shared)
        seen = generator.reader.seen(layouts[0], own) if start < media_output.SHOWN else {}
        for row, number in enumerate(order):
            written = _write_steps(generator, Path(output), tasks, made, values, int(number), row)
            paths.append(written[0])
            given_to_it = {f"given {name}": to_uint8(np.asarray(video[row])) for name, video in seen.items()}
            rows.append(given_to_it | written[1])
    if rows[0]:
        media_output.write_grid(Path(output) / "grid.png", rows)
    say(f"{num} of task {', then '.join(tasks)}: {output}")
    return paths


def say_unknown(generator: MultimodalGenerator, texts: Sequence[str], say: Callable[[str], None]) -> None:
    """Names the words of the prompts that the model does not know."""
    unknown = sorted({word for text in texts for word in generator.prompts.unknown(text)})
    if unknown:
        say(f"the model does not know the words: {', '.join(unknown)}")


def _write_steps(generator, output: Path, tasks, made: list[Made], values, number: int, row: int):
    """Files of one example; the last of them, and its frames by step for the grid."""
    shown: dict[str, np.ndarray] = {}
    seen, heard = values["video"], values["audio"]
    video_THWC = None if seen is None else seen[number % len(seen)]
    audio_S = None if heard is None else heard[number % len(heard)]
    path = output
    for step, (task, one) in enumerate(zip(tasks, made, strict=True)):
        video_THWC = to_uint8(np.asarray(one.video[row])) if one.video is not None else video_THWC
        audio_S = np.asarray(one.audio[row]) if one.audio is not None else audio_S
        stem = output / (f"{task}_{number:04d}" if len(tasks) == 1 else f"chain_{number:04d}_{step + 1}_{task}")
        sounding = one.audio is not None or any(part.source == "audio" for part in sequence_task(task).inputs)
        sound = (audio_S, generator.sample_rate) if sounding else (None, None)
        path = media_output.write_clip(stem, video_THWC, generator.fps, *sound)
        shown[task] = video_THWC
    return path, shown

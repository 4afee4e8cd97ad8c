"""Tasks one after the other, each on what the one before it made (thesis 8.4.5, Fig. 8.7 and 8.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal_given import ARGUMENTS
from magvit_jax.generation.prompts import Prompt, texts_of
from magvit_jax.tokens.videopoet import sequence_task

FROM_BEFORE = ("video", "audio")  # what a step takes from those before it, where they made it
ESTIMATED = ("flow", "depth")  # what others make of a video


def arguments_of(task: str) -> set[str]:
    """What a user gives a task, besides text."""
    return {name for part in sequence_task(task).inputs for name in ARGUMENTS[part.source]}


def makes(task: str) -> set[str]:
    """"video", "audio" or both."""
    return {part.source for part in sequence_task(task).outputs}


def require_chain(tasks: Sequence[str], values: Mapping[str, Any]) -> None:
    """UserError for tasks that cannot follow each other, and for what none of them uses or one of them lacks.

    Args:
        tasks: one or more.
        values: by argument, None where not given.
    """
    if not tasks or isinstance(tasks, str):
        raise UserError(f"tasks {tasks!r}: expected a list of one task or more")
    there = {name for name, value in values.items() if value is not None}
    made: set[str] = set()
    used: set[str] = set()
    image = False  # whether the last thing to see that was made is one
    for step, task in enumerate(tasks):
        needed = arguments_of(task)
        if step and not needed & (made | set(ESTIMATED)):
            raise UserError(f"task {task!r} after {tasks[step - 1]!r}: it takes nothing of what was made before it")
        for name in sorted(needed - there - made - {"mask"}):
            after = f" after {tasks[step - 1]!r}" if step else ""
            raise UserError(f"task {task!r}{after} needs {_lacking(name)}; expected {_expected(name)}")
        if step and image and _needs_whole_video(task):
            raise UserError(f"task {task!r} after {tasks[step - 1]!r}: it takes a video, and what was made is an image")
        used |= needed - made
        made |= makes(task)
        if "video" in makes(task):
            image = sequence_task(task).outputs[0].extent == "first"
    for name in sorted(there - used):
        raise UserError(f"none of the tasks {', '.join(tasks)} takes the {name} that is given")


def _needs_whole_video(task: str) -> bool:
    """Whether one frame is too little for a task."""
    spec = sequence_task(task)
    seen = [part for part in spec.inputs if "video" in ARGUMENTS[part.source]]
    return any(part.extent == "all" or (part.extent == "given" and spec.given is None) for part in seen)


def _lacking(name: str) -> str:
    return f"the {name} of the video that it is to follow" if name in ESTIMATED else name


def _expected(name: str) -> str:
    return f"{name}=a video, or a function that makes one of the video" if name in ESTIMATED else name


def step_arguments(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a step is given of `values`; where flow or depth is a function, of what it makes of the video."""
    needed = arguments_of(task)
    own = {name: value if name in needed else None for name, value in values.items()}
    return {name: value(values["video"]) if callable(value) else value for name, value in own.items()}


def settings_of_steps(prompts: Sequence[Prompt], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings for each step: where some steps have a text, guidance is for them alone."""
    texts = [any(texts_of(prompt)) for prompt in prompts]
    silent = {name: value for name, value in settings.items() if name != "guidance_scale" or not any(texts)}
    return [dict(settings) if text else dict(silent) for text in texts]


def prompts_of_steps(prompts: Prompt | Sequence[Prompt], steps: int) -> list[Prompt]:
    """A prompt for each step: one text for all, or a list with one for each."""
    if prompts is None or isinstance(prompts, str):
        return [prompts] * steps
    if len(prompts) != steps:
        raise UserError(f"{len(prompts)} prompts for {steps} tasks: expected one for each, or one text for all")
    return list(prompts)

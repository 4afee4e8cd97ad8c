"""Every task of a generator for one clip, as a page that needs nothing but itself."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax import data
from magvit_jax.errors import UserError
from magvit_jax.evaluation.tasks import MeasuredTask, TaskScore, evaluate_tasks
from magvit_jax.generation.generator import Generator
from magvit_jax.generation.pixels import USER_MASK, Given
from magvit_jax.generation.settings import Decoding, choose
from magvit_jax.media.given import given_only
from magvit_jax.media.report import Report
from magvit_jax.media.tables import Result
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokens.tasks import TASKS
from magvit_jax.workflows.conditions import Condition, UserMask
from magvit_jax.workflows.evaluate import test_clips
from magvit_jax.workflows.generate import FPS, labels_for
from magvit_jax.workflows.generate_states import draw_states

FILE = "gallery.html"
_RATES = 4.0, 12.0  # frames per second on the page: slow enough to be compared
_WIDTH = 770  # pixels on the page for a row of clips


@dataclasses.dataclass(frozen=True)
class Shown:
    """One task, or a user's own mask.

    Attributes:
      name: of the task, or "mask".
      given: of one clip, what the model started from.
      clips: uint8 [num, T, H, W, 3], the samples.
      labels: of the samples, names; none of a task that takes none.
      score: against the clip; None of a task that is given no pixels.
    """

    name: str
    given: Given
    clips: np.ndarray
    labels: tuple[str, ...]
    score: TaskScore | None

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")


def gallery(
    generator: Generator,
    output: str | os.PathLike,
    *,
    source: str | os.PathLike | None = None,
    mask: UserMask | None = None,
    label: int | str | None = None,
    num: int = 2,
    seed: int = 0,
    paste: bool = False,
    model: str = "MODEL",
    say: Callable[[str], None] = print,
    **settings: Any,
) -> Path:
    """Writes gallery.html: for each task the original, what is given of it, the padded clip that the model
    sees and samples, moving side by side, with PSNR where there is a truth.

    Args:
      source: a video or image with as many frames as the tasks are given; None takes an embedded test clip.
      mask: a user's own mask, shown as one task more.
      label: class of all samples; None takes the embedded clip's, or the classes in turn.
      num: samples of each task.
      model: where the generator is, for the page's command lines.
      seed, paste, say, settings: as of `generate`.

    Returns:
      The page's path.

    Raises:
      UserError: a file that cannot be read or is too short, an unknown label or setting.
    """
    if num < 1:
        raise UserError(f"num is {num}; expected 1 or more samples")
    condition, own_label = _clip(generator, source, mask)
    label = own_label if label is None else label
    shown = []
    for name in [*sorted(generator.tasks, key=list(TASKS).index), *([USER_MASK] if mask else [])]:
        shown.append(_sampled(generator, name, condition, label, num, seed, paste, settings))
        say(f"{name}: {num} samples")
    report = Report(
        "Every task for one clip",
        f"{condition.path.name}: {_size(generator)}. Model {model}, fingerprint {generator.fingerprint}.",
        footer=f"magvit gallery, seed {seed}",
    )
    _clips(report, condition, shown)
    _numbers(report, shown)
    _steps(report, generator, condition, shown, seed, settings)
    _settings(report, generator, shown, settings)
    _commands(report, model, source, shown)
    path = report.write(Path(output) / FILE)
    say(f"page: {path}")
    return path


def _clip(
    generator: Generator, source: str | os.PathLike | None, mask: UserMask | None
) -> tuple[Condition, str | None]:
    """The clip, with what a user's mask gives of it, and its class where that is known."""
    clip = generator.clip
    spec = data.ClipSpec(frames=clip.frames, height=clip.height, width=clip.width, stride=clip.stride)
    if source is None:
        example = next(iter(test_clips(clip, None, 1)))
        names, number = data.MovingDigits.class_names, int(example["label"][0])
        known = tuple(generator.class_names) == tuple(names)
        video = np.asarray(example["video"][0])
        if mask is not None and mask.file is not None:
            raise UserError(f"{mask.file}: a mask file goes with --input; expected --input=FILE, or --box")
        given_THW = np.ones(clip.shape, bool) if mask is None else mask.of(None, spec)
        return Condition(Path("embedded clip"), video, FPS, given_THW), names[number] if known else None
    if Path(source).is_dir():
        raise UserError(f"{source} is a folder; expected one video or image file")
    stream = data.FrameStream(source, stride=clip.stride)
    given_THW = None if mask is None else mask.of(stream, spec)
    needed = [task.frames_needed(clip.frames) for task in generator.mixture.tasks]
    if given_THW is not None:
        needed.append(int(np.flatnonzero(given_THW.any(axis=(1, 2)))[-1]) + 1)
    video = data.load_clip(source, spec, least=max(1, *needed))
    given_THW = np.ones(clip.shape, bool) if given_THW is None else given_THW
    return Condition(Path(source), video, stream.rate, given_THW), None


def _sampled(
    generator: Generator,
    name: str,
    condition: Condition,
    label: int | str | None,
    num: int,
    seed: int,
    paste: bool,
    settings: Mapping[str, Any],
) -> Shown:
    arguments = _arguments(name, condition)
    given = generator.given(name, **arguments, num=1)
    labels = labels_for(generator, given.task.name, label, num) if given.task.uses_class else None
    pasted = paste and given.video_BTHWC is not None
    video = generator.generate(name, **arguments, label=labels, num=num, seed=seed, paste=pasted, **settings)
    clips = to_uint8(np.asarray(video).reshape(num, *generator.clip.shape, 3))
    names = tuple(generator.class_names[number] for number in labels or ())
    return Shown(name, given, clips, names, _score(generator, name, condition, given, clips))


def _arguments(name: str, condition: Condition) -> dict[str, Any]:
    video = condition.filled_THWC[None]
    return dict(video=video, mask=condition.given_THW) if name == USER_MASK else dict(video=video)


def _score(
    generator: Generator, name: str, condition: Condition, given: Given, clips: np.ndarray
) -> TaskScore | None:
    """Over the frames that the clip has."""
    there = len(condition.video_THWC)
    given_THW = given.given_BTHW[0][:there]
    if given_THW.all() or not given_THW.any():
        return None
    padded = np.asarray(given.padded_BTHWC)[:, :there]
    truth = np.repeat(condition.video_THWC[None], len(clips), axis=0)
    through = np.asarray(generator.tokenizer.reconstruct(condition.filled_THWC[None]))[:, :there]
    measured = MeasuredTask(
        generate=lambda video, first: clips[:, :there],
        pad=lambda video: np.repeat(padded, len(video), axis=0),
        given_THW=given_THW,
    )
    return evaluate_tasks(
        {name: measured}, lambda video: np.repeat(through, len(video), axis=0), [{"video": truth}]
    )[name]


def _size(generator: Generator) -> str:
    frames, height, width = generator.clip.shape
    tokens = "x".join(map(str, generator.mixture.grid.shape))
    what = "an image" if frames == 1 else f"{frames} frames"
    return f"{what} of {height}x{width}, {tokens} tokens"


def _clips(report: Report, condition: Condition, shown: Sequence[Shown]) -> None:
    original = condition.filled_THWC
    report.heading("Tasks").paragraph(
        "`given`: the pixels that the task is given; stripes are what it is not. `padded`: what the tokenizer "
        "sees of it. Then samples: all of their pixels come from tokens, given ones too, unless they were "
        "pasted back."
    )
    columns = {
        "original": [original] * len(shown),
        "given": [given_only(original, one.given.given_BTHW[0]) for one in shown],
        "padded": [_padded(one.given, original) for one in shown],
    }
    for i in range(len(shown[0].clips)):
        columns[f"sample {i + 1}"] = [one.clips[i] for one in shown]
    fps = float(np.clip(condition.rate, *_RATES))
    scale = max(1, _WIDTH // len(columns) // original.shape[2])
    report.clip_rows(columns, labels=[_label(one) for one in shown], fps=fps, scale=scale)


def _padded(given: Given, original: np.ndarray) -> np.ndarray:
    if given.padded_BTHWC is None:
        return given_only(original, np.zeros(original.shape[:3], bool))
    return to_uint8(given.padded_BTHWC)[0]


def _label(one: Shown) -> str:
    words = one.words
    if one.name == USER_MASK:
        words += f" (as {one.given.task.name.replace('_', ' ')})"
    if one.labels:
        words += ": " + ", ".join(dict.fromkeys(one.labels))
    if one.score is not None:
        words += f" · {one.score.psnr_unseen:.1f} dB unseen, {one.score.psnr_given:.1f} dB given"
    return words


def _numbers(report: Report, shown: Sequence[Shown]) -> None:
    rows = [
        Result(
            one.words,
            one.score.psnr_unseen,
            baseline=one.score.psnr_unseen_padded,
            ceiling=one.score.psnr_unseen_ceiling,
            unit="dB",
        )
        for one in shown
        if one.score is not None
    ]
    report.heading("Numbers")
    if rows:
        report.results(
            rows,
            "PSNR of the pixels that are not given, against the original, mean of the samples. The baseline is "
            "the padded clip; the ceiling is the original through the tokenizer. A sample that differs need not "
            "be a bad one.",
        )
    report.table(
        (
            "task",
            "given pixels",
            "condition tokens",
            "padding",
            "PSNR of the given pixels",
            "the tokenizer's",
        ),
        [
            (
                one.words,
                f"{one.given.given_BTHW.mean():.1%}",
                f"{one.given.region_Bthw.mean():.1%}",
                one.given.task.padding if one.given.given_BTHW.any() else "",
                "" if one.score is None else f"{one.score.psnr_given:.2f} dB",
                "" if one.score is None else f"{one.score.psnr_given_ceiling:.2f} dB",
            )
            for one in shown
        ],
        "How much is given, and how well its content is kept.",
    )


def _steps(
    report: Report,
    generator: Generator,
    condition: Condition,
    shown: Sequence[Shown],
    seed: int,
    settings: Mapping[str, Any],
) -> None:
    """One task decoded step by step: the one with the most tokens that were given and are decoded all the
    same."""
    one = max(shown, key=lambda one: (not one.given.exact, one.given.region_Bthw.mean()))
    if not isinstance(generator.decoding[one.given.task.name], Decoding):
        return  # token by token there are no such steps
    arguments = dict(_arguments(one.name, condition), num=1)
    label = one.labels[0] if one.labels else None
    _, states = generator.generate_states(one.name, **arguments, label=label, seed=seed, **settings)
    ((picture, _),) = draw_states(generator, states, one.given)
    report.heading("Decoding, step by step").image(
        picture,
        caption=f"{one.words}, sample 1: on the left the tokens after each step and how many are left, "
        "on the right the clip that all tokens of that step decode to, down-sampled in time.",
    )


def _settings(
    report: Report, generator: Generator, shown: Sequence[Shown], settings: Mapping[str, Any]
) -> None:
    changes = {name: value for name, value in settings.items() if name != "decoding"}
    lines = {}
    for one in shown:
        own = choose(generator.decoding[one.given.task.name], settings.get("decoding"), changes)
        fields = {name: value for name, value in dataclasses.asdict(own).items() if value is not None}
        lines[one.words] = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields.items())
    report.heading("Decoding settings").key_values(lines)


def _commands(report: Report, model: str, source: str | os.PathLike | None, shown: Sequence[Shown]) -> None:
    commands = []
    for one in shown:
        if one.name == USER_MASK:
            continue
        given = one.given.video_BTHWC is not None
        clip = f" --input={source if source is not None else 'FILE'}" if given else ""
        commands.append(("", f"magvit generate --model={model} --task={one.name}{clip} --output={one.name}"))
    report.heading("Commands").commands(commands)

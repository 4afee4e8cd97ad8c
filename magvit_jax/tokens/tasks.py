"""The ten video generation tasks as data (thesis 6.4.2): what is given, its padding, the latents that hold it.

A task is made by a factory of `TASKS` from its settings. A new task is a new factory and a new entry there.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens import padding as paddings
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.regions import DIRECTIONS, Window
from magvit_jax.typing import Array

Shape = tuple[int, int, int]
WINDOWS = ("analytic", "supervoxel")


@dataclasses.dataclass(frozen=True)
class Task:
    """One generation task.

    Attributes:
        name: its key in `TASKS`, and the name of its prompt.
        uses_class: whether the class label is part of the condition.
        given_frames: number of pixel frames at the start that are given whole.
        frames_needed: T -> frames of a clip of T that have to be there: up to the last that has a given
            pixel.
        given: (T, H, W) -> bool [T, H, W], the pixels that are given. UserError where nothing would be left
            to make.
        region: LatentGrid -> bool [t, h, w], the latents that hold the condition. Never found from pixel
            values, so that it is a constant of the compiled step.
        padding: how the rest is filled, see `padding.pad`.
        exact: LatentGrid -> whether the tokens of the padded clip, inside the region, are the tokens of the
            clip itself, so that the clip need not be tokenized a second time.
    """

    name: str
    uses_class: bool
    given_frames: int
    frames_needed: Callable[[int], int]
    given: Callable[[Shape], np.ndarray]
    region: Callable[[LatentGrid], np.ndarray]
    padding: str
    exact: Callable[[LatentGrid], bool]

    def __post_init__(self):
        try:
            paddings.check_padding(self.padding)
        except UserError as error:
            raise UserError(f"task {self.name!r}: {error}") from None

    def pad(self, video_BTHWC: Array) -> Array:
        """The clips, any float type, with every pixel that is not given replaced by padding."""
        return paddings.pad(video_BTHWC, self.given(video_BTHWC.shape[1:4]), self.padding)


def frame_prediction(*, frames: int, padding: str) -> Task:
    """FP: the first `frames` frames are given; the thesis repeats the last of them (padding "last").

    The region is the latent frames that hold a given frame: with a leading frame and stride s, 1 +
    ceil((n-1)/s), so 2 for five frames at s=4. Of a causal tokenizer the condition tokens are exact where the
    given frames end where a latent frame ends, n = 1 + s*k.
    """
    return _frames("frame_prediction", frames, 0, padding, uses_class=False)


def frame_interpolation(*, frames: int, frames_end: int, padding: str) -> Task:
    """FI: `frames` at the start and `frames_end` at the end are given; 1, 1, padding "linear" in the thesis.

    The region is the latent frames that hold one of them; the last frame belongs to the last latent frame.
    """
    if frames_end < 1:
        raise UserError(f"frame_interpolation: {frames_end} given frames at the end, expected 1 or more")
    return _frames("frame_interpolation", frames, frames_end, padding, uses_class=False)


def central_outpainting(*, height: float, width: float, padding: str, window: str) -> Task:
    """OPC: a rectangle in the centre is given; half of height and width, padding "edge" in the thesis."""
    return _window("central_outpainting", Window(height, width), True, padding, window)


def vertical_outpainting(*, width: float, padding: str, window: str) -> Task:
    """OPV: a vertical strip in the centre is given; half of the width, padding "edge" in the thesis."""
    return _window("vertical_outpainting", Window(1.0, width), True, padding, window)


def horizontal_outpainting(*, height: float, padding: str, window: str) -> Task:
    """OPH: a horizontal strip in the centre is given; half of the height, padding "edge" in the thesis."""
    return _window("horizontal_outpainting", Window(height, 1.0), True, padding, window)


def dynamic_outpainting(*, width: float, direction: str, padding: str, window: str) -> Task:
    """OPD: a moving strip is given; half of the width, "left_to_right", padding "zero" in the thesis.

    `width` is its share along the direction; across it the strip reaches from border to border.
    """
    along_columns = direction not in DIRECTIONS or DIRECTIONS[direction][0] == 1
    strip = Window(1.0, width, direction) if along_columns else Window(width, 1.0, direction)
    return _window("dynamic_outpainting", strip, True, padding, window)


def central_inpainting(*, height: float, width: float, padding: str, window: str) -> Task:
    """IPC: all but a rectangle in the centre is given; half of each side, padding "zero" in the thesis."""
    return _window("central_inpainting", Window(height, width), False, padding, window)


def dynamic_inpainting(*, height: float, width: float, direction: str, padding: str, window: str) -> Task:
    """IPD: all but a moving rectangle is given, which is in the centre across its direction; half of each
    side, "left_to_right", padding "zero" in the thesis."""
    return _window("dynamic_inpainting", Window(height, width, direction), False, padding, window)


def class_conditional() -> Task:
    """CG: only the class label is given; no pixel is. Without labels it is unconditional generation."""
    return Task(
        name="class_conditional",
        uses_class=True,
        given_frames=0,
        frames_needed=lambda total: 0,
        given=lambda shape: np.zeros(shape, bool),
        region=lambda grid: np.zeros(grid.shape, bool),
        padding="zero",
        exact=lambda grid: True,  # an empty region holds no wrong token
    )


def class_conditional_frame_prediction(*, frames: int, padding: str) -> Task:
    """CFP: as FP, with the class label."""
    return _frames("class_conditional_frame_prediction", frames, 0, padding, uses_class=True)


TASKS: Mapping[str, Callable[..., Task]] = {
    "frame_prediction": frame_prediction,
    "frame_interpolation": frame_interpolation,
    "central_outpainting": central_outpainting,
    "vertical_outpainting": vertical_outpainting,
    "horizontal_outpainting": horizontal_outpainting,
    "dynamic_outpainting": dynamic_outpainting,
    "central_inpainting": central_inpainting,
    "dynamic_inpainting": dynamic_inpainting,
    "class_conditional": class_conditional,
    "class_conditional_frame_prediction": class_conditional_frame_prediction,
}


def build_task(name: str, settings: Mapping[str, object] | None = None) -> Task:
    """The task of that name with its settings. UserError for a name, setting or value that cannot be."""
    if name not in TASKS:
        raise UserError(f"task {name!r} is unknown; known are: {', '.join(TASKS)}")
    settings = dict(settings or {})
    expected = list(inspect.signature(TASKS[name]).parameters)
    if sorted(settings) != sorted(expected):
        raise UserError(f"task {name!r}: settings {sorted(settings)}, expected {sorted(expected)}")
    return TASKS[name](**settings)


def _frames(name: str, start: int, end: int, padding: str, uses_class: bool) -> Task:
    """The first `start` and the last `end` frames are given."""
    if start < 1:
        raise UserError(f"{name}: {start} given frames, expected 1 or more")

    def check(total: int) -> None:
        if total <= start + end:
            raise UserError(
                f"{name}: {start + end} frames given of {total}: none is left to make; expected a longer clip"
            )

    def given(shape: Shape) -> np.ndarray:
        check(shape[0])
        given_THW = np.zeros(shape, bool)
        given_THW[:start] = given_THW[shape[0] - end :] = True
        return given_THW

    def region(grid: LatentGrid) -> np.ndarray:
        check(grid.pixel_frames)
        region_thw = np.zeros(grid.shape, bool)
        region_thw[: grid.latent_frames_of(start)] = True
        if end:
            region_thw[grid.latent_frames_of(grid.pixel_frames - end + 1) - 1 :] = True
        return region_thw

    return Task(
        name=name,
        uses_class=uses_class,
        given_frames=start,
        frames_needed=lambda total: total if end else start,
        given=given,
        region=region,
        padding=padding,
        exact=lambda grid: not end and grid.causal and grid.fills_latent_frames(start),
    )


def _window(name: str, window: Window, inside: bool, padding: str, rule: str) -> Task:
    """The pixels inside the window are given, or those outside.

    `rule` says which latents are condition: "analytic", as the authors' code, those of the same window in the
    latent grid; "supervoxel", as Eq. 6.2, all whose supervoxel holds a given pixel. They differ where a
    window moves.
    """
    if rule not in WINDOWS:
        raise UserError(f"{name}: window {rule!r}; expected one of {', '.join(WINDOWS)}")

    def given(shape: Shape) -> np.ndarray:
        try:
            given_THW = window.inside(shape) == inside
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        if given_THW.all() or not given_THW.any():
            what = "all is" if given_THW.all() else "nothing is"
            raise UserError(f"{name}: {what} given; expected a window smaller than the frame")
        return given_THW

    return Task(
        name=name,
        uses_class=False,
        given_frames=0,
        frames_needed=lambda total: total,
        given=given,
        region=lambda grid: (
            given(grid.shape) if rule == "analytic" else grid.holding(given(grid.pixel_shape))
        ),
        padding=padding,
        exact=lambda grid: False,  # what is around the window reaches its tokens
    )

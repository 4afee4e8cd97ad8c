"""The pixels that a batch of clips is conditioned on: a task's, or those of a user's own mask."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.inputs import as_video
from magvit_jax.tokens import user_mask
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.tasks import Task
from magvit_jax.typing import Array

USER_MASK = "mask"  # the task of a user's own mask


@dataclasses.dataclass(frozen=True)
class Given:
    """What is given of a batch of B clips.

    Attributes:
      task: whose prompt is used; with a user's own mask the one that comes nearest, or that was named.
      video_BTHWC: float32 in [0, 1], of the model's size; None where no pixel is given.
      given_BTHW: bool, the pixels that are given; the batch axis may be 1. No other pixel is used.
      padded_BTHWC: the same with padding in place of what is not given; None where no pixel is given.
      region_Bthw: bool, the condition region; the batch axis may be 1.
      exact: whether the condition tokens are those of the clip itself.
    """

    task: Task
    video_BTHWC: Array | None
    given_BTHW: np.ndarray
    padded_BTHWC: Array | None
    region_Bthw: np.ndarray
    exact: bool


def of_task(mixture: TaskMixture, task: Task, video_BTHWC: Array | None, batch: int) -> Given:
    """The condition of a task.

    Args:
      video_BTHWC: as of `clips`; repeated in turn to fill the batch. None for a task that is given no pixel.
    """
    given_BTHW = task.given(mixture.grid.pixel_shape)[None]
    region_Bthw = task.region(mixture.grid)[None]
    if not given_BTHW.any():
        return Given(task, None, given_BTHW, None, region_Bthw, exact=True)
    video_BTHWC = video_BTHWC[np.arange(batch) % video_BTHWC.shape[0]]
    padded_BTHWC = task.pad(video_BTHWC)
    return Given(task, video_BTHWC, given_BTHW, padded_BTHWC, region_Bthw, task.exact(mixture.grid))


def of_mask(
    mixture: TaskMixture, mask_BTHW: np.ndarray, prompt: Task | None, video_BTHWC: Array, batch: int
) -> Given:
    """The condition of a user's own mask.

    Args:
      mask_BTHW: as of `masks`; it and the video are repeated in turn to fill the batch.
      prompt: the task whose prompt and padding are used; by default the one whose region overlaps most with
        the first mask's.
    """
    order_B = np.arange(batch)
    given_BTHW = mask_BTHW if len(mask_BTHW) == 1 else mask_BTHW[order_B % len(mask_BTHW)]
    region_Bthw = user_mask.region_of(given_BTHW, mixture.grid)
    if prompt is None:
        prompt = mixture.tasks[mixture.names.index(user_mask.nearest_task(mixture, region_Bthw[0]))]
    video_BTHWC = video_BTHWC[order_B % video_BTHWC.shape[0]]
    padded_BTHWC = user_mask.pad(
        video_BTHWC, np.broadcast_to(given_BTHW, video_BTHWC.shape[:-1]), prompt.padding
    )
    is_task = np.array_equal(
        given_BTHW, np.broadcast_to(prompt.given(mixture.grid.pixel_shape), given_BTHW.shape)
    )
    exact = is_task and prompt.exact(mixture.grid)
    return Given(prompt, video_BTHWC, given_BTHW, padded_BTHWC, region_Bthw, exact)


def clips(name: str, video: Any, shape: tuple[int, int, int], needed: int) -> Array:
    """A user's condition as float32 in [0, 1], [B, T, H, W, 3]; missing frames repeat the last.

    Args:
      name: of the task, for errors.
      video: uint8 or float in [0, 1]; [B, T', H, W, 3], or one clip [T', H, W, 3]; of a model of
        images [B, H, W, 3].
      shape: (T, H, W) of the model's clips.
      needed: frames that have to be there.

    Raises:
      UserError: there is no video, or it does not fit.
    """
    frames, height, width = shape
    expected = f"expected at least {needed} frame{'s' if needed > 1 else ''} of {height}x{width}"
    if video is None:
        raise UserError(f"task {name!r} needs a video; {expected}")
    video = np.asarray(video)
    video = as_video(video[None] if video.ndim == 4 and frames > 1 else video)
    if video.shape[1] < needed or video.shape[2:4] != (height, width):
        raise UserError(
            f"task {name!r}: video of {video.shape[1]} frames of {video.shape[2]}x{video.shape[3]}; {expected}"
        )
    missing = max(frames - video.shape[1], 0)
    return jnp.pad(video[:, :frames], ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")


def masks(mask: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """A user's mask as bool [B, T, H, W], True where a pixel is given.

    Args:
      mask: bool, or uint8 of 0 and 255; [H, W] for every frame, [T, H, W], or [B, T, H, W]; of a model of
        images also [B, H, W].
      shape: (T, H, W) of the model's clips.

    Raises:
      UserError: another shape, type or value, or a mask that gives everything or nothing.
    """
    if mask is None:
        raise UserError(
            f"task {USER_MASK!r} needs a mask; expected bool [T, H, W], True where a pixel is given"
        )
    mask = np.asarray(mask)
    if mask.dtype == np.uint8 and np.all((mask == 0) | (mask == 255)):
        mask = mask == 255
    if mask.dtype != bool:
        raise UserError(f"mask of {mask.dtype}: expected bool, or uint8 of 0 (missing) and 255 (given) only")
    if mask.ndim == 2:
        mask = np.broadcast_to(mask, (shape[0], *mask.shape))
    elif mask.ndim == 3 and shape[0] == 1 and len(mask) > 1:
        mask = mask[:, None]
    mask = mask[None] if mask.ndim == 3 else mask
    if mask.ndim != 4 or mask.shape[1:] != shape:
        raise UserError(f"mask of shape {list(mask.shape)}: expected {list(shape)} (frames, height, width)")
    for what, given_B in (("all", mask.all(axis=(1, 2, 3))), ("no", ~mask.any(axis=(1, 2, 3)))):
        if given_B.any():
            raise UserError(f"mask gives {what} pixels of a clip: expected some given and some missing")
    return mask

"""What a multimodal task is given: a user's pixels, sounds and masks, checked, and as codes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.generation import pixels
from magvit_jax.tokenizer.inputs import as_sound
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens import user_mask
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.tasks import Task
from magvit_jax.tokens.videopoet import ClipShape, Layout, SequenceTask, commit, sequence_task
from magvit_jax.tokens.videopoet.tasks import Part
from magvit_jax.typing import Array

#: A source of a sequence -> what a user gives for it; all of it but a mask has to be there.
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "video": ("video",),
    "masked": ("video", "mask"),
    "flow": ("flow",),
    "depth": ("depth",),
    "audio": ("audio",),
}


@dataclasses.dataclass(frozen=True)
class Reader:
    """Turns what users give into codes.

    Attributes:
        tokenizer, sound: make the codes; `sound` is None for a model without sound.
        clip: the clips of the model.
        painting: what inpainting and outpainting were trained with, by name: their window and padding.
    """

    tokenizer: Tokenizer
    sound: SoundTokenizer | None
    clip: ClipShape
    painting: Mapping[str, Task]

    def read(self, layout: Layout, values: Mapping[str, Any]) -> dict[str, Array]:
        """Codes of everything that a layout's prefix holds: a source -> int32 [n, ...], n of the user's.

        Args:
            values: "video", "audio", "flow", "depth", "mask", None where not given; see
                `MultimodalGenerator.generate`.

        Raises:
            UserError: something is missing, not wanted, or does not fit.
        """
        require_arguments(layout.task, values)
        return {part.source: self._codes(layout, part, values) for part in layout.task.inputs}

    def seen(self, layout: Layout, values: Mapping[str, Any]) -> dict[str, Array]:
        """What a layout's prefix shows, by source: float32 [n, T', H, W, 3]; of painting the padded clip.

        Args:
            values: as of `read`.
        """
        parts = [part for part in layout.task.inputs if part.kind != "audio"]
        return {part.source: self._pixels(layout, part, values)[0] for part in parts}

    def frames_of(self, layout: Layout, part: Part) -> int:
        """Frames of a visual part that have to be there."""
        return self.clip.grid.pixel_frames if part.extent == "all" else self.clip.pixel_frames_of(layout.given)

    def samples_of(self, layout: Layout, part: Part) -> int:
        """Samples of a part of sound that have to be there."""
        latents = self.clip.audio_frames
        if part.extent != "all":
            latents = self.clip.audio_frames_of(layout.given)
        return latents * self.sound.samples_per_latent

    def _codes(self, layout: Layout, part: Part, values: Mapping[str, Any]) -> Array:
        if part.kind == "audio":
            needed = self.samples_of(layout, part)
            return self.sound.encode(sounds(layout.task.name, values["audio"], needed, self.sound.sample_rate))
        video_BTHWC, region_Bthw = self._pixels(layout, part, values)
        codes_Bthw = self.tokenizer.encode(video_BTHWC)
        return codes_Bthw if region_Bthw is None else commit(codes_Bthw, jnp.asarray(region_Bthw))

    def _pixels(self, layout: Layout, part: Part, values: Mapping[str, Any]) -> tuple[Array, np.ndarray | None]:
        """What is encoded of a visual part; and the region of painting that stays given, by COMMIT."""
        name, grid = layout.task.name, self.clip.grid
        source = "video" if part.source == "masked" else part.source
        video_BTHWC = clips(name, source, values[source], grid, self.frames_of(layout, part))
        if part.source != "masked":
            return video_BTHWC, None
        task, mask = self.painting[name], values.get("mask")
        if mask is None:
            return task.pad(video_BTHWC), task.region(grid)[None]
        mask_BTHW = pixels.masks(mask, grid.pixel_shape)
        order_B = np.arange(max(len(video_BTHWC), len(mask_BTHW)))
        mask_BTHW, video_BTHWC = mask_BTHW[order_B % len(mask_BTHW)], video_BTHWC[order_B % len(video_BTHWC)]
        return user_mask.pad(video_BTHWC, mask_BTHW, task.padding), user_mask.region_of(mask_BTHW, grid)


def require_arguments(task: SequenceTask, values: Mapping[str, Any]) -> None:
    """UserError for what a task needs and does not get, or gets and does not take."""
    needed = [argument for part in task.inputs for argument in ARGUMENTS[part.source]]
    for argument in needed:
        if values.get(argument) is None and argument != "mask":
            raise UserError(f"task {task.name!r} needs {', '.join(needed)}; expected {argument}")
    for argument, value in values.items():
        if value is not None and argument not in needed:
            takes = f"it takes {', '.join(needed)}" if needed else "it is given nothing to see or hear"
            raise UserError(f"task {task.name!r} takes no {argument}; {takes}")


def given_latents(
    task: str, given: int | None, video: Any, clip: ClipShape, trained: Sequence[int] = ()
) -> int | None:
    """Latent frames that a task is given, as `layout` takes it: None where the task itself says how many.

    Args:
        given: frames, 1 + k strides; None for the whole video where it is shorter than a clip, and for those of two
            latents where it is not or there is none yet; less where the model was not trained with as many.
        video: as of `clips`, or None.
        trained: latent frames that the model was trained to be given; all counts where none is named.

    Raises:
        UserError: frames that do not end where a latent ends, none, or a whole clip; or a task that takes no number.
    """
    spec, grid = sequence_task(task), clip.grid
    if spec.given is not None:
        own = clip.pixel_frames_of(spec.given)
        if given not in (None, own):
            raise UserError(f"task {task!r} is given {own} frames; expected given={own}, or none, found {given}")
        return None
    allowed = [clip.pixel_frames_of(latents) for latents in sorted(trained) or range(1, grid.frames)]
    if given is None:
        there = grid.pixel_frames if video is None else np.shape(video)[-4] if np.ndim(video) > 3 else 1
        given = there
        if there >= grid.pixel_frames:
            two = clip.pixel_frames_of(min(2, grid.frames - 1))
            given = max((frames for frames in allowed if frames <= two), default=allowed[0])
    if given not in allowed:
        raise UserError(f"task {task!r} is given {given} frames; expected one of {', '.join(map(str, allowed))}")
    return grid.latent_frames_of(given)


def clips(task: str, source: str, video: Any, grid: LatentGrid, needed: int) -> Array:
    """The first `needed` frames of a user's clips, float32 in [0, 1], [B, needed, H, W, 3].

    Args:
        task, source: for errors.
        video: uint8 or float in [0, 1]; [B, T', H, W, 3], one clip [T', H, W, 3], or one image [H, W, 3].

    Raises:
        UserError: too few frames, or another size.
    """
    if not hasattr(video, "ndim"):
        video = np.asarray(video)
    video = video[(None,) * (5 - video.ndim)] if video.ndim in (3, 4) else video
    _, height, width = grid.pixel_shape
    what = f"{task}: {source}" if source != "video" else task
    return pixels.clips(what, video, (needed, height, width), needed)


def sounds(task: str, audio: Any, needed: int, sample_rate: int) -> Array:
    """The first `needed` samples of a user's sounds, float32 [B, needed].

    Args:
        task: for errors.
        audio: float in [-1, 1] at `sample_rate`, [B, S], or one sound [S].

    Raises:
        UserError: too few samples.
    """
    if not hasattr(audio, "ndim"):
        audio = np.asarray(audio)
    audio_BS = as_sound(audio[None] if audio.ndim == 1 else audio)
    if audio_BS.shape[1] < needed:
        raise UserError(
            f"task {task!r}: sound of {audio_BS.shape[1]} samples, {audio_BS.shape[1] / sample_rate:.3f} s; expected "
            f"{needed} at {sample_rate} Hz, {needed / sample_rate:.3f} s"
        )
    return audio_BS[:, :needed]

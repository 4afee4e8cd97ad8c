"""Video of any length, with or without sound: a window slides over its own output (thesis 8.4.5).

Each window is given the end of what there is, pixels and samples, and encodes it anew, in the memory of one window.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal_given import Reader, clips, sounds
from magvit_jax.tokens.videopoet import ClipShape, Layout
from magvit_jax.typing import Array

SILENT, SOUNDING = ("frame_prediction", "image_to_video"), ("audio_video_continuation",)
SECONDS = 1.0  # of what is there that a window is given: "the last second" (8.1)


class Tail(NamedTuple):
    """The end of a video, as much as a window is given.

    Attributes:
        video: float32 in [0, 1], [B, g, H, W, 3].
        audio: float32 [B, S]; None without sound.
    """

    video: Array
    audio: Array | None

    @classmethod
    def of(cls, reader: Reader, layout: Layout, video: Any, audio: Any) -> "Tail":
        """The end of a user's video and sound.

        Raises:
            UserError: too short, of another size, or of unequal length.
        """
        name, clip = layout.task.name, reader.clip
        needed = clip.pixel_frames_of(layout.given)
        frames = None
        if video is not None:
            video = video if hasattr(video, "ndim") else np.asarray(video)
            if video.ndim >= 4:
                frames, video = video.shape[-4], video[..., -needed:, :, :, :]
        end_BTHWC = clips(name, "video", video, clip.grid, needed)
        if audio is None:
            return cls(end_BTHWC, None)
        audio = audio if hasattr(audio, "ndim") else np.asarray(audio)
        rate = reader.sound.sample_rate
        seconds = (frames or 1) / clip.fps
        if abs(audio.shape[-1] / rate - seconds) > 1 / clip.fps:
            raise UserError(
                f"task {name!r}: sound of {audio.shape[-1] / rate:.3f} s, video of {seconds:.3f} s; expected equal "
                "lengths"
            )
        samples = clip.audio_frames_of(layout.given) * reader.sound.samples_per_latent
        return cls(end_BTHWC, sounds(name, audio[..., -samples:], samples, rate))

    def repeated(self, batch: int) -> "Tail":
        """For so many examples, those there are in turn."""
        order_B = np.arange(batch) % len(self.video)
        return Tail(self.video[order_B], None if self.audio is None else self.audio[order_B])

    def then(self, video_BTHWC: Array, audio_BS: Array | None) -> "Tail":
        """The end after new frames and new sound."""

        def last(old: Array, new: Array) -> Array:
            return jnp.concatenate([old, new], axis=1)[:, -old.shape[1] :]

        return Tail(last(self.video, video_BTHWC), None if audio_BS is None else last(self.audio, audio_BS))


def extending_task(known: Sequence[str], task: str | None, *, sounding: bool) -> str:
    """The task that a video is extended with: the one that is asked for, or the first that fits and is known.

    Raises:
        UserError: one that does not extend a video, or a model that knows none that does.
    """
    fitting = SOUNDING if sounding else SILENT
    what = "a video with its sound" if sounding else "a video"
    if task is not None:
        if task not in fitting:
            raise UserError(f"task {task!r} does not extend {what}; expected {' or '.join(fitting)}")
        if task not in known:
            raise UserError(f"task {task!r} is unknown; this model knows: {', '.join(known)}")
        return task
    for name in fitting:
        if name in known:
            return name
    raise UserError(
        f"extending {what} needs a model of {' or '.join(fitting)}; this one knows: {', '.join(known)}"
    )


def frames_of_a_second(clip: ClipShape, trained: Sequence[int] = ()) -> int:
    """Frames of the latents that end within the first second, fewer than all: 9 of 17 at 8 a second, 3 latents.

    Args:
        trained: latent frames that a model was trained to be given: one of those; all counts where none is named.
    """
    allowed = sorted(trained) or range(1, clip.grid.frames)
    fitting = [k for k in allowed if clip.pixel_frames_of(k) <= SECONDS * clip.fps + 1]
    return clip.pixel_frames_of(max(fitting, default=allowed[0]))


def slide(
    predict: Callable[[Tail, int], Any], tail: Tail, frames: int | None, fps: float, sample_rate: int | None
) -> Iterator[Any]:
    """New frames and sound, window by window.

    Args:
        predict: (the end of what there is, number of the window from 0) -> a window's `Made`, that end in front.
        tail: the end of the user's video.
        frames: how many to make; None never ends.

    Yields:
        `Made`, without what the window was given.
    """
    done, window = 0, 0
    while frames is None or done < frames:
        made = predict(tail, window)
        video = made.video[:, tail.video.shape[1] :]
        audio = None if tail.audio is None else made.audio[:, tail.audio.shape[1] :]
        tail = tail.then(video, audio)
        wanted = video.shape[1] if frames is None else min(video.shape[1], frames - done)
        if wanted < video.shape[1] and audio is not None:
            audio = audio[:, : round(wanted / fps * sample_rate)]
        done, window = done + wanted, window + 1
        yield made._replace(video=video[:, :wanted], audio=audio)

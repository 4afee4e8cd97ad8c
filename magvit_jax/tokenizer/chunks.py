"""The chunks of a long video: how long they are, how a stream is cut into them, and what a stream may hold."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.typing import Array

FRAMES = 16  # computed at once where nobody asks for another chunk


@dataclasses.dataclass(frozen=True)
class Chunks:
    """How a model takes a long video.

    Attributes:
      latents: latent frames of a chunk.
      stride: frames of a latent frame.
      leading: whether a video's first latent frame is that of one frame.
      windows: whether every chunk is a video by itself: asked for, or because the model cannot go on from one to the
        next.
    """

    latents: int
    stride: int
    leading: bool
    windows: bool

    def frames_of(self, latents: int, first: bool) -> int:
        """Frames of so many latent frames, in the first chunk or in a later one."""
        return latents * self.stride - (self.stride - 1) * self._leads(first)

    def latents_of(self, frames: int, first: bool) -> int:
        """Latent frames that so many frames fill, the last of them perhaps in part."""
        return -(-(frames + (self.stride - 1) * self._leads(first)) // self.stride)

    def filled(self, frames: int) -> int:
        """Frames of a video after its end was padded."""
        if self.windows:
            window = self.frames_of(self.latents, first=True)
            return -(-frames // window) * window
        return self.frames_of(self.latents_of(frames, first=True), first=True)

    def _leads(self, first: bool) -> bool:
        return self.leading and (first or self.windows)


def plan(
    model: TokenizerModel, clip_shape: tuple[int, int, int], chunk: int | None, windows: bool
) -> Chunks:
    """The chunks of a model.

    Args:
      clip_shape: frames, height and width of its training clips, as long as which windows are.
      chunk: latent frames of a chunk that goes on from the one before; about `FRAMES` frames by default.
      windows: make every chunk a video by itself even if the model streams.

    Raises:
      UserError: a chunk below 1, or any chunk where there are windows.
    """
    stride = model.compression[0]
    if windows or not model.streams:
        if chunk is not None:
            why = "windows are asked for" if model.streams else "this model cannot go on from chunk to chunk"
            raise UserError(
                f"chunk is {chunk}: {why}, and a window has {clip_shape[0]} frames; expected None"
            )
        return Chunks(model.latent_shape(*clip_shape)[0], stride, model.leading_frame, windows=True)
    if chunk is None:
        chunk = max(1, FRAMES // stride)
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise UserError(f"chunk is {chunk!r}: expected a whole number of latent frames, 1 or more")
    return Chunks(chunk, stride, model.leading_frame, windows=False)


def cut(parts: Iterable[np.ndarray], first: int, later: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Arrays [B, t, ...] of any t as one of `first` frames and others of `later` frames.

    Gives (chunk, frames of it that were there, number of its first frame). A last chunk that is not full is filled by
    repeating its last frame.
    """
    held, length, wanted, start = [], 0, first, 0
    for part in parts:
        while part.shape[1]:
            taken, part = part[:, : wanted - length], part[:, wanted - length :]
            held.append(taken)
            length += taken.shape[1]
            if length == wanted:
                yield np.concatenate(held, axis=1), length, start
                held, length, wanted, start = [], 0, later, start + wanted
    if held:
        fill = np.repeat(held[-1][:, -1:], wanted - length, axis=1)
        yield np.concatenate([*held, fill], axis=1), length, start


def videos(items: Iterable[Any]) -> Iterator[np.ndarray]:
    """The items of a stream of frames [H, W, 3] or chunks [B, T, H, W, 3], all as [B, T, H, W, 3].

    Raises:
      UserError: an item of another shape, or one that does not go with the first.
    """

    def as_chunk(item: np.ndarray) -> np.ndarray:
        if item.ndim not in (3, 5) or item.shape[-1] != 3:
            raise UserError(
                f"video of shape {list(item.shape)}; expected frames [H, W, 3] or chunks [B, T, H, W, 3]"
            )
        return item if item.ndim == 5 else item[None, None]

    return _alike(items, as_chunk, "frame")


def latents(items: Iterable[Any]) -> Iterator[np.ndarray]:
    """The items of a stream of ids, each [B, t, h, w].

    Raises:
      UserError: an item of another shape, or one that does not go with the first.
    """

    def as_chunk(item: np.ndarray) -> np.ndarray:
        if item.ndim != 4:
            raise UserError(f"ids: {item.dtype} {list(item.shape)}; expected integers [B, t, h, w]")
        return item

    return _alike(items, as_chunk, "latent frame")


def _alike(
    items: Iterable[Any], as_chunk: Callable[[np.ndarray], np.ndarray], unit: str
) -> Iterator[np.ndarray]:
    """Each item as a chunk of the first one's type and of its shape but for the number of frames."""
    kind, start = None, 0
    for item in items:
        # A copy: decoders and cameras write the next frame where this one lies.
        chunk = named(as_chunk, np.array(item), f"{unit} {start}")
        sizes = ", ".join(map(str, (chunk.shape[0], "t", *chunk.shape[2:])))
        found = f"{chunk.dtype} [{sizes}]"
        kind = kind or found
        if found != kind:
            raise UserError(f"{unit} {start} is of {found}; the stream began with {kind}")
        start += chunk.shape[1]
        yield chunk


def named(check: Callable[[Any], Any], value: Any, where: str) -> Any:
    """`check(value)`; its UserError says where."""
    try:
        return check(value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def checked(check: Callable[[Any], Array], chunk: np.ndarray, start: int, unit: str) -> Array:
    """`check(chunk)` for a chunk [B, t, ...]; its UserError is that of the first frame at fault, and names it."""
    try:
        return check(chunk)
    except UserError:
        for t, b in itertools.product(range(chunk.shape[1]), range(chunk.shape[0])):
            of_batch = f" of video {b}" if len(chunk) > 1 else ""
            named(check, chunk[b : b + 1, t : t + 1], f"{unit} {start + t}{of_batch}")
        raise


def padded(video_BTHWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """At least `height` x `width` pixels: the last row and column are repeated below and on the right."""
    below, right = height - video_BTHWC.shape[2], width - video_BTHWC.shape[3]
    if not below and not right:
        return video_BTHWC
    return np.pad(video_BTHWC, ((0, 0), (0, 0), (0, below), (0, right), (0, 0)), mode="edge")


def padded_size(model: TokenizerModel, height: int, width: int) -> tuple[int, int]:
    """The smallest height and width of at least these that the model's strides divide."""
    _, sh, sw = model.compression
    return -(-height // sh) * sh, -(-width // sw) * sw

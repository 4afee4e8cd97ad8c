"""The grid of a clip's latent tokens, and which pixels each of them spans."""

import dataclasses
from typing import Protocol

import numpy as np

from magvit_jax.errors import UserError


class Compressing(Protocol):
    """What `latent_grid` asks of a tokenizer's network."""

    compression: tuple[int, int, int]
    leading_frame: bool
    causal: bool

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]: ...


@dataclasses.dataclass(frozen=True)
class LatentGrid:
    """Shape of a clip's latent tokens, and how its pixels map to them.

    Attributes:
        frames, height, width: t, h, w.
        strides: (st, sh, sw), pixels that a token spans in time, height and width: its supervoxel.
        leading_frame: the first frame has latents of its own, so 1 + st*k pixel frames give 1 + k latent
            frames (MAGVIT-v2); else st*k frames give k (MAGVIT).
        causal: each latent frame depends on no frame after its own, exactly. MAGVIT-v2 is so with norm
            statistics of a frame, and is not with those of a clip.
    """

    frames: int
    height: int
    width: int
    strides: tuple[int, int, int]
    leading_frame: bool
    causal: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width

    @property
    def num_tokens(self) -> int:
        return self.frames * self.height * self.width

    @property
    def pixel_frames(self) -> int:
        """T, the length of the clip in frames."""
        return self.strides[0] * self.frames - (self.strides[0] - 1 if self.leading_frame else 0)

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """(T, H, W) of the clip."""
        return self.pixel_frames, self.height * self.strides[1], self.width * self.strides[2]

    def latent_frames_of(self, pixel_frames: int) -> int:
        """Latent frames that hold at least one of the first `pixel_frames` frames."""
        if self.leading_frame and pixel_frames > 0:
            return 1 + -(-(pixel_frames - 1) // self.strides[0])
        return -(-pixel_frames // self.strides[0])

    def fills_latent_frames(self, pixel_frames: int) -> bool:
        """Whether the first `pixel_frames` frames end where a latent frame ends."""
        return (pixel_frames - (1 if self.leading_frame and pixel_frames > 0 else 0)) % self.strides[0] == 0

    def holding(self, given_THW: np.ndarray) -> np.ndarray:
        """Tokens whose supervoxel holds a given pixel (not `ispad`, thesis Eq. 6.2).

        Args:
            given_THW: bool [..., T, H, W] of this clip's size, True where a pixel is given.

        Returns:
            bool [..., t, h, w].

        Raises:
            UserError: the mask has another size.
        """
        given_THW = np.asarray(given_THW, bool)
        if given_THW.shape[-3:] != self.pixel_shape:
            found, expected = ("x".join(map(str, size)) for size in (given_THW.shape[-3:], self.pixel_shape))
            raise UserError(f"mask of {found} pixels (frames, height, width); expected the clip's {expected}")
        if self.leading_frame:  # frame 0 stands for a whole latent frame
            first = np.repeat(given_THW[..., :1, :, :], self.strides[0] - 1, axis=-3)
            given_THW = np.concatenate([first, given_THW], axis=-3)
        cells = [size for pair in zip(self.shape, self.strides, strict=True) for size in pair]
        return given_THW.reshape(*given_THW.shape[:-3], *cells).any(axis=(-5, -3, -1))


def latent_grid(model: Compressing, clip_shape: tuple[int, int, int]) -> LatentGrid:
    """The grid of a tokenizer's ids for clips of (frames, height, width) pixels.

    Raises:
        UserError: the tokenizer does not take clips of that size.
    """
    shape = model.latent_shape(*clip_shape)
    return LatentGrid(
        *shape, strides=tuple(model.compression), leading_frame=model.leading_frame, causal=model.causal
    )

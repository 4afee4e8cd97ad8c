"""The MAGVIT tokenizers of thesis ch. 3: 3D-VQ, and the image model 2D-VQ that it is inflated from."""

import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.conv3d import Conv3D
from magvit_jax.nn.norm import Statistics
from magvit_jax.nn.pool import average_pool, repeat_nearest
from magvit_jax.ops.conv3d.api import PADDINGS, Padding
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
from magvit_jax.tokenizer.stages import Decoder, Encoder, require_choice, require_groups
from magvit_jax.typing import Array, Dtype

Dims = Literal[2, 3]


class Magvit(TokenizerModel):
    """Video autoencoder of 3D convolutions that look both ways in time (thesis 3.2.1, Fig. 3.1).

    s t frames become t latent frames: there is no leading frame, an image alone cannot be tokenized, and
    every latent frame depends on the whole clip. Longer videos go through in windows. With `dims` 2 every
    convolution and norm keeps to its frame: the image model, for which a clip is so many independent images.

    Attributes:
      base_channels: channels of the first level; 64 for B, 128 for L.
      channel_multipliers: one a level, (1, 2, 2, 4), or (1, 2, 4) for 64x64 pixels.
      temporal_downsample: whether time is halved after a level, as space is; one a level but the last.
      blocks: residual blocks a level; mid_blocks: residual blocks at the lowest resolution.
      quantizer: of the latents; the published one is vector quantization to 1,024 codes of 256 channels.
      dims: 3, or 2 for the image model.
      padding: what convolutions see around the clip, "reflect" (thesis) or "zeros" (public configs).
      norm_groups, statistics: of group normalisation; over the "clip" in the published video models, over a
        "frame" in image models.
      remat: recompute residual blocks in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    base_channels: int
    channel_multipliers: Sequence[int]
    temporal_downsample: Sequence[bool]
    blocks: int
    mid_blocks: int
    quantizer: Quantizer
    dims: Dims = 3
    padding: Padding = "reflect"
    norm_groups: int = 32
    statistics: Statistics = "clip"
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if len(self.temporal_downsample) != len(self.channel_multipliers) - 1:
            raise UserError(
                f"temporal_downsample has {len(self.temporal_downsample)} entries, expected one less than "
                f"the {len(self.channel_multipliers)} channel_multipliers"
            )
        choices = dict(dims=get_args(Dims), padding=PADDINGS, statistics=get_args(Statistics))
        for field, expected in choices.items():
            require_choice(field, getattr(self, field), expected)
        if self.dims == 2 and (any(self.temporal_downsample) or self.statistics != "frame"):
            raise UserError(
                f"dims is 2 with temporal_downsample {tuple(self.temporal_downsample)} and statistics "
                f"{self.statistics!r}: an image model halves no time, and its statistics are 'frame'"
            )
        require_groups(self.norm_groups, self.base_channels, self.channel_multipliers)

    def setup(self):
        self.encoder = MagvitEncoder(width=self.quantizer.width, **self.stage)
        self.decoder = MagvitDecoder(width=3, **self.stage)

    @property
    def stage(self) -> dict[str, Any]:
        """The fields that encoder and decoder share."""
        return dict(
            base_channels=self.base_channels,
            channel_multipliers=tuple(self.channel_multipliers),
            strides=self.strides,
            blocks=self.blocks,
            mid_blocks=self.mid_blocks,
            kernel=(1 if self.dims == 2 else 3, 3, 3),
            conv=functools.partial(Conv3D, padding=self.padding),
            norm_groups=self.norm_groups,
            statistics=self.statistics,
            remat=self.remat,
            dtype=self.dtype,
        )

    @property
    def strides(self) -> tuple[tuple[int, int, int], ...]:
        """(time, height, width) of the resampling after every level but the last."""
        return tuple((2 if halves_time else 1, 2, 2) for halves_time in self.temporal_downsample)

    @property
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""
        return tuple(math.prod(stride[axis] for stride in self.strides) for axis in range(3))

    @property
    def leading_frame(self) -> bool:
        return self.dims == 2  # every frame has latents of its own, and an image is a clip of one

    @property
    def causal(self) -> bool:
        return self.dims == 2

    @property
    def streams(self) -> bool:
        return self.dims == 2


class MagvitEncoder(Encoder):
    """Downsamples by means."""

    stem_bias: bool = False

    def downsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        return average_pool(x, strides)


class MagvitDecoder(Decoder):
    """Upsamples by repetition and a convolution."""

    def upsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        x = repeat_nearest(x, strides)
        return self.conv(x.shape[-1], self.kernel, dtype=self.dtype, name=name)(x)

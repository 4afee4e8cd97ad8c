"""The MAGVIT tokenizers of thesis ch. 3: 3D-VQ, and the image model 2D-VQ that it is inflated from."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.conv3d import Conv3D
from magvit_jax.nn.norm import GroupNorm, Statistics
from magvit_jax.nn.pool import average_pool, repeat_nearest
from magvit_jax.nn.resblock import ResBlock
from magvit_jax.ops.conv3d.api import PADDINGS, Padding
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
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
        for field, choices in dict(
            dims=get_args(Dims), padding=PADDINGS, statistics=get_args(Statistics)
        ).items():
            if getattr(self, field) not in choices:
                expected = ", ".join(map(str, choices))
                raise UserError(f"{field} is {getattr(self, field)!r}, expected one of {expected}")
        if self.dims == 2 and (any(self.temporal_downsample) or self.statistics != "frame"):
            raise UserError(
                f"dims is 2 with temporal_downsample {tuple(self.temporal_downsample)} and statistics "
                f"{self.statistics!r}: an image model halves no time, and its statistics are 'frame'"
            )
        for multiplier in self.channel_multipliers:
            if self.base_channels * multiplier % self.norm_groups:
                raise UserError(
                    f"norm_groups {self.norm_groups} does not divide the {self.base_channels * multiplier} "
                    f"channels of base_channels {self.base_channels} times {multiplier}"
                )

    def setup(self):
        shared = dict(
            base_channels=self.base_channels,
            channel_multipliers=tuple(self.channel_multipliers),
            strides=self.strides,
            blocks=self.blocks,
            mid_blocks=self.mid_blocks,
            dims=self.dims,
            padding=self.padding,
            norm_groups=self.norm_groups,
            statistics=self.statistics,
            remat=self.remat,
            dtype=self.dtype,
        )
        self.encoder = Encoder(features=self.quantizer.width, **shared)
        self.decoder = Decoder(**shared)

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


class _Stage(nn.Module):
    """What the encoder and the decoder have in common."""

    base_channels: int
    channel_multipliers: Sequence[int]
    strides: Sequence[Sequence[int]]
    blocks: int
    mid_blocks: int
    dims: Dims
    padding: Padding
    norm_groups: int
    statistics: Statistics
    remat: bool
    dtype: Dtype

    @property
    def conv(self) -> Callable[..., nn.Module]:
        """Makes a convolution with this padding; `CausalConv3D`'s arguments."""
        return functools.partial(Conv3D, padding=self.padding)

    @property
    def kernel(self) -> tuple[int, int, int]:
        return 1 if self.dims == 2 else 3, 3, 3

    def resblocks(self, x: Array, count: int, level: int, name: str) -> Array:
        block = nn.remat(ResBlock) if self.remat else ResBlock
        features = self.base_channels * self.channel_multipliers[level]
        for i in range(count):
            x = block(
                features,
                self.norm_groups,
                self.statistics,
                self.dtype,
                kernel=self.kernel,
                conv=self.conv,
                name=f"{name}_block{i}",
            )(x)
        return x

    def head(self, x: Array, features: int, kernel: Sequence[int]) -> Array:
        """GroupNorm, swish and a convolution whose output stays in float32."""
        x = nn.swish(GroupNorm(self.norm_groups, self.statistics, dtype=self.dtype, name="norm_out")(x))
        return self.conv(features, kernel, dtype=self.dtype, name="conv_out")(x).astype(jnp.float32)


class Encoder(_Stage):
    """Pixels in [-1, 1] to latents: levels of residual blocks, and average pooling after all but the last."""

    features: int

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        conv_in = self.conv(self.base_channels, self.kernel, use_bias=False, dtype=self.dtype, name="conv_in")
        x = conv_in(x_BTHWC)
        last = len(self.channel_multipliers) - 1
        for level in range(last + 1):
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level < last:
                x = average_pool(x, self.strides[level])
        x = self.resblocks(x, self.mid_blocks, last, "mid")
        return self.head(x, self.features, (1, 1, 1))


class Decoder(_Stage):
    """Codes to pixels in [-1, 1]: the encoder's mirror, with repetition and a convolution for every pool."""

    @nn.compact
    def __call__(self, codes_BthwD: Array) -> Array:
        last = len(self.channel_multipliers) - 1
        x = self.conv(
            self.base_channels * self.channel_multipliers[last], self.kernel, dtype=self.dtype, name="conv_in"
        )(codes_BthwD)
        x = self.resblocks(x, self.mid_blocks, last, "mid")
        for level in reversed(range(last + 1)):
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level > 0:
                x = repeat_nearest(x, self.strides[level - 1])
                x = self.conv(x.shape[-1], self.kernel, dtype=self.dtype, name=f"level{level}_up")(x)
        return self.head(x, 3, self.kernel)

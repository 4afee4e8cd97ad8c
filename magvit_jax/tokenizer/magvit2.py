"""The MAGVIT-v2 tokenizer: a causal 3D CNN around a lookup-free quantizer (thesis 5.3, Fig. 5.4)."""

import math
from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.nn.norm import AdaptiveGroupNorm, GroupNorm, Statistics
from magvit_jax.nn.resample import Downsample, Upsample, depth_to_space, space_to_depth
from magvit_jax.nn.resblock import ResBlock
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
from magvit_jax.typing import Array, Dtype


class MagvitV2(TokenizerModel):
    """Causal video autoencoder; an image is a one-frame video.

    A clip of 1 + s t frames becomes 1 + t latent frames, and latent frame i depends on
    the frames 0 .. s i only, exactly: padding, strides and the statistics of normalisation are all causal.

    Attributes:
      base_channels: channels of the first level.
      channel_multipliers: one a level.
      strides: (time, height, width) of the resampling after every level but the last. The published model halves
        space three times and time late: ((1, 2, 2), (2, 2, 2), (2, 2, 2)).
      blocks: residual blocks a level; mid_blocks: residual blocks at the lowest resolution.
      quantizer: of the latents; the published one is lookup-free.
      patch: side of the square of pixels that the first layer sees as one position; 1 is the published model.
      adaptive_norm: how the quantized latents steer the decoder ("pooled", "spatial"), or "none".
      norm_groups, statistics: of group normalisation; "clip" statistics give up causality.
      remat: recompute residual blocks in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    base_channels: int
    channel_multipliers: Sequence[int]
    strides: Sequence[Sequence[int]]
    blocks: int
    mid_blocks: int
    quantizer: Quantizer
    patch: int = 1
    adaptive_norm: Literal["pooled", "spatial", "none"] = "pooled"
    norm_groups: int = 32
    statistics: Statistics = "frame"
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if len(self.strides) != len(self.channel_multipliers) - 1:
            raise UserError(
                f"strides has {len(self.strides)} entries, expected one less than the "
                f"{len(self.channel_multipliers)} channel_multipliers"
            )
        for stride in self.strides:
            if not isinstance(stride, Sequence) or len(stride) != 3 or min(stride) < 1:
                raise UserError(f"strides has {stride!r}, expected (time, height, width), each 1 or more")
        for multiplier in self.channel_multipliers:
            if self.base_channels * multiplier % self.norm_groups:
                raise UserError(
                    f"norm_groups {self.norm_groups} does not divide the {self.base_channels * multiplier} channels "
                    f"of base_channels {self.base_channels} times {multiplier}"
                )

    def setup(self):
        shared = dict(
            base_channels=self.base_channels,
            channel_multipliers=tuple(self.channel_multipliers),
            strides=tuple(map(tuple, self.strides)),
            blocks=self.blocks,
            mid_blocks=self.mid_blocks,
            patch=self.patch,
            norm_groups=self.norm_groups,
            statistics=self.statistics,
            remat=self.remat,
            dtype=self.dtype,
        )
        self.encoder = Encoder(features=self.quantizer.width, **shared)
        self.decoder = Decoder(adaptive_norm=self.adaptive_norm, **shared)

    @property
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""
        time, height, width = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return time, height * self.patch, width * self.patch

    @property
    def leading_frame(self) -> bool:
        return True

    @property
    def causal(self) -> bool:
        return self.statistics == "frame"


class _Stage(nn.Module):
    """What the encoder and the decoder have in common."""

    base_channels: int
    channel_multipliers: Sequence[int]
    strides: Sequence[Sequence[int]]
    blocks: int
    mid_blocks: int
    patch: int
    norm_groups: int
    statistics: Statistics
    remat: bool
    dtype: Dtype

    def resblocks(self, x: Array, count: int, level: int, name: str) -> Array:
        block = nn.remat(ResBlock) if self.remat else ResBlock
        features = self.base_channels * self.channel_multipliers[level]
        for i in range(count):
            x = block(features, self.norm_groups, self.statistics, self.dtype, name=f"{name}_block{i}")(x)
        return x

    def head(self, x: Array, features: int, kernel: int) -> Array:
        """GroupNorm, swish and a convolution whose output stays in float32."""
        x = nn.swish(GroupNorm(self.norm_groups, self.statistics, dtype=self.dtype, name="norm_out")(x))
        x = CausalConv3D(features, (kernel,) * 3, dtype=self.dtype, name="conv_out")(x)
        return x.astype(jnp.float32)


class Encoder(_Stage):
    """Pixels in [-1, 1] to latents: levels of residual blocks between strided convolutions."""

    features: int = 18

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        x = space_to_depth(x_BTHWC, self.patch)
        x = CausalConv3D(self.base_channels, dtype=self.dtype, name="conv_in")(x)
        last = len(self.channel_multipliers) - 1
        for level in range(last + 1):
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level < last:
                x = Downsample(self.strides[level], self.dtype, name=f"level{level}_down")(x)
        x = self.resblocks(x, self.mid_blocks, last, "mid")
        return self.head(x, self.features, kernel=1)


class Decoder(_Stage):
    """Codes to pixels in [-1, 1]; the codes also steer an adaptive group norm at every resolution."""

    adaptive_norm: Literal["pooled", "spatial", "none"] = "pooled"

    @nn.compact
    def __call__(self, codes_BthwK: Array) -> Array:
        last = len(self.channel_multipliers) - 1
        x = CausalConv3D(
            self.base_channels * self.channel_multipliers[last], dtype=self.dtype, name="conv_in"
        )(codes_BthwK)
        x = self.resblocks(x, self.mid_blocks, last, "mid")
        for level in reversed(range(last + 1)):
            x = self.adapt(x, codes_BthwK, level)
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level > 0:
                x = Upsample(self.strides[level - 1], self.dtype, name=f"level{level}_up")(x)
        x = self.head(x, 3 * self.patch**2, kernel=3)
        return depth_to_space(x, (1, self.patch, self.patch))

    def adapt(self, x: Array, codes_BthwK: Array, level: int) -> Array:
        if self.adaptive_norm == "none":
            return x
        return AdaptiveGroupNorm(
            self.norm_groups,
            self.adaptive_norm,
            self.statistics,
            dtype=self.dtype,
            name=f"level{level}_adapt",
        )(x, codes_BthwK)

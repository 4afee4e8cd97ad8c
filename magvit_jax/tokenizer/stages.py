"""Encoder and decoder of the convolutional tokenizers: levels of residual blocks with resampling between them
(thesis Fig. 3.1, Fig. 5.4)."""

import abc
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.norm import GroupNorm, Statistics
from magvit_jax.nn.resblock import ResBlock
from magvit_jax.typing import Array, Dtype


class Stage(nn.Module):
    """What the encoder and the decoder have in common.

    Attributes:
      base_channels: channels of the first level, times one of `channel_multipliers` in each level.
      strides: (time, height, width) of the resampling after every level but the last.
      blocks: residual blocks a level; mid_blocks: residual blocks at the lowest resolution.
      kernel: extent (time, height, width) of the convolutions.
      conv: makes a convolution of the arguments that `CausalConv3D` takes.
      norm_groups, statistics: of group normalisation.
      remat: recompute residual blocks in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    base_channels: int
    channel_multipliers: Sequence[int]
    strides: Sequence[Sequence[int]]
    blocks: int
    mid_blocks: int
    kernel: Sequence[int]
    conv: Callable[..., nn.Module]
    norm_groups: int
    statistics: Statistics
    remat: bool
    dtype: Dtype

    @property
    def last(self) -> int:
        """The level of the lowest resolution."""
        return len(self.channel_multipliers) - 1

    def channels(self, level: int) -> int:
        return self.base_channels * self.channel_multipliers[level]

    def resblocks(self, x: Array, count: int, level: int, name: str) -> Array:
        block = nn.remat(ResBlock) if self.remat else ResBlock
        for i in range(count):
            layer = block(
                self.channels(level),
                self.norm_groups,
                self.statistics,
                self.dtype,
                self.kernel,
                self.conv,
                name=f"{name}_block{i}",
            )
            x = layer(x)
        return x

    def head(self, x: Array, features: int, kernel: Sequence[int]) -> Array:
        """GroupNorm, swish and a convolution whose output stays in float32."""
        x = nn.swish(GroupNorm(self.norm_groups, self.statistics, dtype=self.dtype, name="norm_out")(x))
        return self.conv(features, kernel, dtype=self.dtype, name="conv_out")(x).astype(jnp.float32)


class Encoder(Stage, abc.ABC):
    """Pixels in [-1, 1] to latents. A subclass says how it downsamples.

    Attributes:
      width: channels of the latents.
      stem_bias: whether the first convolution has a bias.
    """

    width: int
    stem_bias: bool

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        stem = self.conv(
            self.base_channels, self.kernel, use_bias=self.stem_bias, dtype=self.dtype, name="conv_in"
        )
        x = stem(self.fold(x_BTHWC))
        for level in range(self.last + 1):
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level < self.last:
                x = self.downsample(x, self.strides[level], f"level{level}_down")
        x = self.resblocks(x, self.mid_blocks, self.last, "mid")
        return self.head(x, self.width, (1, 1, 1))

    def fold(self, x_BTHWC: Array) -> Array:
        """What comes before the first layer; nothing."""
        return x_BTHWC

    @abc.abstractmethod
    def downsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        """The resolution of the next level; `name` is that of its layer, where it has one."""


class Decoder(Stage, abc.ABC):
    """Codes to pixels in [-1, 1]: the encoder's mirror. A subclass says how it upsamples.

    Attributes:
      width: channels of the output, before `unfold`.
    """

    width: int

    @nn.compact
    def __call__(self, codes_BthwD: Array) -> Array:
        conv_in = self.conv(self.channels(self.last), self.kernel, dtype=self.dtype, name="conv_in")
        x = self.resblocks(conv_in(codes_BthwD), self.mid_blocks, self.last, "mid")
        for level in reversed(range(self.last + 1)):
            x = self.adapt(x, codes_BthwD, f"level{level}_adapt")
            x = self.resblocks(x, self.blocks, level, f"level{level}")
            if level > 0:
                x = self.upsample(x, self.strides[level - 1], f"level{level}_up")
        return self.unfold(self.head(x, self.width, self.kernel))

    def adapt(self, x: Array, codes_BthwD: Array, name: str) -> Array:
        """How the codes steer a level; not at all."""
        return x

    @abc.abstractmethod
    def upsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        """The resolution of the level before; `name` as of `Encoder.downsample`."""

    def unfold(self, x_BTHWC: Array) -> Array:
        """What comes after the last layer; nothing."""
        return x_BTHWC


def require_groups(norm_groups: int, base_channels: int, channel_multipliers: Sequence[int]) -> None:
    """UserError unless the groups divide every level's channels."""
    for multiplier in channel_multipliers:
        if base_channels * multiplier % norm_groups:
            raise UserError(
                f"norm_groups {norm_groups} does not divide the {base_channels * multiplier} channels "
                f"of base_channels {base_channels} times {multiplier}"
            )


def require_choice(field: str, value: object, choices: Sequence[object]) -> None:
    """UserError unless a field has one of the values that it can have."""
    if value not in choices:
        raise UserError(f"{field} is {value!r}, expected one of {', '.join(map(str, choices))}")

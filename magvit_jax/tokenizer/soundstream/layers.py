"""Convolutions over sound that never look ahead, and the blocks made of them (SoundStream, III-A and III-B).

In a chunk of a longer sound (`nn.stream`) the last inputs of the chunk before stand in for the zeros that a whole
sound is padded with. Unlike video, no first sample is special: the first chunk is one like any other.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.nn.stream import STREAM, streaming
from magvit_jax.partitioning import param
from magvit_jax.typing import Array, Dtype

DILATIONS = (1, 3, 9)  # of the three residual units of a block
UNIT_KERNEL = 7
END_KERNEL = 7  # of the encoder's first, and the decoder's first and last convolution
LATENT_KERNEL = 3  # of the encoder's last convolution


class CausalConv1D(nn.Module):
    """Convolution over time, padded with `(kernel - 1) dilation + 1 - stride` zeros before the sound, none after.

    So S inputs become S / stride outputs, and output i sees inputs up to (i + 1) stride - 1.

    Attributes:
      features: output channels.
      kernel: taps; at least `stride` of them.
      stride: inputs an output; divides the inputs.
      dilation: inputs from a tap to the next.
      dtype: compute dtype; parameters are float32.
    """

    features: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        """Maps [B, S, C] to [B, S / stride, features]."""
        kernel_KIO = self.param(
            "kernel",
            param(initializers.lecun_normal(in_axis=(0, 1), out_axis=2), None, "conv_in", "conv_out"),
            (self.kernel, x_BSC.shape[-1], self.features),
        )
        bias_O = self.param("bias", param(initializers.zeros, "conv_out"), (self.features,))
        x_BSC = x_BSC.astype(self.dtype)
        before = (self.kernel - 1) * self.dilation + 1 - self.stride
        y_BSO = jax.lax.conv_general_dilated(
            with_past(self, x_BSC, before),
            kernel_KIO.astype(self.dtype),
            window_strides=(self.stride,),
            padding="VALID",
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return y_BSO + jnp.broadcast_to(bias_O.astype(self.dtype), y_BSO.shape)


class CausalUpsample1D(nn.Module):
    """The transposed convolution of `2 stride` taps that is cut off at the end: T inputs become T stride outputs.

    Output block j, `stride` samples long, sees inputs j - 1 and j: a convolution of two taps to `stride` times the
    channels, read in time.
    """

    features: int
    stride: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTC: Array) -> Array:
        """Maps [B, T, C] to [B, T stride, features]."""
        y_BTO = CausalConv1D(self.stride * self.features, 2, dtype=self.dtype, name="conv")(x_BTC)
        return y_BTO.reshape(y_BTO.shape[0], -1, self.features)


class ResidualUnit(nn.Module):
    """A dilated convolution and one of one tap, with a shortcut around both."""

    dilation: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        channels = x_BSC.shape[-1]
        h = CausalConv1D(channels, UNIT_KERNEL, dilation=self.dilation, dtype=self.dtype, name="conv1")(
            nn.elu(x_BSC)
        )
        return x_BSC + CausalConv1D(channels, 1, dtype=self.dtype, name="conv2")(nn.elu(h))


class Encoder(nn.Module):
    """Samples to latents: one of `latent_dim` numbers for each product of `strides` samples.

    Attributes:
      channels: of the first convolution; doubled by each block.
      strides: of the blocks, one each; published: (2, 4, 5, 8).
      latent_dim: channels of a latent.
      dtype: compute dtype; latents are float32.
    """

    channels: int
    strides: Sequence[int]
    latent_dim: int
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        channels = self.channels
        x = CausalConv1D(channels, END_KERNEL, dtype=self.dtype, name="conv_in")(x_BSC)
        for block, stride in enumerate(self.strides):
            for unit, dilation in enumerate(DILATIONS):
                x = ResidualUnit(dilation, self.dtype, name=f"block{block}_unit{unit}")(x)
            channels *= 2
            down = CausalConv1D(channels, 2 * stride, stride, dtype=self.dtype, name=f"block{block}_down")
            x = down(nn.elu(x))
        x = CausalConv1D(self.latent_dim, LATENT_KERNEL, dtype=self.dtype, name="conv_out")(nn.elu(x))
        return x.astype(jnp.float32)


class Decoder(nn.Module):
    """Latents to samples, with the blocks of the encoder mirrored; the attributes are the encoder's."""

    channels: int
    strides: Sequence[int]
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z_BTD: Array) -> Array:
        channels = self.channels * 2 ** len(self.strides)
        x = CausalConv1D(channels, END_KERNEL, dtype=self.dtype, name="conv_in")(z_BTD)
        for block, stride in enumerate(reversed(self.strides)):
            channels //= 2
            x = CausalUpsample1D(channels, stride, self.dtype, name=f"block{block}_up")(nn.elu(x))
            for unit, dilation in enumerate(DILATIONS):
                x = ResidualUnit(dilation, self.dtype, name=f"block{block}_unit{unit}")(x)
        x = CausalConv1D(1, END_KERNEL, dtype=self.dtype, name="conv_out")(nn.elu(x))
        return x.astype(jnp.float32)


def with_past(module: nn.Module, x_BSC: Array, before: int) -> Array:
    """[B, before + S, C]: the inputs after those before them, which are zeros or the end of an earlier chunk."""
    batch, _, channels = x_BSC.shape
    past_BSC = jnp.zeros((batch, before, channels), x_BSC.dtype)
    if not streaming(module) or not before:
        return jnp.concatenate([past_BSC, x_BSC], axis=1)
    past_BSC = module.get_variable(STREAM, "history", past_BSC)
    seen_BSC = jnp.concatenate([past_BSC, x_BSC], axis=1)
    module.put_variable(STREAM, "history", seen_BSC[:, seen_BSC.shape[1] - before :])
    return seen_BSC

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
UNITS = "layers"  # logical axis of arrays that hold the parameters of all units


class CausalConv1D(nn.Module):
    """Convolution over time, padded with `(kernel - 1) dilation + 1 - stride` zeros before the sound, none after.

    So S inputs become S / stride outputs, and output i sees inputs up to (i + 1) stride - 1.

    Attributes:
      features: output channels.
      kernel: taps; at least `stride` of them.
      stride: inputs an output; divides the inputs.
      dtype: compute dtype; parameters are float32.
    """

    features: int
    kernel: int
    stride: int = 1
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
        x_BSC = with_past(self, "history", x_BSC.astype(self.dtype), self.kernel - self.stride)
        return _convolve(x_BSC, kernel_KIO, bias_O, stride=self.stride)


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


class ResidualUnits(nn.Module):
    """For each of `DILATIONS`: a dilated convolution and one of one tap, with a shortcut around both.

    The kernels of all lie in one array, U of them: a step's program is as long as it has arrays, and so takes half as
    long to compile.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        channels = x_BSC.shape[-1]
        wide_UKIO, wide_bias_UO = _Units(UNIT_KERNEL, channels, name="wide")()
        narrow_UKIO, narrow_bias_UO = _Units(1, channels, name="narrow")()
        for unit, dilation in enumerate(DILATIONS):
            h = with_past(self, f"history{unit}", nn.elu(x_BSC), (UNIT_KERNEL - 1) * dilation)
            h = _convolve(h, wide_UKIO[unit], wide_bias_UO[unit], dilation=dilation)
            x_BSC = x_BSC + _convolve(nn.elu(h), narrow_UKIO[unit], narrow_bias_UO[unit])
        return x_BSC


class _Units(nn.Module):
    """Kernels and biases of a convolution of each unit."""

    kernel: int
    channels: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        units, channels = len(DILATIONS), self.channels
        init = initializers.lecun_normal(in_axis=(1, 2), out_axis=3, batch_axis=0)
        shape_UKIO = (units, self.kernel, channels, channels)
        kernel_UKIO = self.param("kernel", param(init, UNITS, None, "conv_in", "conv_out"), shape_UKIO)
        return kernel_UKIO, self.param("bias", param(initializers.zeros, UNITS, "conv_out"), (units, channels))


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
            x = ResidualUnits(self.dtype, name=f"block{block}_units")(x)
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
            x = ResidualUnits(self.dtype, name=f"block{block}_units")(x)
        x = CausalConv1D(1, END_KERNEL, dtype=self.dtype, name="conv_out")(nn.elu(x))
        return x.astype(jnp.float32)


def with_past(module: nn.Module, name: str, x_BSC: Array, before: int) -> Array:
    """[B, before + S, C]: the inputs after those before them, which are zeros or the end of an earlier chunk.

    Args:
      name: of the variable of `module` that keeps the end of a chunk for the next.
    """
    batch, _, channels = x_BSC.shape
    past_BSC = jnp.zeros((batch, before, channels), x_BSC.dtype)
    if not streaming(module) or not before:
        return jnp.concatenate([past_BSC, x_BSC], axis=1)
    past_BSC = module.get_variable(STREAM, name, past_BSC)
    seen_BSC = jnp.concatenate([past_BSC, x_BSC], axis=1)
    module.put_variable(STREAM, name, seen_BSC[:, seen_BSC.shape[1] - before :])
    return seen_BSC


def _convolve(x_BSC: Array, kernel_KIO: Array, bias_O: Array, stride: int = 1, dilation: int = 1) -> Array:
    """Without padding, in the dtype of the inputs."""
    y_BSO = jax.lax.conv_general_dilated(
        x_BSC,
        kernel_KIO.astype(x_BSC.dtype),
        window_strides=(stride,),
        padding="VALID",
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return y_BSO + jnp.broadcast_to(bias_O.astype(x_BSC.dtype), y_BSO.shape)

"""What the frozen networks share: convolutions with frozen normalisation, and means over windows."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from magvit_jax.typing import Array, Dtype

# Accelerators would round float32 to fewer bits by default, and a metric's value would depend on the device.
PRECISION = lax.Precision.HIGHEST
Padding = str | Sequence[tuple[int, int]]


def window_mean(x: Array, window: Sequence[int]) -> Array:
    """Means over windows [B, *space, C] that move by 1 and lie wholly inside."""
    sums = nn.pooling.pool(x, 0.0, lax.add, tuple(window), (1,) * len(window), "VALID")
    return sums / math.prod(window)


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with the statistics of training, which are parameters here.

    Attributes:
      epsilon: added to the variance.
      dtype: compute dtype; parameters are float32.
    """

    epsilon: float
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [..., C] to [..., C]."""
        shape = x.shape[-1:]
        scale = self.param("scale", initializers.ones, shape)
        bias = self.param("bias", initializers.zeros, shape)
        mean = self.param("mean", initializers.zeros, shape)
        variance = self.param("var", initializers.ones, shape)
        gain = scale * lax.rsqrt(variance + self.epsilon)
        shift = bias - mean * gain
        gain, shift = (jnp.broadcast_to(value.astype(self.dtype), x.shape) for value in (gain, shift))
        return x.astype(self.dtype) * gain + shift


class ConvNorm(nn.Module):
    """Convolution without a bias, frozen normalisation, and a ReLU.

    Attributes:
      features: output channels.
      kernel: extent of each spatial axis, two or three of them.
      strides: step of each.
      padding: "SAME" and "VALID" as TensorFlow means them, or (before, after) of each axis.
      epsilon: of the normalisation.
      relu: whether a ReLU comes last.
      conv_name, norm_name: names of the two parts in the parameters.
      dtype: compute dtype; parameters are float32.
    """

    features: int
    kernel: Sequence[int]
    strides: Sequence[int]
    padding: Padding
    epsilon: float
    relu: bool = True
    conv_name: str = "conv"
    norm_name: str = "bn"
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [B, *space, C] to [B, *space', features]."""
        convolution = nn.Conv(
            self.features,
            tuple(self.kernel),
            tuple(self.strides),
            self.padding,
            use_bias=False,
            dtype=self.dtype,
            precision=PRECISION,
            name=self.conv_name,
        )
        x = FrozenBatchNorm(self.epsilon, self.dtype, name=self.norm_name)(convolution(x))
        return nn.relu(x) if self.relu else x

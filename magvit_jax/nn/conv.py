"""Convolution over video that never looks ahead in time (thesis 5.3.2, Fig. 5.2c)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax import ops
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype


class CausalConv3D(nn.Module):
    """Temporally causal 3D convolution.

    Time is padded with `kernel[0] - 1` zero frames before the clip and nothing after, so a temporal stride s maps
    1 + s t frames to 1 + t and the first output frame depends on the first input frame alone.

    Attributes:
      features: output channels.
      kernel: extent (time, height, width).
      strides: step (time, height, width).
      use_bias: whether a bias is added.
      dtype: compute dtype; parameters are float32.
      implementation: lowering of `ops.causal_conv3d`; None chooses by backend and shape.
    """

    features: int
    kernel: Sequence[int] = (3, 3, 3)
    strides: Sequence[int] = (1, 1, 1)
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal(in_axis=(0, 1, 2, 3), out_axis=4)
    dtype: Dtype = jnp.float32
    implementation: str | None = None

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        """Maps [B, T, H, W, C] to [B, 1 + (T-1)//s_t, H/s_h, W/s_w, features]."""
        shape = (*self.kernel, x_BTHWC.shape[-1], self.features)
        kernel = self.param("kernel", param(self.kernel_init, None, None, None, "conv_in", "conv_out"), shape)
        # Gathered over fsdp before use. Left split, XLA's partitioner gives stacked convolutions wrong gradients.
        kernel = constrain(kernel, None, None, None, None, "conv_out")
        x = ops.causal_conv3d(
            x_BTHWC.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=tuple(self.strides),
            implementation=self.implementation,
        )
        if self.use_bias:
            bias = self.param("bias", param(initializers.zeros, "conv_out"), (self.features,))
            x = x + jnp.broadcast_to(bias.astype(self.dtype), x.shape)
        return x

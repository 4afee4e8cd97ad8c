"""Convolution over video that looks both ways in time (thesis 3.2.1), or over frames one by one."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax import ops
from magvit_jax.ops.conv3d.api import Padding
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype


class Conv3D(nn.Module):
    """3D convolution of stride 1, centred in time as in space; parameters as those of `CausalConv3D`.

    Attributes:
      features: output channels.
      kernel: extent (time, height, width); of extent 1 in time, no frame sees another.
      padding: what is around the clip in time and space, "zeros" or "reflect".
      use_bias: whether a bias is added.
      dtype: compute dtype; parameters are float32.
      implementation: lowering of `ops.conv3d`; None chooses by backend and shape.
    """

    features: int
    kernel: Sequence[int] = (3, 3, 3)
    padding: Padding = "zeros"
    use_bias: bool = True
    kernel_init: initializers.Initializer = initializers.lecun_normal(in_axis=(0, 1, 2, 3), out_axis=4)
    dtype: Dtype = jnp.float32
    implementation: str | None = None

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        """Maps [B, T, H, W, C] to [B, T, H, W, features]."""
        shape = (*self.kernel, x_BTHWC.shape[-1], self.features)
        kernel = self.param("kernel", param(self.kernel_init, None, None, None, "conv_in", "conv_out"), shape)
        # Gathered over fsdp before use. Left split, XLA's partitioner gives stacked convolutions wrong
        # gradients.
        kernel = constrain(kernel, None, None, None, None, "conv_out")
        bias = None
        if self.use_bias:
            bias = self.param("bias", param(initializers.zeros, "conv_out"), (self.features,))
            bias = bias.astype(self.dtype)
        return ops.conv3d(
            x_BTHWC.astype(self.dtype),
            kernel.astype(self.dtype),
            self.padding,
            self.implementation,
            bias=bias,
        )

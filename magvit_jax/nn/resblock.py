"""The residual block of the tokenizers (thesis Fig. 5.4)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.nn.norm import GroupNorm, Statistics
from magvit_jax.partitioning import constrain
from magvit_jax.typing import Array, Dtype

VIDEO_AXES = (
    "activation_batch",
    "activation_frames",
    "activation_height",
    "activation_width",
    "activation_channels",
)


class ResBlock(nn.Module):
    """GroupNorm, swish, conv, twice, plus the input; a 1x1x1 conv where the channel count changes.

    `conv` makes a convolution of the arguments that `CausalConv3D` takes.
    """

    features: int
    groups: int = 32
    statistics: Statistics = "frame"
    dtype: Dtype = jnp.float32
    kernel: Sequence[int] = (3, 3, 3)
    conv: Callable[..., nn.Module] = CausalConv3D

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        def conv(name: str, kernel: Sequence[int] = self.kernel) -> nn.Module:
            return self.conv(self.features, kernel, use_bias=False, dtype=self.dtype, name=name)

        def norm(name: str) -> GroupNorm:
            return GroupNorm(self.groups, self.statistics, dtype=self.dtype, name=name)

        h = conv("conv1")(nn.swish(norm("norm1")(x_BTHWC)))
        h = conv("conv2")(nn.swish(norm("norm2")(h)))
        if x_BTHWC.shape[-1] != self.features:
            x_BTHWC = conv("shortcut", (1, 1, 1))(x_BTHWC)
        return constrain(x_BTHWC + h, *VIDEO_AXES)

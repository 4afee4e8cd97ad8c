"""A 1x1x1 convolution is a matrix product."""

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding
from magvit_jax.typing import Array


def matmul(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    del pads  # a kernel of one element reaches into none
    if kernel_THWIO.shape[:3] != (1, 1, 1) or zero_frames:
        raise UserError(f"causal_conv3d: 'matmul' needs a 1x1x1 kernel, got {kernel_THWIO.shape[:3]}")
    time, height, width = strides
    return jnp.matmul(x_BTHWC[:, ::time, ::height, ::width], kernel_THWIO.squeeze((0, 1, 2)))

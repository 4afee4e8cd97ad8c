"""A causal convolution as a sum of 2D convolutions: one a temporal tap, over only those frames that meet it."""

import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.causal_conv3d.conv2d import conv2d_frames
from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding, frames_of_tap
from magvit_jax.ops.causal_conv3d.precision import in_float32
from magvit_jax.typing import Array


@in_float32
def sum_conv2d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    taps, frames = kernel_THWIO.shape[0], x_BTHWC.shape[1]
    y_BTHWC = None
    for tap in reversed(range(taps)):
        first_output, first_input, count = frames_of_tap(tap, frames, zero_frames, taps, strides[0])
        if count == 0:
            continue
        last_input = first_input + (count - 1) * strides[0]
        met_BTHWC = lax.slice_in_dim(x_BTHWC, first_input, last_input + 1, strides[0], axis=1)
        part_BTHWC = conv2d_frames(met_BTHWC, kernel_THWIO[tap], strides[1:], pads)
        part_BTHWC = jnp.pad(part_BTHWC, ((0, 0), (first_output, 0), (0, 0), (0, 0), (0, 0)))
        y_BTHWC = part_BTHWC if y_BTHWC is None else y_BTHWC + part_BTHWC
    return y_BTHWC

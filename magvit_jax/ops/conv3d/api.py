"""A convolution centred in time and space, lowered as the causal one is."""

from typing import Literal

import jax.numpy as jnp
from jax import lax

from magvit_jax.errors import UserError
from magvit_jax.ops.causal_conv3d.api import check, pick
from magvit_jax.ops.causal_conv3d.geometry import spatial_padding
from magvit_jax.typing import Array

Padding = Literal["zeros", "reflect"]
PADDINGS = ("zeros", "reflect")


def conv3d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    padding: Padding = "zeros",
    implementation: str | None = None,
    *,
    bias: Array | None = None,
) -> Array:
    """3D convolution of stride 1: output (t, i, j) is centred on input (t, i, j), also in time.

    Args:
      x_BTHWC: floats [B, T, H, W, C].
      kernel_THWIO: [kernel_T, kernel_H, kernel_W, C, C_out] of x's dtype. No flip: cross-correlation.
      padding: what is around the clip, (k - 1) // 2 before and k // 2 after on each of the three axes: zeros,
        or the clip mirrored at its first and last frame, row and column, which are not repeated ("reflect" of
        numpy; an axis of one element repeats it).
      implementation: as of `ops.causal_conv3d`, whose implementations these are.
      bias: optional [C_out] of x's dtype.

    Returns:
      [B, T, H, W, C_out] of x's dtype; sums are float32 for narrower floats.

    Raises:
      UserError: shapes or dtypes that do not fit, a padding or implementation that is unknown or unfit.

    Source: thesis 3.2.1 (3D convolutions and reflect padding of MAGVIT's 3D-VQ).
    """
    strides = (1, 1, 1)
    if padding not in PADDINGS:
        raise UserError(f"conv3d: padding {padding!r}; expected one of {', '.join(PADDINGS)}")
    check("conv3d", x_BTHWC, kernel_THWIO, strides, bias)
    time, *space = map(spatial_padding, kernel_THWIO.shape[:3])
    if padding == "reflect":
        x_BTHWC = jnp.pad(x_BTHWC, ((0, 0), time, *space, (0, 0)), mode="reflect")
        zero_frames, pads = 0, ((0, 0), (0, 0))
    else:
        # Taps that would only ever meet zeros are dropped: a clip of one frame costs one 2D convolution.
        zero_frames, after = (min(count, x_BTHWC.shape[1] - 1) for count in time)
        kernel_THWIO = kernel_THWIO[time[0] - zero_frames : time[0] + after + 1]
        x_BTHWC = jnp.pad(x_BTHWC, ((0, 0), (0, after), (0, 0), (0, 0), (0, 0)))
        pads = tuple(space)
    function = pick("conv3d", implementation, kernel_THWIO.shape, strides)
    y_BTHWC = function(x_BTHWC, kernel_THWIO, strides, zero_frames, pads)
    if bias is not None:
        y_BTHWC = y_BTHWC + lax.broadcast_in_dim(bias, y_BTHWC.shape, (4,))
    return y_BTHWC

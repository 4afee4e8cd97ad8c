"""Checks the arguments of a causal convolution and picks the implementation."""

import jax
import jax.numpy as jnp

from magvit_jax.ops.causal_conv3d.reference import xla_conv3d
from magvit_jax.typing import Array

IMPLEMENTATIONS = {"xla_conv3d": xla_conv3d}


def causal_conv3d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int] = (1, 1, 1),
    implementation: str | None = None,
    *,
    bias: Array | None = None,
    history: Array | None = None,
) -> Array:
    """Time-causal 3D convolution: output frame i sees input frames up to strides[0] * i and no later one."""
    taps = kernel_THWIO.shape[0]
    if history is not None:
        x_BTHWC = jnp.concatenate([history, x_BTHWC], axis=1)
        zero_frames = 0
    else:
        zero_frames = taps - 1
    y_BTHWC = IMPLEMENTATIONS[implementation or "xla_conv3d"](x_BTHWC, kernel_THWIO, tuple(strides), zero_frames)
    if bias is not None:
        y_BTHWC = y_BTHWC + jax.lax.broadcast_in_dim(bias, y_BTHWC.shape, (4,))
    return y_BTHWC

"""Halving the resolution of video without aliasing: a low-pass filter before every second element is taken (5.3.2)."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from magvit_jax.typing import Array

TAPS = (1.0, 3.0, 3.0, 1.0)  # the binomial filter of four taps, as in Zhang 2019 and StyleGAN2


def blur_pool(x_BTHWC: Array, window: Sequence[int]) -> Array:
    """Weighted means around windows side by side: [B,T,H,W,C] -> [B, ceil(T/t), ceil(H/h), ceil(W/w), C].

    Like `pool.average_pool`, and centred as it is, but every mean also reaches one element into the windows beside its
    own, with the weights 1, 3, 3, 1 on each axis that is halved. Nothing outside the clip is counted: weights are
    scaled to a sum of one, so a flat clip stays flat.

    Args:
      window: extent (time, height, width), each 1 or 2.

    Returns:
      x's dtype; sums are float32 for narrower floats.

    Source: thesis 5.3.2 (3D blur pooling in the discriminator); Zhang 2019, "Making convolutional networks
    shift-invariant again".
    """
    if any(step not in (1, 2) for step in window):
        raise ValueError(f"blur_pool: window {tuple(window)}; expected 1 or 2 on every axis")
    x = x_BTHWC.astype(jnp.float32) if jnp.finfo(x_BTHWC.dtype).bits < 32 else x_BTHWC
    for axis, step in enumerate(window, start=1):
        x = x if step == 1 else _halve(x, axis)
    return x.astype(x_BTHWC.dtype)


def _halve(x: Array, axis: int) -> Array:
    length = x.shape[axis]
    outputs = -(-length // 2)
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 2 * outputs + 1 - length)
    padded = jnp.pad(x, padding)
    met = [lax.slice_in_dim(padded, tap, tap + 2 * outputs - 1, 2, axis) for tap in range(len(TAPS))]
    total = sum(weight * part for weight, part in zip(TAPS, met, strict=True))
    shape = [1] * x.ndim
    shape[axis] = outputs
    return total * jnp.broadcast_to(jnp.asarray(1.0 / _held(length), x.dtype).reshape(shape), total.shape)


def _held(length: int) -> np.ndarray:
    """[outputs]: sum of the weights that fall on the clip."""
    outputs = -(-length // 2)
    inside = np.pad(np.ones(length), (1, 2 * outputs + 1 - length))
    return sum(weight * inside[tap : tap + 2 * outputs - 1 : 2] for tap, weight in enumerate(TAPS))

"""Changing the resolution of video without parameters: averages down, repetition up (thesis 3.2.1)."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from magvit_jax.typing import Array


def average_pool(x_BTHWC: Array, window: Sequence[int]) -> Array:
    """Means over windows side by side: [B,T,H,W,C] -> [B, ceil(T/t), ceil(H/h), ceil(W/w), C].

    A last window that sticks out is the mean of what it holds: nothing outside the clip is counted.

    Args:
      window: extent (time, height, width), each at least 1.

    Returns:
      x's dtype; sums are float32 for narrower floats.
    """
    if tuple(window) == (1, 1, 1):
        return x_BTHWC
    b, *sizes, c = x_BTHWC.shape
    counts = [-(-size // step) for size, step in zip(sizes, window, strict=True)]
    missing = [count * step - size for count, step, size in zip(counts, window, sizes, strict=True)]
    x = x_BTHWC.astype(jnp.float32) if jnp.finfo(x_BTHWC.dtype).bits < 32 else x_BTHWC
    if any(missing):
        x = jnp.pad(x, ((0, 0), *((0, extra) for extra in missing), (0, 0)))
    (t, st), (h, sh), (w, sw) = zip(counts, window, strict=True)
    total = x.reshape(b, t, st, h, sh, w, sw, c).sum((2, 4, 6))
    if any(missing):
        held = _held(sizes, counts, window).reshape(1, t, h, w, 1)
        mean = total / jnp.broadcast_to(jnp.asarray(held, total.dtype), total.shape)
    else:
        mean = total / math.prod(window)
    return mean.astype(x_BTHWC.dtype)


def _held(sizes: Sequence[int], counts: Sequence[int], window: Sequence[int]) -> np.ndarray:
    """[t, h, w]: elements of the clip in each window."""
    axes = [
        np.minimum(step, size - step * np.arange(count))
        for size, count, step in zip(sizes, counts, window, strict=True)
    ]
    return np.einsum("t,h,w->thw", *axes)


def repeat_nearest(x_BTHWC: Array, times: Sequence[int]) -> Array:
    """Each element repeated `times` (time, height, width): [B,T,H,W,C] -> [B, T t, H h, W w, C]."""
    b, t, h, w, c = x_BTHWC.shape
    st, sh, sw = times
    x = jnp.broadcast_to(x_BTHWC[:, :, None, :, None, :, None], (b, t, st, h, sh, w, sw, c))
    return x.reshape(b, t * st, h * sh, w * sw, c)

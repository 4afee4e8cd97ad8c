"""uint8 pixels to float and back."""

import jax.numpy as jnp
import numpy as np

from magvit_jax.typing import Array


def to_float(video: Array | np.ndarray) -> Array:
    """uint8 [...] to float32 in [0, 1]."""
    return jnp.asarray(video).astype(jnp.float32) / 255.0


def to_uint8(video: Array | np.ndarray) -> np.ndarray:
    """Float, clipped to [0, 1], to uint8."""
    return np.round(np.clip(np.asarray(video, np.float32), 0.0, 1.0) * 255.0).astype(np.uint8)

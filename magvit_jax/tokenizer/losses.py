"""Loss terms of the tokenizers that need no other network (thesis 5.3.1, 5.4.1)."""

import jax.numpy as jnp

from magvit_jax.typing import Array


def reconstruction(video_BTHWC: Array, reconstruction_BTHWC: Array) -> Array:
    """Mean squared error of pixels in [0, 1]."""
    return jnp.square(reconstruction_BTHWC - video_BTHWC).mean()


def annealed_weight(step: Array, weight: float, factor: float, steps: int) -> Array:
    """Falls linearly from `factor` times `weight` to `weight` within `steps` updates (5.4.1), then stays."""
    progress = jnp.clip(step.astype(jnp.float32) / max(steps, 1), 0.0, 1.0)
    return weight * (factor + (1.0 - factor) * progress)

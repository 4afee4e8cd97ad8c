"""Loss terms of the tokenizers that need no other network (thesis 5.3.1, 5.4.1)."""

import jax
import jax.numpy as jnp

from magvit_jax import ops
from magvit_jax.tokenizer import lfq
from magvit_jax.typing import Array


def reconstruction(video_BTHWC: Array, reconstruction_BTHWC: Array) -> Array:
    """Mean squared error of pixels in [0, 1]."""
    return jnp.square(reconstruction_BTHWC - video_BTHWC).mean()


def commitment(z_BthwK: Array) -> Array:
    """Mean squared distance of the latents from their codes, which are held fixed."""
    return jnp.square(z_BthwK - jax.lax.stop_gradient(lfq.quantize(z_BthwK))).mean()


def entropy(z_BthwK: Array, temperature: float) -> tuple[Array, Array]:
    """Mean entropy of a token and entropy of the mean token, nats (Eq. 5.5); the penalty is their difference.

    Exact over the batch that one call sees: with gradient accumulation that is a micro-batch, because the entropy
    of a mean is not the mean of entropies.
    """
    return ops.lfq_entropy(z_BthwK.reshape(-1, z_BthwK.shape[-1]), temperature)


def annealed_weight(step: Array, weight: float, factor: float, steps: int) -> Array:
    """Falls linearly from `factor` times `weight` to `weight` within `steps` updates (5.4.1), then stays."""
    progress = jnp.clip(step.astype(jnp.float32) / max(steps, 1), 0.0, 1.0)
    return weight * (factor + (1.0 - factor) * progress)

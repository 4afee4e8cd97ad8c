"""Dropout whose random bits are cheap enough for the CPU."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


class Dropout(nn.Module):
    """Zeroes a share `rate` of the elements and scales the others by 1 / (1 - rate); needs the rng "dropout".

    Attributes:
        rate: in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, deterministic: bool) -> Array:
        if deterministic or self.rate == 0.0:
            return x
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.rate, x.shape)
        return jnp.where(keep, x * (1.0 / (1.0 - self.rate)), jnp.zeros_like(x))

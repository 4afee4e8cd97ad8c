"""Dropout as a layer."""

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.ops.attention.dropout import keep_mask
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
        kept = keep_mask(self.make_rng("dropout"), self.rate, x.shape)
        return jnp.where(kept, x * (1.0 / (1.0 - self.rate)), jnp.zeros_like(x))

"""Which elements dropout keeps, from 16 random bits each: half of what `jax.random.bernoulli` costs a CPU."""

import jax
import jax.numpy as jnp

from magvit_jax.typing import Array, PRNGKey


def keep_mask(key: PRNGKey, rate: float, shape: tuple[int, ...]) -> Array:
    """bool array of `shape`, False for a share `rate` of its elements, to a precision of 2**-16.

    Two elements share a 32-bit word along the last axis only, so that the others stay free to be sharded.
    """
    words = jax.random.bits(key, (*shape[:-1], -(-shape[-1] // 2)), jnp.uint32)
    halves = jax.lax.bitcast_convert_type(words, jnp.uint16)
    halves = halves.reshape((*shape[:-1], 2 * words.shape[-1]))[..., : shape[-1]]
    return halves >= jnp.uint16(round(rate * 2**16))

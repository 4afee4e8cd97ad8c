"""Dropout of attention weights made in place in a kernel: a hash of where a weight stands."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from magvit_jax.typing import Array, PRNGKey

# Odd numbers with their bits well mixed, as int32: the vector units of a TPU multiply those.
_HEAD, _QUERY, _KEY = -1640531535, -2048144777, -1028477379
_FIRST, _SECOND = 2146121005, -2073254261
_BITS = 24  # of a hash that are compared with the rate


class Counters(NamedTuple):
    """What the hash starts from, beside the positions of query and key.

    Attributes:
        seed_1: int32 [1].
        heads_BN: int32 [B, N], a number of its own for each head of each example of the whole batch.
    """

    seed_1: Array
    heads_BN: Array


def counters(key: PRNGKey, batch: int, heads: int) -> Counters:
    """The counters of a whole batch; of a shard, `heads_BN` is its part."""
    seed_1 = lax.bitcast_convert_type(jax.random.bits(key, (1,), jnp.uint32), jnp.int32)
    return Counters(seed_1, jnp.arange(batch * heads, dtype=jnp.int32).reshape(batch, heads))


def kept(rate: float, seed: Array, head: Array, query: Array, key: Array) -> Array:
    """bool, False for a share `rate`: a function of the numbers alone, the same in and outside a kernel.

    Args:
        seed, head, query, key: int32 of shapes that broadcast. `key` joins last, so the others cost once a
            query.
    """
    start = _mix(query * _QUERY ^ _mix(head * _HEAD ^ seed))
    value = _mix(start ^ key * _KEY)
    return lax.shift_right_logical(value, jnp.full_like(value, 32 - _BITS)) >= round(rate * 2**_BITS)


def _mix(x: Array) -> Array:
    """A bijection of 32 bits in which each bit of the input changes about half of the output's."""
    x = (x ^ lax.shift_right_logical(x, jnp.full_like(x, 16))) * _FIRST
    x = (x ^ lax.shift_right_logical(x, jnp.full_like(x, 15))) * _SECOND
    return x ^ lax.shift_right_logical(x, jnp.full_like(x, 16))

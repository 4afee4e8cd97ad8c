"""What a decoding carries from token to token."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from magvit_jax.nn.attention import KeyValues, cache_length
from magvit_jax.tokens.prefix import Condition
from magvit_jax.transformer.base import used_segments
from magvit_jax.typing import Array, Dtype


class Cache(NamedTuple):
    """What a decoding has seen so far; a pytree of fixed shapes, linear in the length, to be carried through a scan.

    Attributes:
        layers: keys and values of every layer, with room for the whole sequence.
        segment_BS: int32, 0 at unused slots of the condition and 1 elsewhere; None where the model has no slots.
        length: int32 [], positions that are filled.
    """

    layers: tuple[KeyValues, ...] | KeyValues
    segment_BS: Array | None
    length: Array

    @classmethod
    def empty(
        cls,
        batch: int,
        positions: int,
        *,
        condition: Condition | None,
        **sizes: Any,
    ) -> "Cache":
        """Room for so many positions, those of the condition included; `sizes` as of `empty_layers`."""
        room, length = empty_layers(batch, positions, **sizes)
        segment_BS = None if condition is None else used_segments(condition, (batch, length))
        return cls(room, segment_BS, jnp.zeros((), jnp.int32))


def empty_layers(
    batch: int,
    positions: int,
    *,
    layers: int,
    stacked: bool,
    heads: int,
    kv_heads: int,
    head_width: int,
    dtype: Dtype,
) -> tuple[tuple[KeyValues, ...] | KeyValues, int]:
    """Keys and values of every layer, with room for so many positions, and S, which may be more (`cache_length`).

    Args:
        stacked: one array for all layers, as scanned layers need it.
        heads, kv_heads, head_width: N, G and E.
    """
    length = cache_length(positions, heads, kv_heads, head_width, dtype)
    shape_BGSE = (batch, kv_heads, length, head_width)
    if stacked:
        return KeyValues.empty((layers, *shape_BGSE), dtype), length
    return tuple(KeyValues.empty(shape_BGSE, dtype) for _ in range(layers)), length

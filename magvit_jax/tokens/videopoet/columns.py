"""Rows without gaps, and which of their columns carry the loss: gathers inside a jitted step.

A plan has a column for every place of its longest prefix and of its longest output, so that examples of several tasks
share one shape. What no example of a row uses is left out here, before a network sees it.
"""

import jax.numpy as jnp

from magvit_jax.tokens.videopoet.sequences import Sequences
from magvit_jax.tokens.videopoet.vocabulary import SPECIAL
from magvit_jax.typing import Array

_NOTHING = {"ids_BL": SPECIAL["pad"], "text_slot_BL": -1}  # of an unused column; 0 in all others


def compact(sequences: Sequences, length: int) -> Sequences:
    """The rows with their used columns in front, in their order, and unused ones up to `length` behind.

    Args:
        length: columns of a row, at least as many as any row uses: further ones would be lost.
    """
    used_BL = sequences.segment_BL > 0
    column_BC, there_BC = _first(used_BL, length)
    column_L = jnp.arange(used_BL.shape[1], dtype=jnp.int32)
    in_prefix_BL = used_BL & (column_L[None] < sequences.prefix_B[:, None])
    moved = {"prefix_B": jnp.sum(in_prefix_BL, axis=1, dtype=jnp.int32)}
    for name, values_BL in sequences._asdict().items():
        if name != "prefix_B":
            tail = (1,) * (values_BL.ndim - 2)
            taken = jnp.take_along_axis(values_BL, column_BC.reshape(column_BC.shape + tail), axis=1)
            nothing = jnp.asarray(_NOTHING.get(name, 0), values_BL.dtype)
            moved[name] = jnp.where(there_BC.reshape(there_BC.shape + tail), taken, nothing)
    return Sequences(**moved)


def target_columns(sequences: Sequences, count: int) -> tuple[Array, Array]:
    """The columns whose next id is generated, in their order.

    Args:
        count: O, at least as many as any row has: further ones would be lost.

    Returns:
        int32 columns [B, O], and bool [B, O]: False behind the last of a row that has fewer.
    """
    return _first(sequences.is_target_BL, count)


def _first(wanted_BL: Array, count: int) -> tuple[Array, Array]:
    """int32 [B, count]: the columns that are wanted, in their order; and whether there are so many."""
    upto_BL = jnp.cumsum(wanted_BL.astype(jnp.int32), axis=1)
    number_C = jnp.arange(count, dtype=jnp.int32)
    # As many columns lie before the c-th one as have c or fewer up to and with them: no sort, which compiles slowly.
    column_BC = jnp.sum(upto_BL[:, None] <= number_C[None, :, None], axis=2, dtype=jnp.int32)
    return jnp.minimum(column_BC, wanted_BL.shape[1] - 1), number_C[None] < upto_BL[:, -1:]

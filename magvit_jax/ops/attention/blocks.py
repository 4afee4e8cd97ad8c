"""Which blocks of keys a block of queries needs: pure functions of a few numbers, in and around the TPU kernels.

A grid of a kernel walks over rows (blocks whose output it makes) and, for each, over steps. The plan is a table of
integers in scalar memory that says which block a step works on. A row that needs fewer blocks than there are steps
stays at its last one: the block is in fast memory already, so nothing is fetched, and the step does nothing.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention.masks import sees
from magvit_jax.typing import Array

LANES = 128
STEP_COST = 100  # of a block, in rows of it: what starting a step costs
MAX_TABLE = 2**16  # integers of a plan that names every block; scalar memory has 2**18


class Sizes(NamedTuple):
    """Queries and keys of a block, and L and S without padding."""

    block_q: int
    block_k: int
    queries: int
    keys: int

    @property
    def rows_q(self) -> int:
        """Blocks of queries."""
        return -(-self.queries // self.block_q)

    @property
    def rows_k(self) -> int:
        """Blocks of keys."""
        return -(-self.keys // self.block_k)


class Limits(NamedTuple):
    """What `masks.sees` needs of an example, each int32 [B]: the length is S where there is no padding."""

    prefix_B: Array
    length_B: Array
    offset_B: Array


def fit(length: int, most: int) -> int:
    """Size of a block, a multiple of 128 up to `most`: little padding and few steps for `length`."""

    def cost(block: int) -> float:
        return -(-length // block) * (block + STEP_COST)

    return min(range(LANES, most + 1, LANES), key=lambda block: (cost(block), -block))


def needed(
    kind: str, sizes: Sizes, limits: Limits, q_segment_BL: Array | None, k_segment_BS: Array | None
) -> Array:
    """bool [B, Q, K]: whether block q of the queries sees anything in block k of the keys.

    Exact without segments. With them a block is needed where the ranges of ids overlap: exact where ids do
    not decrease along the sequence (packed examples), and where there are two of them; too many blocks
    otherwise.
    """
    last_Q = jnp.minimum((jnp.arange(sizes.rows_q, dtype=jnp.int32) + 1) * sizes.block_q, sizes.queries) - 1
    first_K = jnp.arange(sizes.rows_k, dtype=jnp.int32) * sizes.block_k
    prefix_B11, length_B11, offset_B11 = (x_B[:, None, None] for x_B in limits)
    needed_BQK = sees(kind, offset_B11 + last_Q[None, :, None], first_K[None, None], prefix_B11, length_B11)
    if q_segment_BL is not None:
        low_BQ, high_BQ = _ranges(q_segment_BL, sizes.block_q, jnp.full_like(limits.length_B, sizes.queries))
        low_BK, high_BK = _ranges(k_segment_BS, sizes.block_k, limits.length_B)
        overlap_BQK = (low_BQ[:, :, None] <= high_BK[:, None]) & (low_BK[:, None] <= high_BQ[:, :, None])
        needed_BQK = needed_BQK & overlap_BQK
    return jnp.broadcast_to(needed_BQK, (limits.length_B.shape[0], sizes.rows_q, sizes.rows_k))


def _ranges(segment_BL: Array, block: int, length_B: Array) -> tuple[Array, Array]:
    """Least and largest id of each block, of what is before `length_B`."""
    batch, length = segment_BL.shape
    spare = ((0, 0), (0, -length % block))
    real_BL = jnp.arange(length + spare[1][1], dtype=jnp.int32)[None] < jnp.minimum(length_B, length)[:, None]
    ends = jnp.iinfo(jnp.int32)
    padded_BL = jnp.pad(segment_BL, spare)
    low_BL, high_BL = jnp.where(real_BL, padded_BL, ends.max), jnp.where(real_BL, padded_BL, ends.min)
    shape = (batch, -1, block)
    return jnp.min(low_BL.reshape(shape), axis=-1), jnp.max(high_BL.reshape(shape), axis=-1)


def plan(needed_BRC: Array, listed: bool) -> tuple[Array, int]:
    """The table of a kernel that walks over rows R and, for each, over blocks C; and its entries a row.

    int32, in one row: for each example and row the number of needed blocks, and then either each of them (`listed`)
    or the first, where they are neighbours (without `listed`, all from the first to the last count as needed). A row
    that needs none holds what the row before had last, so that it fetches nothing.
    """
    batch, rows, blocks = needed_BRC.shape
    listed = listed and batch * rows * (1 + blocks) <= MAX_TABLE
    block_C = jnp.arange(blocks, dtype=jnp.int32)
    any_BR = jnp.any(needed_BRC, axis=-1)
    first_BR = jnp.argmax(needed_BRC, axis=-1).astype(jnp.int32)
    last_BR = blocks - 1 - jnp.argmax(needed_BRC[..., ::-1], axis=-1).astype(jnp.int32)
    held_BR = _held(any_BR, first_BR, last_BR)
    if not listed:
        count_BR = jnp.where(any_BR, last_BR - first_BR + 1, 0)
        table_BRC = jnp.stack([count_BR, jnp.where(any_BR, first_BR, held_BR)], axis=-1)
        return table_BRC.reshape(-1), 1
    count_BR = jnp.sum(needed_BRC, axis=-1, dtype=jnp.int32)
    order_BRC = jnp.argsort(jnp.where(needed_BRC, block_C[None, None], blocks), axis=-1).astype(jnp.int32)
    order_BRC = jnp.where(any_BR[..., None], order_BRC, held_BR[..., None])
    return jnp.concatenate([count_BR[..., None], order_BRC], axis=-1).reshape(-1), blocks


def _held(any_BR: Array, first_BR: Array, last_BR: Array) -> Array:
    """The block in fast memory when a row begins; before the first row that needs any, what that needs."""
    row_R = jnp.arange(any_BR.shape[1], dtype=jnp.int32)
    before_BR = jax.lax.cummax(jnp.where(any_BR, row_R[None], -1), axis=1)
    held_BR = jnp.take_along_axis(last_BR, jnp.maximum(before_BR, 0), axis=1)
    coming_B1 = jnp.take_along_axis(first_BR, jnp.argmax(any_BR, axis=1)[:, None], axis=1)
    return jnp.where(before_BR < 0, coming_B1, held_BR)


def at(table, entries: int, rows: int, example, row, step):
    """(block, whether there is anything to do) of one step of a row; for integers and scalars in a kernel."""
    start = (example * rows + row) * (1 + entries)
    count = table[start]
    place = jnp.maximum(jnp.minimum(step, count - 1), 0)
    block = table[start + 1] + place if entries == 1 else table[start + 1 + place]
    return block, step < count

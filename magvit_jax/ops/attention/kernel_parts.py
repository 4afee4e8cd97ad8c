"""What the TPU kernels of attention share: block sizes, scores, and the mask of a block.

Scores are made with keys along the sublanes and queries along the lanes. So what there is one of a query (the
largest score, the sum, the mean) is a row that broadcasts for free, sums over keys need no exchange between
lanes, and the residual is stored as it is used: 4 bytes a query, not 128 times that.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from magvit_jax.ops.attention.blocks import Limits, Sizes, fit
from magvit_jax.ops.attention.counter_dropout import Counters, kept
from magvit_jax.ops.attention.masks import sees
from magvit_jax.typing import Array, Dtype

LEAST = float(jnp.finfo(jnp.float32).min)  # a hidden score
LOG2_E = 1.4426950408889634

# (bytes a number, head width up to) -> most queries and keys of a block where the mask is full, and otherwise.
# A block's scores and weights are about three float32 arrays of queries x keys: 9 of 16 MiB for 512 x 1,536.
BLOCKS = {
    (2, 128): ((512, 1536), (512, 512)),
    (2, 256): ((512, 1024), (512, 512)),
    (4, 128): ((512, 1024), (512, 512)),
    (4, 256): ((512, 512), (512, 512)),
}


class Static(NamedTuple):
    """What is fixed when a kernel is traced.

    Attributes:
        kind: of the mask.
        padded: whether some keys may be beyond a length, or are padding of the last block.
        sizes: of blocks and sequences.
        repeats: heads of queries that share keys and values.
        scale: of the scores.
        dropout: rate of the weights that are dropped.
        batch: B.
        interpret: as in `pallas_call`.
    """

    kind: str
    padded: bool
    sizes: Sizes
    repeats: int
    scale: float
    dropout: float
    batch: int
    interpret: Any


def block_sizes(kind: str, queries: int, keys: int, width: int, dtype: Dtype) -> Sizes:
    """Blocks for these lengths and this head width, after `BLOCKS`."""
    small, large = (2, 4), (128, 256)
    bytes_ = jnp.dtype(dtype).itemsize
    row = BLOCKS[next(x for x in small if bytes_ <= x), next(x for x in large if width <= x)]
    most_q, most_k = row[0] if kind == "full" else row[1]
    return Sizes(fit(queries, most_q), fit(keys, most_k), queries, keys)


def dot(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Matrix product in float32 over one axis of each; float32 inputs are multiplied in full precision."""
    precision = lax.Precision.HIGHEST if a.dtype == jnp.float32 else lax.Precision.DEFAULT
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(a, b, dimensions, precision=precision, preferred_element_type=jnp.float32)


class Block:
    """One block of queries against one of keys: in a kernel, by their numbers."""

    def __init__(self, static: Static, numbers, example, head, query_block, key_block, segments):
        sizes, batch = static.sizes, static.batch
        prefix, length, offset = (numbers[row * batch + example] for row in range(3))
        if static.dropout:
            heads = (numbers.shape[0] - 1) // batch - 3
            self.seed, self.head = numbers[(3 + heads) * batch], numbers[3 * batch + example * heads + head]
        self.static, self.prefix = static, prefix
        self.length = length if static.padded else None
        self.query = offset + query_block * sizes.block_q
        self.key = key_block * sizes.block_k
        self.segments = segments

    def run(self, wanted, body) -> None:
        """`body(masked)` where `wanted`, with masked=False where every query of the block sees every key."""
        static, sizes = self.static, self.static.sizes
        if self.segments is not None:
            pl.when(wanted)(lambda: body(True))
        elif static.kind == "full" and not static.padded:
            pl.when(wanted)(lambda: body(False))
        else:
            whole = sees(static.kind, self.query, self.key + sizes.block_k - 1, self.prefix, self.length)
            pl.when(jnp.logical_and(wanted, whole))(lambda: body(False))
            pl.when(jnp.logical_and(wanted, jnp.logical_not(whole)))(lambda: body(True))

    def seen_SL(self) -> Array:
        """bool [keys, queries] of the block."""
        sizes = self.static.sizes
        shape = (sizes.block_k, sizes.block_q)
        key_SL = self.key + lax.broadcasted_iota(jnp.int32, shape, 0)
        query_SL = self.query + lax.broadcasted_iota(jnp.int32, shape, 1)
        seen_SL = sees(self.static.kind, query_SL, key_SL, self.prefix, self.length)
        if self.segments is not None:
            q_segment_1L, k_segment_1S = (ref[0] for ref in self.segments)
            # A row becomes a column by way of a transposed matrix: Mosaic transposes tiles.
            wide_8S = jnp.broadcast_to(k_segment_1S, (8, sizes.block_k))
            seen_SL = seen_SL & (jnp.transpose(wide_8S)[:, :1] == q_segment_1L)
        return seen_SL

    def drop(self, x_SL: Array) -> Array:
        """With 0 where a weight is dropped."""
        static, sizes = self.static, self.static.sizes
        if not static.dropout:
            return x_SL
        query_1L = self.query + lax.broadcasted_iota(jnp.int32, (1, sizes.block_q), 1)
        key_S1 = self.key + lax.broadcasted_iota(jnp.int32, (sizes.block_k, 1), 0)
        return jnp.where(kept(static.dropout, self.seed, self.head, query_1L, key_S1), x_SL, 0.0)


def pack_numbers(limits: Limits, counters: Counters | None) -> Array:
    """int32, in one row: in scalar memory the rows of a matrix would be padded to 128."""
    if counters is None:
        return jnp.concatenate(limits)
    return jnp.concatenate([*limits, counters.heads_BN.reshape(-1), counters.seed_1])


def cost(static: Static, heads: int, width: int, dtype: Dtype, products: int) -> pl.CostEstimate:
    """What the compiler is told of a kernel of so many matrix products a block, so that it can schedule around it.

    Counted as if no example had a prefix, padding, an offset or segments, which are known at run time only.
    """
    sizes = static.sizes
    rows = range(sizes.rows_q)
    if static.kind == "full" or sizes.queries < sizes.keys:  # queries of a cache stand late in it
        visited = sizes.rows_q * sizes.rows_k
    else:
        visited = sum(min(-(-(row + 1) * sizes.block_q // sizes.block_k), sizes.rows_k) for row in rows)
    pairs = static.batch * heads * visited * sizes.block_q * sizes.block_k
    moved = 2 * visited * sizes.block_k + 2 * sizes.rows_q * sizes.block_q
    return pl.CostEstimate(
        flops=2 * products * pairs * width,
        transcendentals=pairs,
        bytes_accessed=static.batch * heads * moved * width * jnp.dtype(dtype).itemsize,
    )


def compiler_params(*parallel: bool) -> pltpu.CompilerParams:
    """One bool an axis of the grid: whether its steps may run in any order."""
    names = tuple("parallel" if free else "arbitrary" for free in parallel)
    return pltpu.CompilerParams(dimension_semantics=names)


def split(refs, segments: bool, inputs: int):
    """The refs of a kernel: plan, numbers, inputs, (q and k segments, or None), outputs with scratch."""
    plan, numbers, *refs = refs
    taken, rest = refs[:inputs], refs[inputs:]
    return (plan, numbers, taken, rest[:2], rest[2:]) if segments else (plan, numbers, taken, None, rest)

"""Flash attention forward for TPUs."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from magvit_jax.ops.attention import blocks
from magvit_jax.ops.attention.kernel_parts import (
    LEAST,
    LOG2_E,
    Block,
    Static,
    compiler_params,
    cost,
    dot,
    split,
)
from magvit_jax.typing import Array


def forward(
    static: Static,
    table: tuple[Array, int],
    numbers: Array,
    q_BNLE: Array,
    k_BGSE: Array,
    v_BGSE: Array,
    segments: tuple[Array, Array] | None,
) -> tuple[Array, Array]:
    """Output [B, N, L, E], and the log of each query's sum of exponentials, to base 2, float32 [B, N, 1, L].

    L and S are padded to whole blocks. Of a query that sees nothing, the output is 0 and the log the largest
    float32.

    Args:
        table: `blocks.plan` with a row for each block of queries.
        numbers: `kernel_parts.pack_numbers`.
        segments: int32 [B, 1, L] and [B, 1, S], or None.
    """
    plan, entries = table
    sizes, (batch, heads, length, width) = static.sizes, q_BNLE.shape
    steps = sizes.rows_k

    def key_block(b, i, j, plan):
        return blocks.at(plan, entries, sizes.rows_q, b, i, j)[0]

    def queries(b, n, i, j, plan, numbers):
        return b, n, i, 0

    def keys(b, n, i, j, plan, numbers):
        return b, n // static.repeats, key_block(b, i, j, plan), 0

    query_spec = pl.BlockSpec((1, 1, sizes.block_q, width), queries)
    key_spec = pl.BlockSpec((1, 1, sizes.block_k, width), keys)
    in_specs = [query_spec, key_spec, key_spec]
    if segments is not None:
        in_specs += [
            pl.BlockSpec((1, 1, sizes.block_q), lambda b, n, i, j, plan, numbers: (b, 0, i)),
            pl.BlockSpec(
                (1, 1, sizes.block_k),
                lambda b, n, i, j, plan, numbers: (b, 0, key_block(b, i, j, plan)),
            ),
        ]
    row_spec = pl.BlockSpec((1, 1, 1, sizes.block_q), lambda b, n, i, j, plan, numbers: (b, n, 0, i))
    return pl.pallas_call(
        partial(_kernel, static, entries, segments is not None),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(batch, heads, sizes.rows_q, steps),
            in_specs=in_specs,
            out_specs=[query_spec, row_spec],
            scratch_shapes=[
                pltpu.VMEM((1, sizes.block_q), jnp.float32),
                pltpu.VMEM((1, sizes.block_q), jnp.float32),
                pltpu.VMEM((width, sizes.block_q), jnp.float32),
            ],
        ),
        out_shape=[
            jax.ShapeDtypeStruct(q_BNLE.shape, q_BNLE.dtype),
            jax.ShapeDtypeStruct((batch, heads, 1, length), jnp.float32),
        ],
        compiler_params=compiler_params(True, True, True, False),
        cost_estimate=cost(static, heads, width, q_BNLE.dtype, products=2),
        interpret=static.interpret,
        name="attention_forward",
    )(plan, numbers, q_BNLE, k_BGSE, v_BGSE, *(segments or ()))


def _kernel(static: Static, entries: int, segmented: bool, *refs) -> None:
    plan, numbers, (q, k, v), segments, (out, log_sum, largest, total, mixed) = split(refs, segmented, 3)
    example, row, step = pl.program_id(0), pl.program_id(2), pl.program_id(3)
    key_block, wanted = blocks.at(plan, entries, static.sizes.rows_q, example, row, step)
    block = Block(static, numbers, example, pl.program_id(1), row, key_block, segments)
    base2 = static.scale * LOG2_E

    @pl.when(step == 0)
    def _start():
        largest[...] = jnp.full_like(largest, LEAST)
        total[...] = jnp.zeros_like(total)
        mixed[...] = jnp.zeros_like(mixed)

    def add(masked: bool) -> None:
        scores_SL = dot(k[0, 0], q[0, 0], (1, 1))
        if masked:
            scores_SL = jnp.where(block.seen_SL(), scores_SL, LEAST)
        old_1L = largest[...]
        new_1L = jnp.maximum(old_1L, jnp.max(scores_SL, axis=0, keepdims=True))
        # A query that has seen nothing yet has weights of 1; the first key that it sees shrinks them to 0.
        weights_SL = jnp.exp2((scores_SL - new_1L) * base2)
        shrunk_1L = jnp.exp2((old_1L - new_1L) * base2)
        largest[...] = new_1L
        total[...] = total[...] * shrunk_1L + jnp.sum(weights_SL, axis=0, keepdims=True)
        mixed[...] = mixed[...] * shrunk_1L + dot(v[0, 0], block.drop(weights_SL).astype(v.dtype), (0, 0))

    block.run(wanted, add)

    @pl.when(step == pl.num_programs(3) - 1)
    def _finish():
        blind_1L = largest[...] == LEAST
        sum_1L = jnp.where(blind_1L, 1.0, total[...])
        share_1L = jnp.where(blind_1L, 0.0, 1.0 / sum_1L)
        out[0, 0] = jnp.transpose(mixed[...] * share_1L).astype(out.dtype)
        log_sum[0, 0] = jnp.where(blind_1L, -LEAST, largest[...] * base2 + jnp.log(sum_1L) * LOG2_E)

"""Flash attention backward for TPUs: a kernel for the queries, one for keys and values; scores made again."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from magvit_jax.ops.attention import blocks
from magvit_jax.ops.attention.kernel_parts import LOG2_E, Block, Static, compiler_params, cost, dot, split
from magvit_jax.typing import Array


def backward_queries(
    static: Static,
    table: tuple[Array, int],
    numbers: Array,
    arrays: tuple[Array, ...],
    segments: tuple[Array, Array] | None,
) -> Array:
    """d_q [B, N, L, E]; `table` and `numbers` as in `pallas_forward.forward`.

    Args:
        arrays: q, k, v, d_out, and float32 [B, N, 1, L] twice: the log of the sums, and sum_e out * d_out.
    """
    plan, entries = table
    sizes, (batch, heads, _, width) = static.sizes, arrays[0].shape

    def key_block(b, i, j, plan):
        return blocks.at(plan, entries, sizes.rows_q, b, i, j)[0]

    query_spec = pl.BlockSpec((1, 1, sizes.block_q, width), lambda b, n, i, j, plan, numbers: (b, n, i, 0))
    row_spec = pl.BlockSpec((1, 1, 1, sizes.block_q), lambda b, n, i, j, plan, numbers: (b, n, 0, i))
    key_spec = pl.BlockSpec(
        (1, 1, sizes.block_k, width),
        lambda b, n, i, j, plan, numbers: (b, n // static.repeats, key_block(b, i, j, plan), 0),
    )
    in_specs = [query_spec, key_spec, key_spec, query_spec, row_spec, row_spec]
    if segments is not None:
        in_specs += [
            pl.BlockSpec((1, 1, sizes.block_q), lambda b, n, i, j, plan, numbers: (b, 0, i)),
            pl.BlockSpec(
                (1, 1, sizes.block_k),
                lambda b, n, i, j, plan, numbers: (b, 0, key_block(b, i, j, plan)),
            ),
        ]
    return pl.pallas_call(
        partial(_queries_kernel, static, entries, segments is not None),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(batch, heads, sizes.rows_q, sizes.rows_k),
            in_specs=in_specs,
            out_specs=query_spec,
            scratch_shapes=[pltpu.VMEM((width, sizes.block_q), jnp.float32)],
        ),
        out_shape=jax.ShapeDtypeStruct(arrays[0].shape, arrays[0].dtype),
        compiler_params=compiler_params(True, True, True, False),
        cost_estimate=cost(static, heads, width, arrays[0].dtype, products=3),
        interpret=static.interpret,
        name="attention_backward_queries",
    )(plan, numbers, *arrays, *(segments or ()))


def _queries_kernel(static: Static, entries: int, segmented: bool, *refs) -> None:
    plan, numbers, arrays, segments, (d_q, sum_EL) = split(refs, segmented, 6)
    example, row, step = pl.program_id(0), pl.program_id(2), pl.program_id(3)
    key_block, wanted = blocks.at(plan, entries, static.sizes.rows_q, example, row, step)
    block = Block(static, numbers, example, pl.program_id(1), row, key_block, segments)

    @pl.when(step == 0)
    def _start():
        sum_EL[...] = jnp.zeros_like(sum_EL)

    def add(masked: bool) -> None:
        _, d_scores_SL = _weights(static, block, masked, arrays)
        k_SE = arrays[1][0, 0]
        sum_EL[...] += dot(k_SE, d_scores_SL.astype(k_SE.dtype), (0, 0))

    block.run(wanted, add)

    @pl.when(step == pl.num_programs(3) - 1)
    def _finish():
        d_q[0, 0] = jnp.transpose(sum_EL[...] * static.scale).astype(d_q.dtype)


def backward_keys(
    static: Static,
    table: tuple[Array, int],
    numbers: Array,
    arrays: tuple[Array, ...],
    segments: tuple[Array, Array] | None,
) -> tuple[Array, Array]:
    """d_k and d_v [B, G, S, E], summed over the heads of a group; arguments as in `backward_queries`.

    `table` has a row for each block of keys, which says which blocks of queries see it.
    """
    plan, entries = table
    sizes, (batch, groups, _, width) = static.sizes, arrays[1].shape

    def query_block(b, i, j, plan):
        return blocks.at(plan, entries, sizes.rows_k, b, i, j)[0]

    def head(g, r):
        return g * static.repeats + r

    query_spec = pl.BlockSpec(
        (1, 1, sizes.block_q, width),
        lambda b, g, i, r, j, plan, numbers: (b, head(g, r), query_block(b, i, j, plan), 0),
    )
    row_spec = pl.BlockSpec(
        (1, 1, 1, sizes.block_q),
        lambda b, g, i, r, j, plan, numbers: (b, head(g, r), 0, query_block(b, i, j, plan)),
    )
    key_spec = pl.BlockSpec((1, 1, sizes.block_k, width), lambda b, g, i, r, j, plan, numbers: (b, g, i, 0))
    in_specs = [query_spec, key_spec, key_spec, query_spec, row_spec, row_spec]
    if segments is not None:
        in_specs += [
            pl.BlockSpec(
                (1, 1, sizes.block_q),
                lambda b, g, i, r, j, plan, numbers: (b, 0, query_block(b, i, j, plan)),
            ),
            pl.BlockSpec((1, 1, sizes.block_k), lambda b, g, i, r, j, plan, numbers: (b, 0, i)),
        ]
    return pl.pallas_call(
        partial(_keys_kernel, static, entries, segments is not None),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=2,
            grid=(batch, groups, sizes.rows_k, static.repeats, sizes.rows_q),
            in_specs=in_specs,
            out_specs=[key_spec, key_spec],
            scratch_shapes=[pltpu.VMEM((sizes.block_k, width), jnp.float32)] * 2,
        ),
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays[1:3]],
        compiler_params=compiler_params(True, True, True, False, False),
        cost_estimate=cost(static, groups * static.repeats, width, arrays[0].dtype, products=4),
        interpret=static.interpret,
        name="attention_backward_keys",
    )(plan, numbers, *arrays, *(segments or ()))


def _keys_kernel(static: Static, entries: int, segmented: bool, *refs) -> None:
    plan, numbers, arrays, segments, (d_k, d_v, k_sum_SE, v_sum_SE) = split(refs, segmented, 6)
    example, group, row, place, step = (pl.program_id(axis) for axis in range(5))
    head = group * static.repeats + place
    query_block, wanted = blocks.at(plan, entries, static.sizes.rows_k, example, row, step)
    block = Block(static, numbers, example, head, query_block, row, segments)

    @pl.when(jnp.logical_and(place == 0, step == 0))
    def _start():
        k_sum_SE[...] = jnp.zeros_like(k_sum_SE)
        v_sum_SE[...] = jnp.zeros_like(v_sum_SE)

    def add(masked: bool) -> None:
        weights_SL, d_scores_SL = _weights(static, block, masked, arrays)
        q_LE, d_out_LE = arrays[0][0, 0], arrays[3][0, 0]
        v_sum_SE[...] += dot(weights_SL.astype(d_out_LE.dtype), d_out_LE, (1, 0))
        k_sum_SE[...] += dot(d_scores_SL.astype(q_LE.dtype), q_LE, (1, 0))

    block.run(wanted, add)

    @pl.when(jnp.logical_and(place == pl.num_programs(3) - 1, step == pl.num_programs(4) - 1))
    def _finish():
        d_k[0, 0] = (k_sum_SE[...] * static.scale).astype(d_k.dtype)
        d_v[0, 0] = v_sum_SE[...].astype(d_v.dtype)


def _weights(static: Static, block: Block, masked: bool, arrays) -> tuple[jax.Array, jax.Array]:
    """What is kept of the weights, [keys, queries], and the gradient of the unscaled scores; float32."""
    q_LE, k_SE, v_SE, d_out_LE, log_sum_1L, mean_1L = (ref[0, 0] for ref in arrays)
    scores_SL = dot(k_SE, q_LE, (1, 1)) * (static.scale * LOG2_E)
    weights_SL = jnp.exp2(scores_SL - log_sum_1L)
    if masked:
        weights_SL = jnp.where(block.seen_SL(), weights_SL, 0.0)
    d_weights_SL = block.drop(dot(v_SE, d_out_LE, (1, 1)))
    return block.drop(weights_SL), weights_SL * (d_weights_SL - mean_1L)

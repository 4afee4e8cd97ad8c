"""Flash attention for TPUs: memory linear in the length, and no work on what the mask hides."""

from functools import partial

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention import blocks
from magvit_jax.ops.attention.blocks import Limits, Sizes
from magvit_jax.ops.attention.counter_dropout import Counters
from magvit_jax.ops.attention.kernel_parts import Static, block_sizes, pack_numbers
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.pallas_backward import backward_keys, backward_queries
from magvit_jax.ops.attention.pallas_forward import forward
from magvit_jax.typing import Array


def pallas_tpu(
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | None,
    scale: float,
    dropout: float = 0.0,
    counters: Counters | None = None,
    *,
    block_q: int | None = None,
    block_k: int | None = None,
    interpret=False,
) -> Array:
    """As `api.attention`, for what `choose.pallas_tpu_refuses` allows.

    One query a head (decoding) is the same kernel with the heads of a group as its queries: keys and values
    are read once a group, and only up to the last block that is seen.

    Args:
        counters: of `counter_dropout`, where `dropout` is above 0.
        block_q, block_k: multiples of 128; by default those of `kernel_parts.block_sizes`.
        interpret: run the kernels on the CPU: True, or `pltpu.InterpretParams`.
    """
    mask = Mask.full() if mask is None else mask
    if q_BLNE.shape[1] == 1 and q_BLNE.shape[2] > k_BSGE.shape[2] and not dropout:
        return _one_query(q_BLNE, k_BSGE, v_BSGE, mask, scale, block_k=block_k, interpret=interpret)
    batch, queries, heads, width = q_BLNE.shape
    keys, groups = k_BSGE.shape[1:3]
    sizes = block_sizes(mask.kind, queries, keys, width, q_BLNE.dtype)
    sizes = Sizes(block_q or sizes.block_q, block_k or sizes.block_k, queries, keys)
    padded = mask.lengths_B is not None or keys % sizes.block_k != 0
    static = Static(mask.kind, padded, sizes, heads // groups, scale, dropout, batch, interpret)
    q_BNLE, k_BGSE, v_BGSE = (
        _pad(jnp.swapaxes(x, 1, 2), block, axis=2)
        for x, block in ((q_BLNE, sizes.block_q), (k_BSGE, sizes.block_k), (v_BSGE, sizes.block_k))
    )
    if dropout:
        v_BGSE = v_BGSE * (1.0 / (1.0 - dropout))
    segments = None
    if mask.q_segment_BL is not None:
        segments = (mask.q_segment_BL, mask.k_segment_BS)
    numbers = pack_numbers(_limits(mask, batch, keys), counters if dropout else None)
    out_BNLE = _attend(static, q_BNLE, k_BGSE, v_BGSE, _limits(mask, batch, keys), numbers, segments)
    return jnp.swapaxes(out_BNLE[:, :, :queries], 1, 2)


def _one_query(q_B1NE: Array, k_BSGE: Array, v_BSGE: Array, mask: Mask, scale: float, **options) -> Array:
    """The heads of a group as so many queries that see the same."""
    batch, _, heads, width = q_B1NE.shape
    keys, groups = k_BSGE.shape[1:3]
    prefix_B, length_B, offset_B = _limits(mask, batch, keys)
    if mask.kind != "full":
        length_B = jnp.minimum(length_B, jnp.maximum(offset_B + 1, prefix_B))
    segment_BL = mask.q_segment_BL
    if segment_BL is not None:
        segment_BL = jnp.repeat(segment_BL, heads // groups, axis=1)
    mask = Mask.full(lengths_B=length_B, q_segment_BL=segment_BL, k_segment_BS=mask.k_segment_BS)
    q_BRGE = jnp.swapaxes(q_B1NE.reshape(batch, groups, heads // groups, width), 1, 2)
    out_BRGE = pallas_tpu(q_BRGE, k_BSGE, v_BSGE, mask, scale, **options)
    return jnp.swapaxes(out_BRGE, 1, 2).reshape(q_B1NE.shape)


def _limits(mask: Mask, batch: int, keys: int) -> Limits:
    def whole_B(x: Array | None, default: int) -> Array:
        return jnp.broadcast_to(jnp.asarray(default if x is None else x, jnp.int32), (batch,))

    length_B = jnp.minimum(whole_B(mask.lengths_B, keys), keys)
    return Limits(whole_B(mask.prefix_B, 0), length_B, whole_B(mask.query_offset, 0))


def _pad(x: Array, block: int, axis: int) -> Array:
    spare = -x.shape[axis] % block
    return jnp.pad(x, [(0, spare if place == axis else 0) for place in range(x.ndim)]) if spare else x


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(static: Static, q_BNLE, k_BGSE, v_BGSE, limits: Limits, numbers, segments) -> Array:
    return _forward(static, q_BNLE, k_BGSE, v_BGSE, limits, numbers, segments)[0]


def _forward(static: Static, q_BNLE, k_BGSE, v_BGSE, limits: Limits, numbers, segments):
    needed_BQK = blocks.needed(static.kind, static.sizes, limits, *(segments or (None, None)))
    table = blocks.plan(needed_BQK, listed=segments is not None)
    rows = _segment_rows(static, segments)
    out_BNLE, log_sum_BN1L = forward(static, table, numbers, q_BNLE, k_BGSE, v_BGSE, rows)
    return out_BNLE, (q_BNLE, k_BGSE, v_BGSE, limits, numbers, segments, out_BNLE, log_sum_BN1L)


def _backward(static: Static, residuals, d_out_BNLE):
    q_BNLE, k_BGSE, v_BGSE, limits, numbers, segments, out_BNLE, log_sum_BN1L = residuals
    product_BNLE = d_out_BNLE.astype(jnp.float32) * out_BNLE.astype(jnp.float32)
    mean_BN1L = jnp.sum(product_BNLE, axis=-1)[:, :, None]
    arrays = (q_BNLE, k_BGSE, v_BGSE, d_out_BNLE, log_sum_BN1L, mean_BN1L)
    needed_BQK = blocks.needed(static.kind, static.sizes, limits, *(segments or (None, None)))
    listed, rows = segments is not None, _segment_rows(static, segments)
    d_q = backward_queries(static, blocks.plan(needed_BQK, listed), numbers, arrays, rows)
    by_key_BKQ = jnp.swapaxes(needed_BQK, 1, 2)
    d_k, d_v = backward_keys(static, blocks.plan(by_key_BKQ, listed), numbers, arrays, rows)
    return d_q, d_k, d_v, None, None, None


_attend.defvjp(_forward, _backward)


def _segment_rows(static: Static, segments: tuple[Array, Array] | None) -> tuple[Array, Array] | None:
    """int32 [B, 1, L] and [B, 1, S], padded to whole blocks."""
    if segments is None:
        return None
    sizes = (static.sizes.block_q, static.sizes.block_k)
    return tuple(_pad(x[:, None], block, axis=2) for x, block in zip(segments, sizes, strict=True))

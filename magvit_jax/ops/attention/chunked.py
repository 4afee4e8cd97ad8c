"""Attention in plain XLA with memory linear in the length: blocks of keys, and an online softmax."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention.dropout import keep_mask
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array, PRNGKey

LEAST = float(jnp.finfo(jnp.float32).min)
SCORES = 2**19  # scores of one head and example that exist at a time, about


class Static(NamedTuple):
    """What is fixed when the program is traced: S without padding, keys a block, scale, rate of dropout."""

    keys: int
    block: int
    scale: float
    dropout: float


def chunked(
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | None,
    scale: float,
    dropout: float = 0.0,
    dropout_key: PRNGKey | None = None,
) -> Array:
    """As `api.attention`; forward and backward hold the scores of one block of keys, and keep one number a query.

    The backward pass computes the scores again. Dropout draws its bits block by block, from `dropout_key` folded
    with the number of the block: other bits than those of `xla`.
    """
    batch, queries, heads, width = q_BLNE.shape
    keys, groups = k_BSGE.shape[1:3]
    mask = Mask.full() if mask is None else mask
    block = min(-(-keys // 128) * 128, max(128, min(1024, SCORES // queries // 128 * 128)))
    static = Static(keys, block, scale, dropout)
    q_BGRLE = jnp.moveaxis(q_BLNE.reshape(batch, queries, groups, heads // groups, width), 1, 3)
    spare = -keys % block
    k_BGSE, v_BGSE = (
        jnp.pad(jnp.swapaxes(x, 1, 2), ((0, 0), (0, 0), (0, spare), (0, 0))) for x in (k_BSGE, v_BSGE)
    )
    if spare:
        lengths_B = jnp.full((batch,), keys, jnp.int32)
        if mask.lengths_B is not None:
            lengths_B = jnp.minimum(mask.lengths_B, lengths_B)
        mask = mask.replace(lengths_B=lengths_B)
        if mask.k_segment_BS is not None:
            mask = mask.replace(k_segment_BS=jnp.pad(mask.k_segment_BS, ((0, 0), (0, spare))))
    if dropout > 0.0:
        v_BGSE = v_BGSE * (1.0 / (1.0 - dropout))
    out_BGRLE = _attend(static, q_BGRLE, k_BGSE, v_BGSE, mask, dropout_key)
    return jnp.moveaxis(out_BGRLE, 3, 1).reshape(q_BLNE.shape)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(static: Static, q_BGRLE, k_BGSE, v_BGSE, mask, key) -> Array:
    return _forward(static, q_BGRLE, k_BGSE, v_BGSE, mask, key)[0]


def _forward(static: Static, q_BGRLE, k_BGSE, v_BGSE, mask, key):
    shape = q_BGRLE.shape

    def step(carry, index):
        largest_BGRL1, sum_BGRL1, total_BGRLE = carry
        scores_BGRLS, seen = _scores(static, q_BGRLE, k_BGSE, mask, index)
        new_BGRL1 = jnp.maximum(largest_BGRL1, jnp.max(scores_BGRLS, axis=-1, keepdims=True))
        weights_BGRLS = jnp.exp(scores_BGRLS - new_BGRL1)
        if seen is not None:
            weights_BGRLS = jnp.where(seen, weights_BGRLS, 0.0)
        shrunk_BGRL1 = jnp.exp(largest_BGRL1 - new_BGRL1)
        sum_BGRL1 = sum_BGRL1 * shrunk_BGRL1 + jnp.sum(weights_BGRLS, axis=-1, keepdims=True)
        used_BGRLS = _drop(static, weights_BGRLS, key, index).astype(v_BGSE.dtype)
        v_block = _block(static, v_BGSE, index)
        new_BGRLE = jnp.einsum(
            "bgrls,bgse->bgrle", used_BGRLS, v_block, preferred_element_type=jnp.float32
        )
        return (new_BGRL1, sum_BGRL1, total_BGRLE * shrunk_BGRL1 + new_BGRLE), None

    start = (
        jnp.full((*shape[:-1], 1), LEAST, jnp.float32),
        jnp.zeros((*shape[:-1], 1), jnp.float32),
        jnp.zeros(shape, jnp.float32),
    )
    (largest_BGRL1, sum_BGRL1, total_BGRLE), _ = jax.lax.scan(step, start, jnp.arange(_blocks(static)))
    blind_BGRL1 = sum_BGRL1 == 0.0
    safe_BGRL1 = jnp.where(blind_BGRL1, 1.0, sum_BGRL1)
    out_BGRLE = (total_BGRLE / safe_BGRL1).astype(q_BGRLE.dtype)
    log_sum_BGRL1 = jnp.where(blind_BGRL1, 0.0, largest_BGRL1 + jnp.log(safe_BGRL1))
    return out_BGRLE, (q_BGRLE, k_BGSE, v_BGSE, mask, key, out_BGRLE, log_sum_BGRL1)


def _backward(static: Static, residuals, d_out_BGRLE):
    q_BGRLE, k_BGSE, v_BGSE, mask, key, out_BGRLE, log_sum_BGRL1 = residuals
    dtype = q_BGRLE.dtype
    product_BGRLE = d_out_BGRLE.astype(jnp.float32) * out_BGRLE.astype(jnp.float32)
    mean_BGRL1 = jnp.sum(product_BGRLE, axis=-1, keepdims=True)

    def step(d_q_BGRLE, index):
        scores_BGRLS, seen = _scores(static, q_BGRLE, k_BGSE, mask, index)
        weights_BGRLS = jnp.exp(scores_BGRLS - log_sum_BGRL1)
        if seen is not None:
            weights_BGRLS = jnp.where(seen, weights_BGRLS, 0.0)
        k_block, v_block = _block(static, k_BGSE, index), _block(static, v_BGSE, index)
        used_BGRLS = _drop(static, weights_BGRLS, key, index).astype(dtype)
        d_v_block = jnp.einsum("bgrls,bgrle->bgse", used_BGRLS, d_out_BGRLE)
        d_weights_BGRLS = jnp.einsum(
            "bgrle,bgse->bgrls", d_out_BGRLE, v_block, preferred_element_type=jnp.float32
        )
        d_weights_BGRLS = _drop(static, d_weights_BGRLS, key, index) - mean_BGRL1
        d_scores_BGRLS = (static.scale * weights_BGRLS * d_weights_BGRLS).astype(dtype)
        d_q_BGRLE = d_q_BGRLE + jnp.einsum(
            "bgrls,bgse->bgrle", d_scores_BGRLS, k_block, preferred_element_type=jnp.float32
        )
        return d_q_BGRLE, (jnp.einsum("bgrls,bgrle->bgse", d_scores_BGRLS, q_BGRLE), d_v_block)

    start_BGRLE = jnp.zeros(q_BGRLE.shape, jnp.float32)
    d_q_BGRLE, d_blocks = jax.lax.scan(step, start_BGRLE, jnp.arange(_blocks(static)))
    d_k_BGSE, d_v_BGSE = (jnp.moveaxis(x, 0, 2).reshape(k_BGSE.shape) for x in d_blocks)
    return d_q_BGRLE.astype(dtype), d_k_BGSE, d_v_BGSE, None, None


_attend.defvjp(_forward, _backward)


def _blocks(static: Static) -> int:
    return -(-static.keys // static.block)


def _block(static: Static, x_BGSE: Array, index: Array) -> Array:
    return jax.lax.dynamic_slice_in_dim(x_BGSE, index * static.block, static.block, axis=2)


def _scores(static: Static, q_BGRLE, k_BGSE, mask: Mask, index: Array) -> tuple[Array, Array | None]:
    """Scores of a block of keys, hidden ones at the least number there is, and which are seen (None: all)."""
    k_block = _block(static, k_BGSE, index)
    scores = jnp.einsum("bgrle,bgse->bgrls", q_BGRLE, k_block, preferred_element_type=jnp.float32)
    scores_BGRLS = scores * static.scale
    if mask.hides_nothing():
        return scores_BGRLS, None
    first = index * static.block
    if mask.k_segment_BS is not None:
        segment = jax.lax.dynamic_slice_in_dim(mask.k_segment_BS, first, static.block, axis=1)
        mask = mask.replace(k_segment_BS=segment)
    seen = mask.visible(q_BGRLE.shape[3], static.block, first)[:, None, None]
    return jnp.where(seen, scores_BGRLS, LEAST), seen


def _drop(static: Static, weights_BGRLS: Array, key: PRNGKey | None, index: Array) -> Array:
    if static.dropout == 0.0:
        return weights_BGRLS
    kept = keep_mask(jax.random.fold_in(key, index), static.dropout, weights_BGRLS.shape)
    return jnp.where(kept, weights_BGRLS, 0.0)

"""Attention as matmuls over the whole [L, S] table of scores: the fastest on a CPU, and good for decoding."""

from functools import partial

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention.dropout import keep_mask
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array, PRNGKey

LEAST = float(jnp.finfo(jnp.float32).min)  # of a score


def xla(
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | Array | None,
    scale: float,
    dropout: float = 0.0,
    dropout_key: PRNGKey | None = None,
) -> Array:
    """As `api.attention`, with scores and softmax in float32; memory of L x S.

    Made for the CPU, where memory traffic over the [L, S] scores costs more than the matmuls' arithmetic. The
    heads come before the length, because strided matmuls are several times slower. The sum of the softmax
    divides the output and not the scores, and the backward pass is written out to keep it so: one pass less
    over the scores in each direction.

    The queries of a group stand in one row, so keys and values are read once a group and never repeated: for
    one query against a cache, that reads the cache once and writes next to nothing.
    """
    batch, queries, heads, width = q_BLNE.shape
    keys, groups = k_BSGE.shape[1:3]
    rows = (batch, groups, heads // groups * queries)
    q_BNLE, k_BGSE, v_BGSE = (jnp.swapaxes(x, 1, 2) for x in (q_BLNE, k_BSGE, v_BSGE))
    blind = mask is not None
    if isinstance(mask, Mask):
        blind = mask.may_blind()
        mask = None if mask.hides_nothing() else mask.visible(queries, keys)[:, None]
    if mask is not None and groups != heads:
        mask = _grouped(mask, (batch, heads, queries, keys), groups)
    kept = None
    if dropout > 0.0:
        kept = keep_mask(dropout_key, dropout, (batch, heads, queries, keys)).reshape(*rows, keys)
        v_BGSE = v_BGSE * (1.0 / (1.0 - dropout))
    out = _weighted_values(blind, (q_BNLE * scale).reshape(*rows, width), k_BGSE, v_BGSE, mask, kept)
    return jnp.swapaxes(out.reshape(q_BNLE.shape), 1, 2)


def _grouped(mask: Array, shape_BNLS: tuple[int, ...], groups: int) -> Array:
    """[B, N, L, S] -> [B, G, N / G * L, S]: the mask of G groups with N / G times the queries."""
    batch, heads, queries, keys = shape_BNLS
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    if mask.shape[1] > 1:
        mask = jnp.broadcast_to(mask, (mask.shape[0], heads, queries, mask.shape[3]))
        return mask.reshape(mask.shape[0], groups, heads // groups * queries, mask.shape[3])
    return jnp.tile(mask, (1, 1, heads // groups if mask.shape[2] > 1 else 1, 1))


# In what follows N is the number of groups and L counts the queries of all the heads of a group.


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _weighted_values(blind: bool, q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS) -> Array:
    """`blind`: a query may see no key. Where none can, there is nothing to guard against, and no cost."""
    return _forward(blind, q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS)[0]


def _forward(blind: bool, q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS):
    scores_BNLS = jnp.einsum("bnle,bnse->bnls", q_BNLE, k_BNSE, preferred_element_type=jnp.float32)
    if mask is not None:
        scores_BNLS = jnp.where(mask, scores_BNLS, -jnp.inf)
    largest_BNL1 = jnp.max(scores_BNLS, axis=-1, keepdims=True)
    if blind:  # the largest score of a query that sees nothing is -inf
        largest_BNL1 = jnp.maximum(largest_BNL1, LEAST)
    weights_BNLS = jnp.exp(scores_BNLS - largest_BNL1)
    share_BNL1 = 1.0 / jnp.sum(weights_BNLS, axis=-1, keepdims=True)
    if blind:
        share_BNL1 = jnp.where(largest_BNL1 == LEAST, 0.0, share_BNL1)
    weights_BNLS = weights_BNLS.astype(v_BNSE.dtype)
    used_BNLS = _drop(weights_BNLS, kept_BNLS)
    out_BNLE = jnp.einsum("bnls,bnse->bnle", used_BNLS, v_BNSE, preferred_element_type=jnp.float32)
    out_BNLE = (out_BNLE * share_BNL1).astype(v_BNSE.dtype)
    return out_BNLE, (q_BNLE, k_BNSE, v_BNSE, kept_BNLS, weights_BNLS, share_BNL1, out_BNLE)


def _backward(blind: bool, residuals, d_out_BNLE):
    q_BNLE, k_BNSE, v_BNSE, kept_BNLS, weights_BNLS, share_BNL1, out_BNLE = residuals
    dtype = v_BNSE.dtype
    d_out_BNLE = d_out_BNLE.astype(jnp.float32) * share_BNL1
    # sum_s w_s dw_s = out . d_out: a sum over E in place of one over S.
    mean_BNL1 = jnp.sum(d_out_BNLE * out_BNLE.astype(jnp.float32), axis=-1, keepdims=True)
    d_out_BNLE = d_out_BNLE.astype(dtype)
    d_v_BNSE = jnp.einsum("bnls,bnle->bnse", _drop(weights_BNLS, kept_BNLS), d_out_BNLE)
    d_weights_BNLS = jnp.einsum("bnle,bnse->bnls", d_out_BNLE, v_BNSE, preferred_element_type=jnp.float32)
    d_weights_BNLS = _drop(d_weights_BNLS, kept_BNLS) - mean_BNL1
    d_scores_BNLS = (weights_BNLS.astype(jnp.float32) * d_weights_BNLS).astype(dtype)
    d_q_BNLE = jnp.einsum("bnls,bnse->bnle", d_scores_BNLS, k_BNSE)
    d_k_BNSE = jnp.einsum("bnls,bnle->bnse", d_scores_BNLS, q_BNLE)
    return d_q_BNLE, d_k_BNSE, d_v_BNSE, None, None


_weighted_values.defvjp(_forward, _backward)


def _drop(weights_BNLS: Array, kept_BNLS: Array | None) -> Array:
    if kept_BNLS is None:
        return weights_BNLS
    return jnp.where(kept_BNLS, weights_BNLS, jnp.zeros_like(weights_BNLS))

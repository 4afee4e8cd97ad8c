"""Multi-head self-attention: the module with its logical axes, the core that it rests on, and its cache."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.nn.dropout import keep_mask
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype, PRNGKey

HEADED = ("activation_batch", "activation_heads", "activation_length", "activation_kv")


class KeyValues(NamedTuple):
    """Keys and values of the positions that a layer has seen, with room for those to come: S of them."""

    k_BNSE: Array
    v_BNSE: Array

    @classmethod
    def empty(cls, shape_BNSE: tuple[int, ...], dtype: Dtype) -> "KeyValues":
        """Zeros; attention must not see a position before it is written."""
        return cls(jnp.zeros(shape_BNSE, dtype), jnp.zeros(shape_BNSE, dtype))

    def write(self, k_BNLE: Array, v_BNLE: Array, start: Array) -> "KeyValues":
        """With the keys and values of L positions in the places start .. start + L - 1."""
        pairs = zip(self, (k_BNLE, v_BNLE), strict=True)
        written = (jax.lax.dynamic_update_slice_in_dim(old, new, start, axis=2) for old, new in pairs)
        return KeyValues(*(constrain(x_BNSE, *HEADED) for x_BNSE in written))


def attention(
    q_BNLE: Array,
    k_BNSE: Array,
    v_BNSE: Array,
    mask: Array | None = None,
    *,
    dropout: float = 0.0,
    dropout_key: PRNGKey | None = None,
) -> Array:
    """softmax(q k^T / sqrt(E)) v, with scores and softmax in float32.

    Made for the CPU, where memory traffic over the [L, S] scores costs more than the matmuls' arithmetic. The heads
    come before the length, because strided matmuls are several times slower. The sum of the softmax divides the
    output and not the scores, and the backward pass is written out to keep it so: one pass less over the scores in
    each direction.

    Args:
        q_BNLE, k_BNSE, v_BNSE: queries, keys and values, all of one float type.
        mask: bool, broadcastable to [B, N, L, S]; False hides a key from a query. Every query has to see a key.
        dropout: rate at which attention weights are dropped, in [0, 1).
        dropout_key: its randomness; needed where `dropout` is above 0.

    Returns:
        [B, N, L, E] of that type.
    """
    scale = q_BNLE.shape[-1] ** -0.5
    kept_BNLS = None
    if dropout > 0.0:
        shape = (*q_BNLE.shape[:-1], k_BNSE.shape[-2])
        kept_BNLS = keep_mask(dropout_key, dropout, shape)
        v_BNSE = v_BNSE * (1.0 / (1.0 - dropout))
    return _weighted_values(q_BNLE * scale, k_BNSE, v_BNSE, mask, kept_BNLS)


@jax.custom_vjp
def _weighted_values(q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS) -> Array:
    return _forward(q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS)[0]


def _forward(q_BNLE, k_BNSE, v_BNSE, mask, kept_BNLS):
    scores_BNLS = jnp.einsum("bnle,bnse->bnls", q_BNLE, k_BNSE, preferred_element_type=jnp.float32)
    if mask is not None:
        scores_BNLS = jnp.where(mask, scores_BNLS, -jnp.inf)
    weights_BNLS = jnp.exp(scores_BNLS - jnp.max(scores_BNLS, axis=-1, keepdims=True))
    share_BNL1 = 1.0 / jnp.sum(weights_BNLS, axis=-1, keepdims=True)
    weights_BNLS = weights_BNLS.astype(v_BNSE.dtype)
    used_BNLS = _drop(weights_BNLS, kept_BNLS)
    out_BNLE = jnp.einsum("bnls,bnse->bnle", used_BNLS, v_BNSE, preferred_element_type=jnp.float32)
    out_BNLE = (out_BNLE * share_BNL1).astype(v_BNSE.dtype)
    return out_BNLE, (q_BNLE, k_BNSE, v_BNSE, kept_BNLS, weights_BNLS, share_BNL1, out_BNLE)


def _backward(residuals, d_out_BNLE):
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
    return weights_BNLS if kept_BNLS is None else jnp.where(kept_BNLS, weights_BNLS, jnp.zeros_like(weights_BNLS))


class SelfAttention(nn.Module):
    """Multi-head self-attention with one kernel for queries, keys and values, and one for the way back.

    Attributes:
        heads: N; the width must be a multiple of it.
        dropout: rate at which attention weights are dropped; needs the rng "dropout".
        kernel_init: initializer of both kernels; biases start at 0.
        dtype: of the matmuls; parameters are float32.
    """

    heads: int
    dropout: float
    kernel_init: nn.initializers.Initializer
    dtype: Dtype

    @nn.compact
    def __call__(
        self,
        x_BLD: Array,
        mask: Array | None = None,
        cache: KeyValues | None = None,
        start: Array | None = None,
        *,
        deterministic: bool,
    ) -> Array | tuple[Array, KeyValues]:
        """[B, L, D] -> [B, L, D], and the cache where one is given.

        Args:
            mask: as in `attention`; with a cache its last axis is the cache's.
            cache: what the queries see in place of `x_BLD` alone; the keys and values of `x_BLD` are written into it
                at `start`, int32 [], before they look.
        """
        width, heads = x_BLD.shape[-1], self.heads
        shape = (width, 3, heads, width // heads)
        kernel = self.param("qkv_kernel", param(self.kernel_init, "embed", None, "heads", "kv"), shape)
        bias = self.param("qkv_bias", param(nn.initializers.zeros, None, "heads", "kv"), shape[1:])
        q_BNLE, k_BNSE, v_BNSE = (self._project(x_BLD, kernel[:, part], bias[part]) for part in range(3))
        if cache is not None:
            cache = k_BNSE, v_BNSE = cache.write(k_BNSE, v_BNSE, start)
        active = self.dropout > 0.0 and not deterministic
        mixed_BNLE = attention(
            q_BNLE,
            k_BNSE,
            v_BNSE,
            mask,
            dropout=self.dropout if active else 0.0,
            dropout_key=self.make_rng("dropout") if active else None,
        )
        kernel = self.param("out_kernel", param(self.kernel_init, "heads", "kv", "embed"), (*shape[2:], width))
        bias = self.param("out_bias", param(nn.initializers.zeros, "norm"), (width,))
        out_BLD = jnp.einsum("bnle,ned->bld", mixed_BNLE, kernel.astype(self.dtype))
        out_BLD = out_BLD + bias.astype(self.dtype)[None, None]
        out_BLD = constrain(out_BLD, "activation_batch", "activation_length", "activation_embed")
        return out_BLD if cache is None else (out_BLD, cache)

    def _project(self, x_BLD: Array, kernel_DNE: Array, bias_NE: Array) -> Array:
        x_BLNE = jnp.einsum("bld,dne->blne", x_BLD.astype(self.dtype), kernel_DNE.astype(self.dtype))
        x_BLNE = x_BLNE + bias_NE.astype(self.dtype)[None, None]
        return constrain(jnp.swapaxes(x_BLNE, 1, 2), *HEADED)

"""Multi-head self-attention: the module with its logical axes, and its cache, around `ops.attention`."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.nn.sharded_attention import shard_attention
from magvit_jax.ops.attention.api import attention, check, resolve
from magvit_jax.ops.attention.caches import cache_length  # noqa: F401 (for the models)
from magvit_jax.ops.attention.counter_dropout import Counters, counters
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.pallas_tpu import pallas_tpu
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


def attend(
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | Array | None = None,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    dropout_key: PRNGKey | None = None,
    implementation: str | None = None,
) -> Array:
    """`magvit_jax.ops.attention`, also under a mesh: arguments, result and errors are its own.

    XLA splits its own implementations by itself. A Pallas kernel it would run on the whole arrays: those are
    split by `shard_attention` first.
    """
    check(q_BLNE, k_BSGE, v_BSGE, mask, scale, dropout, dropout_key)
    if resolve(q_BLNE, k_BSGE, mask, dropout, implementation) != "pallas_tpu":
        return attention(
            q_BLNE,
            k_BSGE,
            v_BSGE,
            mask,
            scale=scale,
            dropout=dropout,
            dropout_key=dropout_key,
            implementation=implementation,
        )
    batch, _, heads, width = q_BLNE.shape
    scale = width**-0.5 if scale is None else float(scale)
    numbers = counters(dropout_key, batch, heads) if dropout else None

    def kernel(q_BLNE: Array, k_BSGE: Array, v_BSGE: Array, mask: Mask, numbers: Counters | None) -> Array:
        return pallas_tpu(q_BLNE, k_BSGE, v_BSGE, mask, scale, dropout, numbers)

    return shard_attention(kernel, q_BLNE, k_BSGE, v_BSGE, mask, numbers)


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
        mask: Mask | Array | None = None,
        cache: KeyValues | None = None,
        start: Array | None = None,
        *,
        deterministic: bool,
    ) -> Array | tuple[Array, KeyValues]:
        """[B, L, D] -> [B, L, D], and the cache where one is given.

        Args:
            mask: as in `ops.attention`; with a cache, S is the cache's.
            cache: what the queries see in place of `x_BLD` alone; the keys and values of `x_BLD` are written
                into it at `start`, int32 [], before they look.
        """
        width, heads = x_BLD.shape[-1], self.heads
        shape = (width, 3, heads, width // heads)
        kernel = self.param("qkv_kernel", param(self.kernel_init, "embed", None, "heads", "kv"), shape)
        bias = self.param("qkv_bias", param(nn.initializers.zeros, None, "heads", "kv"), shape[1:])
        q_BNLE, k_BNSE, v_BNSE = (self._project(x_BLD, kernel[:, part], bias[part]) for part in range(3))
        if cache is not None:
            cache = k_BNSE, v_BNSE = cache.write(k_BNSE, v_BNSE, start)
        active = self.dropout > 0.0 and not deterministic
        mixed_BLNE = attend(
            *(jnp.swapaxes(x, 1, 2) for x in (q_BNLE, k_BNSE, v_BNSE)),
            mask,
            dropout=self.dropout if active else 0.0,
            dropout_key=self.make_rng("dropout") if active else None,
        )
        kernel = self.param("out_kernel", param(self.kernel_init, "heads", "kv", "embed"), (*shape[2:], width))
        bias = self.param("out_bias", param(nn.initializers.zeros, "norm"), (width,))
        out_BLD = jnp.einsum("blne,ned->bld", mixed_BLNE, kernel.astype(self.dtype))
        out_BLD = out_BLD + bias.astype(self.dtype)[None, None]
        out_BLD = constrain(out_BLD, "activation_batch", "activation_length", "activation_embed")
        return out_BLD if cache is None else (out_BLD, cache)

    def _project(self, x_BLD: Array, kernel_DNE: Array, bias_NE: Array) -> Array:
        x_BLNE = jnp.einsum("bld,dne->blne", x_BLD.astype(self.dtype), kernel_DNE.astype(self.dtype))
        x_BLNE = x_BLNE + bias_NE.astype(self.dtype)[None, None]
        return constrain(jnp.swapaxes(x_BLNE, 1, 2), *HEADED)

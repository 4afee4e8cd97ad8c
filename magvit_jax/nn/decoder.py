"""The layer of a decoder-only language model: RMS norms, rotary positions, grouped queries, a gated MLP, no biases."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.nn.attention import KeyValues, Mask, attend
from magvit_jax.nn.rotary import rotate
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype

EPSILON = 1e-6
STREAM = ("activation_batch", "activation_length", "activation_embed")


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2)) times a learned scale over the last axis, computed in float32 (Zhang and Sennrich 2019).

    Attributes:
        dtype: of the output.
    """

    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., D] -> [..., D]."""
        scale = self.param("scale", param(nn.initializers.ones, "norm"), x.shape[-1:])
        x = x.astype(jnp.float32)
        x = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + EPSILON)
        return (x * jnp.expand_dims(scale, tuple(range(x.ndim - 1)))).astype(self.dtype)


class DecoderLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Attributes:
        heads: N, of the queries.
        kv_heads: G, of keys and values; N is a multiple of it.
        head_width: E, even.
        mlp_dim: F, of silu(x W) * (x V) (Shazeer 2020).
        depth: layers of the model; what goes back into the stream begins smaller by sqrt(2 depth).
        dtype: of the matmuls and the stream; parameters, norms and softmax are float32.
    """

    heads: int
    kv_heads: int
    head_width: int
    mlp_dim: int
    depth: int
    dtype: Dtype

    @nn.compact
    def __call__(
        self,
        x_BLD: Array,
        position_BL: Array,
        mask: Mask,
        cache: KeyValues | None = None,
        start: Array | None = None,
    ) -> tuple[Array, KeyValues | None]:
        """[B, L, D] -> [B, L, D], and the cache with the new keys and values in it, where one is given.

        Args:
            position_BL: int32, where each token stands for the rotation; has nothing to do with the mask's positions.
            mask: what the queries see; with a cache, of its S keys.
            cache: what was seen before; L keys and values are written into it at `start`, int32 [].
        """
        seen_BLD = RMSNorm(self.dtype, name="attention_norm")(x_BLD)
        mixed_BLD, cache = self._attention(seen_BLD, position_BL, mask, cache, start)
        x_BLD = constrain(x_BLD + mixed_BLD, *STREAM)
        x_BLD = x_BLD + self._mlp(RMSNorm(self.dtype, name="mlp_norm")(x_BLD))
        return constrain(x_BLD, *STREAM), cache

    def _attention(self, x_BLD, position_BL, mask, cache, start):
        width = x_BLD.shape[-1]
        q_kernel = self._kernel("q_kernel", ("embed", "heads", "kv"), (width, self.heads, self.head_width), 1)
        kv_shape = (width, 2, self.kv_heads, self.head_width)
        kv_kernel = self._kernel("kv_kernel", ("embed", None, "heads", "kv"), kv_shape, 1)
        q_BLNE = rotate(self._headed(x_BLD, q_kernel), position_BL)
        k_BSGE = rotate(self._headed(x_BLD, kv_kernel[:, 0]), position_BL)
        v_BSGE = self._headed(x_BLD, kv_kernel[:, 1])
        if cache is not None:
            cache = cache.write(jnp.swapaxes(k_BSGE, 1, 2), jnp.swapaxes(v_BSGE, 1, 2), start)
            k_BSGE, v_BSGE = (jnp.swapaxes(x, 1, 2) for x in cache)
        mixed_BLNE = attend(q_BLNE, k_BSGE, v_BSGE, mask)
        kernel = self._kernel("out_kernel", ("heads", "kv", "embed"), (self.heads, self.head_width, width), 2)
        return jnp.einsum("blne,ned->bld", mixed_BLNE, kernel.astype(self.dtype)), cache

    def _headed(self, x_BLD: Array, kernel_DNE: Array) -> Array:
        x_BLNE = jnp.einsum("bld,dne->blne", x_BLD, kernel_DNE.astype(self.dtype))
        return constrain(x_BLNE, "activation_batch", "activation_length", "activation_heads", "activation_kv")

    def _mlp(self, x_BLD: Array) -> Array:
        width = x_BLD.shape[-1]
        kernel_D2F = self._kernel("in_kernel", ("embed", None, "mlp"), (width, 2, self.mlp_dim), 1)
        gate_BLF, value_BLF = (
            jnp.einsum("bld,df->blf", x_BLD, kernel_D2F[:, part].astype(self.dtype)) for part in range(2)
        )
        hidden_BLF = jax.nn.silu(gate_BLF) * value_BLF
        hidden_BLF = constrain(hidden_BLF, "activation_batch", "activation_length", "activation_mlp")
        kernel_FD = self._kernel("mlp_out_kernel", ("mlp", "embed"), (self.mlp_dim, width), 1)
        return jnp.einsum("blf,fd->bld", hidden_BLF, kernel_FD.astype(self.dtype))

    def _kernel(self, name: str, axes: tuple[str | None, ...], shape: tuple[int, ...], inputs: int) -> Array:
        """A parameter of variance 1 / fan-in over its first `inputs` axes; smaller where it ends in the stream."""
        scale = 0.5 / self.depth if axes[-1] == "embed" else 1.0
        init = nn.initializers.variance_scaling(
            scale, "fan_in", "truncated_normal", in_axis=tuple(range(inputs)), out_axis=tuple(range(inputs, len(shape)))
        )
        return self.param(name, param(init, *axes), shape)

"""The transformer layer of BERT, with normalisation after (the thesis) or before each sub-layer.

Shared by the masked transformer and by the tokenizers that attend.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.nn.attention import KeyValues, SelfAttention
from magvit_jax.nn.dropout import Dropout
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype

LAYER_NORM_EPSILON = 1e-12
GELU_SCALE = (2.0 / np.pi) ** 0.5
GELU_CUBIC = 0.044715


@jax.custom_vjp
def gelu(x: Array) -> Array:
    """The tanh approximation of GELU, as x sigmoid(2 u): u = sqrt(2 / pi) (x + 0.044715 x^3).

    The backward pass computes the sigmoid again: with the activations as wide as an MLP's, a CPU reads and
    writes them more slowly than it computes.
    """
    return x * jax.nn.sigmoid(_gelu_argument(x))


def _gelu_argument(x: Array) -> Array:
    return x * (2.0 * GELU_SCALE + 2.0 * GELU_SCALE * GELU_CUBIC * x * x)


def _gelu_backward(x: Array, d_y: Array) -> tuple[Array]:
    gate = jax.nn.sigmoid(_gelu_argument(x))
    slope = 2.0 * GELU_SCALE + 6.0 * GELU_SCALE * GELU_CUBIC * x * x
    return (d_y * (gate + x * gate * (1.0 - gate) * slope),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis with BERT's epsilon, computed in float32.

    Attributes:
        dtype: of the output.
    """

    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., D] -> [..., D]."""
        width, lead = x.shape[-1:], tuple(range(x.ndim - 1))
        scale = self.param("scale", param(nn.initializers.ones, "norm"), width)
        bias = self.param("bias", param(nn.initializers.zeros, "norm"), width)
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        y = x * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
        return (y * jnp.expand_dims(scale, lead) + jnp.expand_dims(bias, lead)).astype(self.dtype)


class Dense(nn.Module):
    """x W + b over the last axis, with logical names for the kernel's two axes.

    Attributes:
        features: output width.
        names: logical names of the kernel's axes.
        kernel_init: initializer of the kernel; the bias starts at 0.
        dtype: of the matmul; parameters are float32.
    """

    features: int
    names: tuple[str | None, str | None]
    kernel_init: nn.initializers.Initializer
    dtype: Dtype

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", param(self.kernel_init, *self.names), (x.shape[-1], self.features))
        bias = self.param("bias", param(nn.initializers.zeros, self.names[1]), (self.features,))
        y = jnp.einsum("...d,df->...f", x.astype(self.dtype), kernel.astype(self.dtype))
        return y + jnp.expand_dims(bias.astype(self.dtype), tuple(range(y.ndim - 1)))


class EncoderLayer(nn.Module):
    """Self-attention and a two-layer MLP with tanh-GELU, each with dropout and a residual connection.

    Attributes:
        heads, mlp_dim: N and F.
        dropout: rate after each sub-layer.
        attention_dropout: rate of the attention weights.
        norm: "post" (BERT, the thesis) or "pre".
        kernel_init: initializer of every kernel.
        dtype: of the matmuls; norms and softmax are float32.
    """

    heads: int
    mlp_dim: int
    dropout: float
    attention_dropout: float
    norm: str
    kernel_init: nn.initializers.Initializer
    dtype: Dtype

    @nn.compact
    def __call__(
        self,
        x_BLD: Array,
        deterministic: bool,
        mask: Mask | Array | None = None,
        cache: KeyValues | None = None,
        start: Array | None = None,
    ) -> Array | tuple[Array, KeyValues]:
        """[B, L, D] -> [B, L, D], and the cache where one is given.

        `mask`, `cache` and `start` as in `nn.attention.SelfAttention`; by default all positions see all.
        """
        attention = SelfAttention(
            heads=self.heads,
            dropout=self.attention_dropout,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="attention",
        )

        def attend(y_BLD: Array) -> Array:
            nonlocal cache
            if cache is None:
                return attention(y_BLD, mask, deterministic=deterministic)
            y_BLD, cache = attention(y_BLD, mask, cache, start, deterministic=deterministic)
            return y_BLD

        x_BLD = self._residual(x_BLD, attend, "attention", deterministic)
        x_BLD = self._residual(x_BLD, self._mlp, "mlp", deterministic)
        return x_BLD if cache is None else (x_BLD, cache)

    def _residual(self, x_BLD: Array, sub_layer, name: str, deterministic: bool) -> Array:
        norm, drop = LayerNorm(self.dtype, name=f"{name}_norm"), Dropout(self.dropout, name=f"{name}_dropout")
        if self.norm == "pre":
            out_BLD = x_BLD + drop(sub_layer(norm(x_BLD)), deterministic=deterministic)
        else:
            out_BLD = norm(x_BLD + drop(sub_layer(x_BLD), deterministic=deterministic))
        return constrain(out_BLD, "activation_batch", "activation_length", "activation_embed")

    def _mlp(self, x_BLD: Array) -> Array:
        def dense(features: int, names: tuple[str, str], name: str) -> Dense:
            return Dense(features, names, self.kernel_init, self.dtype, name=name)

        hidden_BLF = gelu(dense(self.mlp_dim, ("embed", "mlp"), "mlp_in")(x_BLD))
        hidden_BLF = constrain(hidden_BLF, "activation_batch", "activation_length", "activation_mlp")
        return dense(x_BLD.shape[-1], ("mlp", "embed"), "mlp_out")(hidden_BLF)

"""The encoder of T5 v1.1 (Raffel et al., 2020; Shazeer, 2020): the text embeddings of VideoPoet (8.2.2).

Against the first T5: a gated MLP, no dropout in pre-training, embeddings that are not shared with the output.
Its attention has no scale, its norm no mean and no bias, and positions enter as one bias per head and bucket
of distances, which all layers share. Inference only.
"""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.nn.transformer import gelu
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype

PIECES = 32128
BUCKETS = 32
MAX_DISTANCE = 128
EPSILON = 1e-6
HEADED = ("activation_batch", "activation_length", "activation_heads", "activation_kv")
KERNEL = nn.initializers.lecun_normal()


class T5Size(NamedTuple):
    """What tells two encoders apart.

    Fields:
      width, mlp_dim: D and F.
      layers, heads: of the encoder.
      head_width: E; heads times it need not be the width.
    """

    width: int
    mlp_dim: int
    layers: int
    heads: int
    head_width: int


T5_SIZES: Mapping[str, T5Size] = {
    "t5_v1_1_small": T5Size(512, 1024, 8, 6, 64),
    "t5_v1_1_base": T5Size(768, 2048, 12, 12, 64),
    "t5_v1_1_large": T5Size(1024, 2816, 24, 16, 64),
    "t5_v1_1_xl": T5Size(2048, 5120, 24, 32, 64),
    "t5_v1_1_xxl": T5Size(4096, 10240, 24, 64, 64),
}


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2)) times a scale: T5's norm, in float32.

    Attributes:
      dtype: of the output.
    """

    dtype: Dtype

    @nn.compact
    def __call__(self, x_BLD: Array) -> Array:
        """[B, L, D] -> [B, L, D]."""
        scale_D = self.param("scale", param(nn.initializers.ones, "norm"), x_BLD.shape[-1:])
        x_BLD = x_BLD.astype(jnp.float32)
        x_BLD = x_BLD * jax.lax.rsqrt(jnp.mean(jnp.square(x_BLD), axis=-1, keepdims=True) + EPSILON)
        return (x_BLD * scale_D[None, None]).astype(self.dtype)


class T5Attention(nn.Module):
    """Self-attention without a scale, with a bias added to the scores.

    Attributes:
      heads, head_width: N and E.
      dtype: of the matmuls; scores and softmax are float32.
    """

    heads: int
    head_width: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BLD: Array, bias_BNLS: Array) -> Array:
        """[B, L, D] -> [B, L, D]; `bias_BNLS` is float32 and broadcasts to [B, N, L, L]."""
        shape_DNE = (x_BLD.shape[-1], self.heads, self.head_width)

        def project(name: str) -> Array:
            kernel_DNE = self.param(name, param(KERNEL, "embed", "heads", "kv"), shape_DNE)
            x_BLNE = jnp.einsum("bld,dne->blne", x_BLD, kernel_DNE.astype(self.dtype))
            return constrain(x_BLNE, *HEADED)

        q_BLNE, k_BSNE, v_BSNE = project("query"), project("key"), project("value")
        scores_BNLS = jnp.einsum("blne,bsne->bnls", q_BLNE, k_BSNE, preferred_element_type=jnp.float32)
        weights_BNLS = jax.nn.softmax(scores_BNLS + jnp.broadcast_to(bias_BNLS, scores_BNLS.shape), axis=-1)
        mixed_BLNE = jnp.einsum("bnls,bsne->blne", weights_BNLS.astype(self.dtype), v_BSNE)
        shape_NED = (self.heads, self.head_width, x_BLD.shape[-1])
        kernel_NED = self.param("out", param(KERNEL, "heads", "kv", "embed"), shape_NED)
        return jnp.einsum("blne,ned->bld", mixed_BLNE, kernel_NED.astype(self.dtype))


class GatedMlp(nn.Module):
    """(gelu(x W_gate) * x W_in) W_out, with the tanh approximation of GELU and without biases.

    Attributes:
      mlp_dim: F.
      dtype: of the matmuls.
    """

    mlp_dim: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BLD: Array) -> Array:
        """[B, L, D] -> [B, L, D]."""
        width = x_BLD.shape[-1]

        def project(x_BLX: Array, name: str, features: int, names: tuple[str, str]) -> Array:
            kernel = self.param(name, param(KERNEL, *names), (x_BLX.shape[-1], features))
            return jnp.einsum("blx,xf->blf", x_BLX, kernel.astype(self.dtype))

        gate_BLF = gelu(project(x_BLD, "gate", self.mlp_dim, ("embed", "mlp")))
        hidden_BLF = gate_BLF * project(x_BLD, "in", self.mlp_dim, ("embed", "mlp"))
        hidden_BLF = constrain(hidden_BLF, "activation_batch", "activation_length", "activation_mlp")
        return project(hidden_BLF, "out", width, ("mlp", "embed"))


class T5Encoder(nn.Module):
    """Ids to embeddings.

    Attributes:
      size: see `T5Size` and `T5_SIZES`.
      vocabulary: rows of the embedding, `PIECES` of all released ones.
      dtype: of the matmuls; the residual stream is float32, since its values grow beyond float16's range.
    """

    size: T5Size
    vocabulary: int
    dtype: Dtype

    @nn.compact
    def __call__(self, ids_BL: Array, mask_BL: Array) -> Array:
        """Embeddings float32 [B, L, D].

        Args:
          ids_BL: int32, see `T5Tokenizer`.
          mask_BL: bool, which of them are text; nobody sees what is not, and its embedding means nothing.

        Raises:
          UserError: shapes or types that do not fit.
        """
        _check(ids_BL, mask_BL)
        size = self.size
        table_VD = self.param(
            "embedding", param(nn.initializers.normal(1.0), "vocab", "embed"), (self.vocabulary, size.width)
        )
        x_BLD = table_VD.astype(jnp.float32)[ids_BL]
        bias_BNLS = self._bias(mask_BL)
        for layer in range(size.layers):
            attention = T5Attention(size.heads, size.head_width, self.dtype, name=f"layer{layer}_attention")
            normed_BLD = RMSNorm(self.dtype, name=f"layer{layer}_attention_norm")(x_BLD)
            x_BLD = x_BLD + attention(normed_BLD, bias_BNLS).astype(jnp.float32)
            mlp = GatedMlp(size.mlp_dim, self.dtype, name=f"layer{layer}_mlp")
            normed_BLD = RMSNorm(self.dtype, name=f"layer{layer}_mlp_norm")(x_BLD)
            x_BLD = x_BLD + mlp(normed_BLD).astype(jnp.float32)
            x_BLD = constrain(x_BLD, "activation_batch", "activation_length", "activation_embed")
        return RMSNorm(jnp.float32, name="final_norm")(x_BLD)

    def _bias(self, mask_BL: Array) -> Array:
        """What is added to the scores, float32 [B, N, L, L]: by distance; the lowest number for padding."""
        length, heads = mask_BL.shape[1], self.size.heads
        init = param(nn.initializers.normal(1.0), None, "heads")
        table_RN = self.param("distance_bias", init, (BUCKETS, heads))
        bias_1NLS = jnp.moveaxis(table_RN.astype(jnp.float32)[distance_buckets(length)], 2, 0)[None]
        shape_BNLS = (mask_BL.shape[0], heads, length, length)
        seen_BNLS = jnp.broadcast_to(mask_BL[:, None, None, :], shape_BNLS)
        return jnp.where(seen_BNLS, jnp.broadcast_to(bias_1NLS, shape_BNLS), jnp.finfo(jnp.float32).min)


@functools.lru_cache(maxsize=16)
def distance_buckets(length: int) -> np.ndarray:
    """int32 [L, L]: the bucket of a key's distance from a query, [query, key].

    Half of the 32 buckets are for keys up to the query, half for those after it. Of the 16 of a side, the
    first 8 are one distance each; the others grow by a constant factor up to a distance of 128, and the last
    takes all beyond.
    """
    distance_LL = np.arange(length, dtype=np.int32)[None] - np.arange(length, dtype=np.int32)[:, None]
    side, exact = BUCKETS // 2, BUCKETS // 4
    far_LL = np.abs(distance_LL)
    growth = np.log(np.maximum(far_LL, 1).astype(np.float32) / np.float32(exact))
    # float32 as in the network's first implementation: it decides on which side of a border a distance falls.
    growth = growth / np.float32(math.log(MAX_DISTANCE / exact)) * np.float32(side - exact)
    wide_LL = exact + growth.astype(np.int32)
    bucket_LL = np.where(far_LL < exact, far_LL, np.minimum(wide_LL, side - 1))
    return (bucket_LL + np.where(distance_LL > 0, side, 0)).astype(np.int32)


def _check(ids_BL: Array, mask_BL: Array) -> None:
    if ids_BL.ndim != 2 or not jnp.issubdtype(ids_BL.dtype, jnp.integer):
        raise UserError(f"T5 of ids {ids_BL.dtype} {ids_BL.shape}: expected integers [B, L]")
    if mask_BL.shape != ids_BL.shape or mask_BL.dtype != jnp.bool_:
        raise UserError(f"T5 of a mask {mask_BL.dtype} {mask_BL.shape}: expected bool {ids_BL.shape}")

"""Token embedding with factorised codes, tied to the output head (thesis 5.3.2, 6.4)."""

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens import factorize
from magvit_jax.typing import Array, Dtype


class TiedEmbedding(nn.Module):
    """Rows for visual codes, summed over factors, and rows for all other ids; code rows are also the output
    head.

    Attributes:
        codes: K; ids below it are visual codes. A power of two where factors > 1.
        num_special: number of other ids, which follow the codes.
        factors: F; each code is embedded as the sum of F rows of tables of V = K**(1/F) rows.
        width: D.
        embedding_init: initializer of every row.
        dtype: of the output of `embed` and of the matmul in `attend`.
    """

    codes: int
    num_special: int
    factors: int
    width: int
    embedding_init: nn.initializers.Initializer
    dtype: Dtype

    def setup(self):
        self.sub_codes = factorize.sub_codes(self.codes, self.factors)
        rows = param(self.embedding_init, None, "vocab", "embed")
        self.code_rows = self.param("code_embedding", rows, (self.factors, self.sub_codes, self.width))
        special = param(self.embedding_init, "vocab", "embed")
        self.special_rows = self.param("special_embedding", special, (self.num_special, self.width))
        bias = param(nn.initializers.zeros, None, "vocab")
        self.bias = self.param("bias", bias, (self.factors, self.sub_codes))

    def embed(self, ids_BL: Array) -> Array:
        """int [B, L] -> [B, L, D]."""
        is_code_BL = ids_BL < self.codes
        code_BL = jnp.where(is_code_BL, ids_BL, 0)
        code_BLF = self.split(code_BL)
        x_BLD = sum(self.code_rows[factor][code_BLF[..., factor]] for factor in range(self.factors))
        special_BLD = self.special_rows[jnp.where(is_code_BL, 0, ids_BL - self.codes)]
        x_BLD = jnp.where(is_code_BL[..., None], x_BLD, special_BLD)
        x_BLD = x_BLD.astype(self.dtype)
        return constrain(x_BLD, "activation_batch", "activation_length", "activation_embed")

    def attend(self, x_BND: Array) -> Array:
        """[B, N, D] -> float32 logits [B, N, F, V] of each factor's sub-id."""
        logits_BNFV = tied_logits((self.code_rows, self.bias), x_BND, self.dtype)
        return constrain(logits_BNFV, "activation_batch", "activation_length", None, "activation_vocab")

    def head(self) -> tuple[Array, Array]:
        """What `tied_logits` needs: rows [F, V, D] and biases [F, V], whole but for the vocabulary's axis."""
        rows_FVD = constrain(self.code_rows, None, "activation_vocab", "activation_embed")
        return rows_FVD, constrain(self.bias, None, "activation_vocab")

    def split(self, code_BL: Array) -> Array:
        """Sub-ids of codes, int32 [..., F]."""
        if self.factors == 1:
            return code_BL.astype(jnp.int32)[..., None]
        return factorize.split(code_BL, self.factors, factorize.bits_of(self.codes))


def tied_logits(head: tuple[Array, Array], x: Array, dtype: Dtype) -> Array:
    """[..., D] -> float32 logits [..., F, V] of each factor's sub-id; a matmul in `dtype`.

    Args:
        head: rows [F, V, D] and biases [F, V].
    """
    rows_FVD, bias_FV = head
    logits = jnp.einsum("...d,fvd->...fv", x.astype(dtype), rows_FVD.astype(dtype), preferred_element_type=jnp.float32)
    return logits + jnp.expand_dims(bias_FV, tuple(range(x.ndim - 1)))

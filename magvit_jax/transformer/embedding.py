"""Token embedding with factorised codes, tied to the output head (thesis 5.3.2, 6.4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens import factorize
from magvit_jax.typing import Array, Dtype


class TiedEmbedding(nn.Module):
    """Rows for visual codes, summed over factors, and rows for all other ids; code rows are also the output
    head.

    Attributes:
        codes: K; ids below it are visual codes. A power of two where factors > 1.
        num_special: number of other ids, which follow the codes; 0 for none.
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
        if self.num_special:
            special = param(self.embedding_init, "vocab", "embed")
            self.special_rows = self.param("special_embedding", special, (self.num_special, self.width))
        bias = param(nn.initializers.zeros, None, "vocab")
        self.bias = self.param("bias", bias, (self.factors, self.sub_codes))

    def embed(self, ids_BL: Array) -> Array:
        """int [B, L] -> [B, L, D]."""
        x_BLD = sum(rows[self._sub_ids(ids_BL)[..., f]] for f, rows in enumerate(self.code_rows))
        special_BLD = self.special_rows[self._special_ids(ids_BL)] if self.num_special else None
        return self._mixed(x_BLD, special_BLD, ids_BL)

    def embed_shared(self, ids_BL: Array, parts: TokenParts) -> tuple[Array, tuple[Array, Array]]:
        """`embed`, and the head of `tied_logits` in a copy [S, ...] for each part of the batch, for training on a mesh.

        Embedding and head then share one copy a device, fetched once, and one gradient of it, summed once. Without it
        the partitioner looks the ids of the whole batch up in every device's columns.
        """
        rows_SFVD, bias_SFV = jax.tree.map(parts.copies, self.head())
        batch, length = ids_BL.shape
        padded = length + -length % parts.length_parts
        ids_ST = parts.split(jnp.pad(ids_BL, ((0, 0), (0, padded - length))))
        x_STD, rows_SFVD = look_up(rows_SFVD, self._sub_ids(ids_ST))
        x_BLD, special_BLD = parts.join(x_STD, batch, padded)[:, :length], None
        if self.num_special:
            special_SVD = parts.copies(constrain(self.special_rows, None, "activation_embed"))
            special_STD = jax.vmap(lambda rows_VD, ids_T: rows_VD[ids_T])(special_SVD, self._special_ids(ids_ST))
            special_BLD = parts.join(special_STD, batch, padded)[:, :length]
        return self._mixed(x_BLD, special_BLD, ids_BL), (rows_SFVD, bias_SFV)

    def _sub_ids(self, ids: Array) -> Array:
        return self.split(jnp.where(ids < self.codes, ids, 0))

    def _special_ids(self, ids: Array) -> Array:
        return jnp.where(ids < self.codes, 0, ids - self.codes)

    def _mixed(self, x_BLD: Array, special_BLD: Array | None, ids_BL: Array) -> Array:
        if special_BLD is not None:
            x_BLD = jnp.where((ids_BL < self.codes)[..., None], x_BLD, special_BLD)
        return constrain(x_BLD.astype(self.dtype), "activation_batch", "activation_length", "activation_embed")

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


@jax.custom_vjp
def look_up(rows_SFVD: Array, sub_STF: Array) -> tuple[Array, Array]:
    """(the sum over factors of each token's rows, [S, T, D]; `rows_SFVD` for the next who needs it).

    Whoever uses the table after this adds to its gradient first, and this adds to the same array in place: two
    gradients of a table of 2^18 rows, and their sum, would be three of the largest arrays of a step.
    """
    x_STD = jax.vmap(lambda rows_FVD, sub_TF: sum(rows[sub_TF[:, f]] for f, rows in enumerate(rows_FVD)))
    return x_STD(rows_SFVD, sub_STF), rows_SFVD


def _look_up_forward(rows_SFVD, sub_STF):
    return look_up(rows_SFVD, sub_STF), sub_STF


def _look_up_backward(sub_STF, slopes):
    dx_STD, drows_SFVD = slopes

    def add(drows_FVD, dx_TD, sub_TF):
        for factor in range(drows_FVD.shape[0]):
            drows_FVD = drows_FVD.at[factor, sub_TF[:, factor]].add(dx_TD)
        return drows_FVD

    return jax.vmap(add)(drows_SFVD, dx_STD, sub_STF), np.zeros(sub_STF.shape, jax.dtypes.float0)


look_up.defvjp(_look_up_forward, _look_up_backward)

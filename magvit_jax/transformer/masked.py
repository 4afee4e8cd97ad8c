"""The masked video transformer: a BERT over [task][class][visual tokens] (thesis 6.4, Tab. 6.1, 5.3.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.dropout import Dropout
from magvit_jax.nn.transformer import Dense, EncoderLayer, LayerNorm, gelu
from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH
from magvit_jax.transformer.embedding import TiedEmbedding
from magvit_jax.typing import Array, Dtype

INIT = nn.initializers.truncated_normal(stddev=0.02)
NORMS = ("post", "pre")


class MaskedTransformer(nn.Module):
    """Bidirectional transformer that predicts every visual token of a corrupted sequence.

    Attributes:
        codes, num_special: the vocabulary: K visual codes, then all other ids (`Vocabulary.num_special`).
        factors: F factors of equal subspaces for lookup-free codes (thesis 5.3.2); 1 for one head over K.
        width, layers, heads, mlp_dim: as in Tab. 6.1; B 768/12/12/3072, L 1024/24/16/4096, H 1280/32/16/5120.
        max_length: number of learned positions, the prefix included (1,026 in the thesis).
        dropout, attention_dropout: rates on hidden states and on attention weights (0.1 in the thesis).
        norm: "post" as BERT and the thesis, or "pre" (with one more norm before the head).
        dtype: of matmuls and hidden states; parameters, norms, softmax and logits are float32.
        scan_layers: one compiled layer applied `layers` times, its parameters stacked; compiles faster.
        remat: recompute each layer in the backward pass instead of keeping its activations.
    """

    codes: int
    num_special: int
    factors: int
    width: int
    layers: int
    heads: int
    mlp_dim: int
    max_length: int
    dropout: float = 0.1
    attention_dropout: float = 0.1
    norm: str = "post"
    dtype: Dtype = jnp.float32
    scan_layers: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, ids_BL: Array, deterministic: bool = True) -> Array:
        """Logits of the visual tokens.

        Args:
            ids_BL: int ids, the two prefix tokens first.
            deterministic: no dropout; else the rng "dropout" is needed.

        Returns:
            float32 [B, N, F, V], N = L - 2: the prefix is cut off, and special ids are never predicted.
        """
        self._check(ids_BL)
        embedding = TiedEmbedding(
            codes=self.codes,
            num_special=self.num_special,
            factors=self.factors,
            width=self.width,
            embedding_init=INIT,
            dtype=jnp.float32,
            name="embedding",
        )
        position_shape = (self.max_length, self.width)
        positions_LD = self.param("position_embedding", param(INIT, "position", "embed"), position_shape)
        x_BLD = embedding.embed(ids_BL) + positions_LD[None, : ids_BL.shape[1]]
        x_BLD = LayerNorm(self.dtype, name="embedding_norm")(x_BLD)
        x_BLD = Dropout(self.dropout, name="embedding_dropout")(x_BLD, deterministic=deterministic)
        x_BLD = constrain(x_BLD, "activation_batch", "activation_length", "activation_embed")
        x_BLD = self._encode(x_BLD, deterministic)
        x_BND = x_BLD[:, PREFIX_LENGTH:]
        if self.norm == "pre":
            x_BND = LayerNorm(self.dtype, name="final_norm")(x_BND)
        x_BND = Dense(self.width, ("embed", "mlp"), INIT, self.dtype, name="head_dense")(x_BND)
        x_BND = LayerNorm(self.dtype, name="head_norm")(gelu(x_BND))
        return embedding.attend(x_BND)

    def _encode(self, x_BLD: Array, deterministic: bool) -> Array:
        layer = EncoderLayer
        if self.remat:
            policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
            layer = nn.remat(layer, static_argnums=(2,), policy=policy, prevent_cse=not self.scan_layers)
        fields = dict(
            heads=self.heads,
            mlp_dim=self.mlp_dim,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            norm=self.norm,
            kernel_init=INIT,
            dtype=self.dtype,
        )
        if not self.scan_layers:
            for index in range(self.layers):
                x_BLD = layer(**fields, name=f"layer_{index}")(x_BLD, deterministic)
            return x_BLD
        scanned = nn.scan(
            lambda module, x, _: (module(x, deterministic), None),
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.layers,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )
        return scanned(layer(**fields, name="layers"), x_BLD, None)[0]

    def _check(self, ids_BL: Array) -> None:
        if self.norm not in NORMS:
            raise UserError(f"transformer norm {self.norm!r}: expected one of {', '.join(NORMS)}")
        if self.width % self.heads:
            raise UserError(f"transformer width {self.width} is no multiple of its {self.heads} heads")
        if not PREFIX_LENGTH < ids_BL.shape[1] <= self.max_length:
            raise UserError(
                f"sequence of {ids_BL.shape[1]} tokens: expected {PREFIX_LENGTH} prefix tokens, at least one "
                f"visual token, and at most max_length={self.max_length} in all"
            )

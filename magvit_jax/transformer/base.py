"""What the masked and the autoregressive transformer share: embeddings, layers and head (thesis 6.4, Tab. 6.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.attention import KeyValues, Mask
from magvit_jax.nn.dropout import Dropout
from magvit_jax.nn.remat import rematerialised
from magvit_jax.nn.transformer import Dense, EncoderLayer, LayerNorm, gelu
from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens.prefix import Condition
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH
from magvit_jax.transformer.embedding import TiedEmbedding
from magvit_jax.typing import Array, Dtype

INIT = nn.initializers.truncated_normal(stddev=0.02)
NORMS = ("post", "pre")


class TokenTransformer(nn.Module):
    """A transformer over [condition tokens][task][class][visual tokens]; how they see each other is the subclass's.

    Attributes:
        codes, num_special: the vocabulary: K visual codes, then all other ids (`Vocabulary.num_special`).
        factors: F factors of equal subspaces for lookup-free codes (thesis 5.3.2); 1 for one head over K.
        width, layers, heads, mlp_dim: as in Tab. 6.1; B 768/12/12/3072, L 1024/24/16/4096, H 1280/32/16/5120.
        max_length: number of learned positions, the prefix included (1,026 in the thesis).
        condition_length: M, slots of condition tokens before the prefix (`tokens.prefix`); 0 for none. A condition
            token has the position of its place among the visual tokens, plus one learned row that all of them share.
        dropout, attention_dropout: rates on hidden states and on attention weights (0.1 in the thesis).
        norm: "post" as BERT and the thesis, or "pre" (with one more norm before the head).
        dtype: of matmuls and hidden states; parameters, norms, softmax and logits are float32.
        scan_layers: one compiled layer applied `layers` times, its parameters stacked; compiles faster.
        remat: what the backward pass computes again, see `nn.remat`.
    """

    codes: int
    num_special: int
    factors: int
    width: int
    layers: int
    heads: int
    mlp_dim: int
    max_length: int
    condition_length: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    norm: str = "post"
    dtype: Dtype = jnp.float32
    scan_layers: bool = False
    remat: str = "none"

    def _embedding(self) -> TiedEmbedding:
        return TiedEmbedding(
            codes=self.codes,
            num_special=self.num_special,
            factors=self.factors,
            width=self.width,
            embedding_init=INIT,
            dtype=jnp.float32,
            name="embedding",
        )

    def _embed(
        self,
        embedding: TiedEmbedding,
        ids_BL: Array,
        condition: Condition | None,
        deterministic: bool,
        first: Array | int = 0,
    ) -> Array:
        """Ids at the positions `first` .. of [task][class][visual], behind the condition -> [B, M + L, D]."""
        shape = (self.max_length, self.width)
        positions_LD = self.param("position_embedding", param(INIT, "position", "embed"), shape)
        rows_LD = jax.lax.dynamic_slice_in_dim(positions_LD, first, ids_BL.shape[1])
        x_BLD = embedding.embed(ids_BL) + rows_LD[None]
        if self.condition_length:
            row_D = self.param("condition_embedding", param(INIT, "embed"), shape[1:])
            if condition is not None:
                places_BMD = positions_LD[PREFIX_LENGTH + condition.place_BM]
                c_BMD = embedding.embed(condition.ids_BM) + places_BMD + row_D[None, None]
                x_BLD = jnp.concatenate([c_BMD, x_BLD], axis=1)
        x_BLD = LayerNorm(self.dtype, name="embedding_norm")(x_BLD)
        x_BLD = Dropout(self.dropout, name="embedding_dropout")(x_BLD, deterministic=deterministic)
        return constrain(x_BLD, "activation_batch", "activation_length", "activation_embed")

    def _encode(
        self,
        x_BLD: Array,
        deterministic: bool,
        mask: Mask | None = None,
        cache: tuple[KeyValues, ...] | KeyValues | None = None,
        start: Array | None = None,
    ) -> tuple[Array, tuple[KeyValues, ...] | KeyValues | None]:
        """The layers, and their caches: a tuple, or one stacked along its first axis with `scan_layers`."""
        layer = rematerialised(EncoderLayer, self.remat, scanned=self.scan_layers, static_argnums=(2,))
        fields = dict(
            heads=self.heads,
            mlp_dim=self.mlp_dim,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            norm=self.norm,
            kernel_init=INIT,
            dtype=self.dtype,
        )

        def apply(module: EncoderLayer, y_BLD: Array, seen: KeyValues | None):
            out = module(y_BLD, deterministic, mask, seen, start)
            return (out, None) if seen is None else out

        if self.scan_layers:
            scanned = nn.scan(
                apply,
                variable_axes={"params": 0},
                split_rngs={"params": True, "dropout": True},
                length=self.layers,
                metadata_params={nn.PARTITION_NAME: "layers"},
            )
            return scanned(layer(**fields, name="layers"), x_BLD, cache)
        written = []
        for index in range(self.layers):
            module = layer(**fields, name=f"layer_{index}")
            x_BLD, seen = apply(module, x_BLD, None if cache is None else cache[index])
            written.append(seen)
        return x_BLD, None if cache is None else tuple(written)

    def _logits(self, embedding: TiedEmbedding, x_BND: Array) -> Array:
        """float32 [B, N, F, V]: special ids are never predicted."""
        if self.norm == "pre":
            x_BND = LayerNorm(self.dtype, name="final_norm")(x_BND)
        x_BND = Dense(self.width, ("embed", "mlp"), INIT, self.dtype, name="head_dense")(x_BND)
        x_BND = LayerNorm(self.dtype, name="head_norm")(gelu(x_BND))
        return embedding.attend(x_BND)

    def _check(self, ids_BL: Array, condition: Condition | None, fewest: int) -> None:
        """UserError for fields or a sequence that cannot be; `fewest` visual tokens have to be there."""
        if self.norm not in NORMS:
            raise UserError(f"transformer norm {self.norm!r}: expected one of {', '.join(NORMS)}")
        if self.width % self.heads:
            raise UserError(f"transformer width {self.width} is no multiple of its {self.heads} heads")
        if not PREFIX_LENGTH + fewest <= ids_BL.shape[1] <= self.max_length:
            raise UserError(
                f"sequence of {ids_BL.shape[1]} tokens: expected {PREFIX_LENGTH} prefix tokens, at least {fewest} "
                f"visual tokens, and at most max_length={self.max_length} in all"
            )
        slots = 0 if condition is None else condition.ids_BM.shape[1]
        if slots != self.condition_length and not self.is_initializing():
            raise UserError(f"{slots} slots of condition tokens: expected condition_length={self.condition_length}")


def used_segments(condition: Condition, shape_BL: tuple[int, int]) -> Array:
    """int32 [B, L] for `ops.attention.Mask`: 0 at unused slots of the condition, which comes first, and 1 elsewhere.

    What is used sees only what is used. Unused slots see each other, and nobody reads what comes of it.
    """
    segment_BL = jnp.ones(shape_BL, jnp.int32)
    return segment_BL.at[:, : condition.used_BM.shape[1]].set(condition.used_BM.astype(jnp.int32))

"""The decoder-only prefix language model (thesis 8.3.2): everybody sees the prefix, the output is causal."""

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.attention import Mask
from magvit_jax.nn.decoder import RMSNorm
from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens.prefix import Condition
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH
from magvit_jax.transformer.base import INIT, used_segments
from magvit_jax.transformer.cache import Cache
from magvit_jax.transformer.decoder_stack import apply_layers, decoder_layers
from magvit_jax.transformer.embedding import TiedEmbedding
from magvit_jax.typing import Array, Dtype


class PrefixLanguageModel(nn.Module):
    """A decoder over [condition tokens][task][class][visual tokens]; the first three are its prefix.

    The thesis says "decoder-only" and no more: RMS norms, rotary positions, a gated MLP and no biases are this
    library's choice (docs/fidelity.md). Rotary positions, because part of a sequence can be left out or added to
    without another table: a condition token stands at its place among the visual tokens, marked by one learned row.

    Attributes:
        codes, num_special: the vocabulary: K visual codes, then all other ids (`Vocabulary.num_special`).
        factors: F factors that a code is predicted in; 1 for one softmax over all K, as VideoPoet.
        width, layers, heads, kv_heads, head_width, mlp_dim: D, layers, N, G, E, F of `DecoderLayer`.
        max_length: longest sequence, [task][class][visual tokens].
        condition_length: M, slots of condition tokens (`tokens.prefix`); 0 for none.
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
    kv_heads: int
    head_width: int
    mlp_dim: int
    max_length: int
    condition_length: int
    dtype: Dtype
    scan_layers: bool
    remat: str

    def setup(self):
        self.embedding = TiedEmbedding(
            codes=self.codes,
            num_special=self.num_special,
            factors=self.factors,
            width=self.width,
            embedding_init=INIT,
            dtype=self.dtype,
        )
        if self.condition_length:
            self.condition_row = self.param("condition_embedding", param(INIT, "embed"), (self.width,))
        self.stack = decoder_layers(
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_width=self.head_width,
            mlp_dim=self.mlp_dim,
            dtype=self.dtype,
            scan_layers=self.scan_layers,
            remat=self.remat,
        )
        self.final_norm = RMSNorm(self.dtype)

    def __call__(self, ids_BL: Array, deterministic: bool = True, condition: Condition | None = None) -> Array:
        """Logits of the next visual token at every position from the class token on.

        Args:
            ids_BL: int ids: the two prefix tokens and any number of visual tokens after them (teacher forcing).
            deterministic: of no consequence, there is no dropout.
            condition: what stands before the sequence, where the model has slots for it.

        Returns:
            float32 [B, L - 1, F, V]: row i is of visual token i, whose predecessors are in `ids_BL`.
        """
        self._check(ids_BL, condition)
        x_BLD = self.embedding.embed(self._ids(ids_BL, condition))
        return self.logits(self._hidden(x_BLD, ids_BL, condition))

    def hidden(
        self, ids_BL: Array, parts: TokenParts, condition: Condition | None = None
    ) -> tuple[Array, tuple[Array, Array]]:
        """What the logits are made of, [B, L - 1, D], and the head that makes them (`TiedEmbedding.embed_shared`).

        For a loss that never holds the logits of the whole sequence (`transformer.loss.chunked_scores`); arguments as
        of `__call__`.
        """
        self._check(ids_BL, condition)
        x_BLD, head_S = self.embedding.embed_shared(self._ids(ids_BL, condition), parts)
        return self._hidden(x_BLD, ids_BL, condition), head_S

    def _hidden(self, x_BLD: Array, ids_BL: Array, condition: Condition | None) -> Array:
        x_BLD, position_BL = self._place(x_BLD, condition, 0)
        segment_BL = None if condition is None else used_segments(condition, x_BLD.shape[:2])
        mask = self._mask(x_BLD.shape[0], segment_BL, segment_BL)
        x_BLD, _ = self._decode(x_BLD, position_BL, mask, None, None)
        return self.final_norm(x_BLD[:, x_BLD.shape[1] - ids_BL.shape[1] + PREFIX_LENGTH - 1 :])

    def logits(self, x_BND: Array) -> Array:
        """float32 [B, N, F, V]; special ids are never predicted."""
        return self.embedding.attend(x_BND)

    def prefill(
        self, prefix_B2: Array, num_tokens: int, condition: Condition | None = None
    ) -> tuple[Array, Cache]:
        """Logits of the first visual token, float32 [B, F, V], and a cache with room for `num_tokens` of them.

        Args:
            prefix_B2: int ids, [task][class].
            num_tokens: N, how many tokens will be decoded at most.
            condition: as in `__call__`.
        """
        self._check(prefix_B2, condition)
        cache = Cache.empty(
            prefix_B2.shape[0],
            self.condition_length + PREFIX_LENGTH + num_tokens,
            layers=self.layers,
            stacked=self.scan_layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_width=self.head_width,
            dtype=self.dtype,
            condition=condition,
        )
        x_BLD, position_BL = self._place(self.embedding.embed(self._ids(prefix_B2, condition)), condition, 0)
        return self._advance(x_BLD, position_BL, cache)

    def step(self, ids_B: Array, cache: Cache) -> tuple[Array, Cache]:
        """Logits of the visual token after `ids_B`, float32 [B, F, V], and the cache with `ids_B` in it."""
        x_BLD, position_BL = self._place(
            self.embedding.embed(ids_B[:, None]), None, cache.length - self.condition_length
        )
        return self._advance(x_BLD, position_BL, cache)

    def _advance(self, x_BLD: Array, position_BL: Array, cache: Cache) -> tuple[Array, Cache]:
        batch, length = x_BLD.shape[:2]
        here_BL = None
        if cache.segment_BS is not None:
            here_BL = jnp.ones((batch, length), jnp.int32)  # a step's token, which is no condition token
            if length > 1:
                here_BL = cache.segment_BS[:, :length]
        mask = self._mask(batch, here_BL, cache.segment_BS).replace(query_offset=cache.length)
        x_BLD, layers = self._decode(x_BLD, position_BL, mask, cache.layers, cache.length)
        logits_B1FV = self.logits(self.final_norm(x_BLD[:, -1:]))
        return logits_B1FV[:, 0], Cache(layers, cache.segment_BS, cache.length + length)

    def _ids(self, ids_BL: Array, condition: Condition | None) -> Array:
        return ids_BL if condition is None else jnp.concatenate([condition.ids_BM, ids_BL], axis=1)

    def _place(self, x_BLD: Array, condition: Condition | None, first: Array | int) -> tuple[Array, Array]:
        """Embedded ids, behind the condition's the positions `first` .. of [task][class][visual], and all positions."""
        batch, length = x_BLD.shape[:2]
        slots = 0 if condition is None else condition.ids_BM.shape[1]
        position_BL = jnp.broadcast_to((first + jnp.arange(length - slots))[None], (batch, length - slots))
        if condition is not None:
            x_BLD = x_BLD.at[:, :slots].add(self.condition_row.astype(self.dtype)[None, None])
            position_BL = jnp.concatenate([PREFIX_LENGTH + condition.place_BM, position_BL], axis=1)
        return constrain(x_BLD, "activation_batch", "activation_length", "activation_embed"), position_BL

    def _mask(self, batch: int, q_segment_BL: Array | None, k_segment_BS: Array | None) -> Mask:
        prefix_B = jnp.full((batch,), self.condition_length + PREFIX_LENGTH, jnp.int32)
        return Mask.prefix_lm(prefix_B, q_segment_BL=q_segment_BL, k_segment_BS=k_segment_BS)

    def _decode(self, x_BLD, position_BL, mask, caches, start):
        return apply_layers(self.stack, x_BLD, position_BL, mask, caches, start)

    def _check(self, ids_BL: Array, condition: Condition | None) -> None:
        if not PREFIX_LENGTH <= ids_BL.shape[1] <= self.max_length:
            raise UserError(
                f"sequence of {ids_BL.shape[1]} tokens: expected {PREFIX_LENGTH} prefix tokens, and at most "
                f"max_length={self.max_length} in all"
            )
        slots = 0 if condition is None else condition.ids_BM.shape[1]
        if slots != self.condition_length and not self.is_initializing():
            raise UserError(f"{slots} slots of condition tokens: expected condition_length={self.condition_length}")

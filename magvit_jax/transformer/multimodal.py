"""VideoPoet's transformer: a prefix language model over the one vocabulary of all modalities (thesis 8.3.2)."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.attention import HEADED, Mask, cache_length
from magvit_jax.nn.decoder import RMSNorm
from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import constrain, param
from magvit_jax.tokens.videopoet import Sequences
from magvit_jax.transformer.base import INIT
from magvit_jax.transformer.cache import empty_layers
from magvit_jax.transformer.decoder_stack import Caches, apply_layers, decoder_layers
from magvit_jax.transformer.embedding import TiedEmbedding
from magvit_jax.typing import Array, Dtype


class SequenceCache(NamedTuple):
    """What a decoding has seen so far; a pytree of fixed shapes, to be carried through a scan.

    Attributes:
        layers: keys and values of every layer: S positions, those of the prefix first.
        segment_BS: int32, 0 at unused columns of the prefix and 1 elsewhere.
        prefix_B: int32, columns of the prefix.
        position_B: int32, the position of the next id: prefixes of other lengths have others.
        length: int32 [], columns that are filled.
    """

    layers: Caches
    segment_BS: Array
    prefix_B: Array
    position_B: Array
    length: Array


class MultimodalTransformer(nn.Module):
    """A decoder over rows of `tokens.videopoet.Sequences`: prefixes see themselves whole, outputs their past.

    Columns that are unused see nothing and are seen by none; the sequences of a packed row see only themselves. The
    rows of the embedding are also those of the head, over the whole vocabulary. What may come next is the business of
    who asks (`tokens.videopoet.restrict`).

    The thesis says "decoder-only" and no more: RMS norms, rotary positions, a gated MLP, no biases and the tied head
    are this library's choice (docs/fidelity.md). Rotary positions, because a sequence may leave out its text or its
    source, stand anywhere in a packed row, and grow when a video is extended.

    Attributes:
        vocabulary_size: V, ids of the unified vocabulary (`UnifiedVocabulary.size`).
        text_width: width of the text embeddings that are given (2048 of T5 XL), which one linear layer takes to
            the model's; 0 where text is known by its ids alone.
        width, layers, heads, kv_heads, head_width, mlp_dim: D, layers, N, G, E, F of `DecoderLayer`.
        dtype: of matmuls and hidden states; parameters, norms, softmax and logits are float32.
        scan_layers: one compiled layer applied `layers` times, its parameters stacked; compiles faster.
        remat: what the backward pass computes again, see `nn.remat`.
    """

    vocabulary_size: int
    text_width: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    mlp_dim: int
    dtype: Dtype
    scan_layers: bool
    remat: str

    def setup(self):
        self.embedding = TiedEmbedding(
            codes=self.vocabulary_size,
            num_special=0,
            factors=1,
            width=self.width,
            embedding_init=INIT,
            dtype=self.dtype,
        )
        if self.text_width:
            init = nn.initializers.lecun_normal()
            shape = (self.text_width, self.width)
            self.text_kernel = self.param("text_kernel", param(init, None, "embed"), shape)
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

    def __call__(self, sequences: Sequences, text_BTE: Array | None) -> Array:
        """Logits of the id after each column, float32 [B, L, V]; those of an unused column mean nothing.

        Args:
            sequences: rows of L columns.
            text_BTE: float embeddings of the text, E = `text_width`, which stand in the columns that have a
                `text_slot_BL` in place of what their ids say; None where `text_width` is 0.

        Raises:
            UserError: embeddings of another width or batch, missing ones, or some where none are taken.
        """
        x_BLD = self._hidden(self.embedding.embed(sequences.ids_BL), sequences, text_BTE)
        return self._logits(x_BLD)

    def hidden(
        self, sequences: Sequences, text_BTE: Array | None, parts: TokenParts
    ) -> tuple[Array, tuple[Array, Array]]:
        """What the logits are made of, [B, L, D], and the head that makes them (`TiedEmbedding.embed_shared`).

        For a loss that never holds the logits of the whole batch (`transformer.loss.chunked_scores` with
        `transformer.embedding.tied_logits`); arguments as of `__call__`.
        """
        x_BLD, head_S = self.embedding.embed_shared(sequences.ids_BL, parts)
        return self._hidden(x_BLD, sequences, text_BTE), head_S

    def prefill(
        self, prefix: Sequences, text_BTE: Array | None, num_tokens: int
    ) -> tuple[Array, SequenceCache]:
        """Logits of the first id of the output, float32 [B, 1, V], and a cache with room for `num_tokens` ids.

        Args:
            prefix: of `tokens.videopoet.build_prefix`: P columns that end with the last of each prefix.
            text_BTE: as of `__call__`.
            num_tokens: N, how many ids will be decoded at most.
        """
        batch, length = prefix.ids_BL.shape
        shape = dict(
            layers=self.layers,
            stacked=self.scan_layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_width=self.head_width,
            dtype=self.dtype,
        )
        # The prefix looks at itself alone, and not at the room for what follows, which is added behind.
        caches, held = empty_layers(batch, length, **shape)
        segment_BS = jnp.pad(prefix.segment_BL, ((0, 0), (0, held - length)))
        x_BLD = self._with_text(self.embedding.embed(prefix.ids_BL), prefix, text_BTE)
        mask = _mask(prefix.prefix_B, prefix.segment_BL, segment_BS)
        x_BLD, caches = apply_layers(
            self.stack, x_BLD, prefix.position_BL, mask, caches, jnp.zeros((), jnp.int32)
        )
        room = cache_length(length + num_tokens, self.heads, self.kv_heads, self.head_width, self.dtype)
        cache = SequenceCache(
            layers=jax.tree.map(lambda x: _resized(x, length, room), caches),
            segment_BS=jnp.pad(prefix.segment_BL, ((0, 0), (0, room - length)), constant_values=1),
            prefix_B=prefix.prefix_B,
            position_B=prefix.position_BL[:, -1] + 1,
            length=jnp.asarray(length, jnp.int32),
        )
        return self._logits(self.final_norm(x_BLD[:, -1:])), cache

    def step(self, ids_B: Array, cache: SequenceCache) -> tuple[Array, SequenceCache]:
        """Logits of the id after `ids_B`, float32 [B, 1, V], and the cache with `ids_B` in it."""
        here_B1 = jnp.ones((ids_B.shape[0], 1), jnp.int32)
        mask = _mask(cache.prefix_B, here_B1, cache.segment_BS).replace(query_offset=cache.length)
        x_B1D, layers = apply_layers(
            self.stack,
            self.embedding.embed(ids_B[:, None]),
            cache.position_B[:, None],
            mask,
            cache.layers,
            cache.length,
        )
        cache = cache._replace(layers=layers, position_B=cache.position_B + 1, length=cache.length + 1)
        return self._logits(self.final_norm(x_B1D)), cache

    def _hidden(self, x_BLD: Array, sequences: Sequences, text_BTE: Array | None) -> Array:
        x_BLD = self._with_text(x_BLD, sequences, text_BTE)
        mask = _mask(sequences.prefix_B, sequences.segment_BL, sequences.segment_BL)
        x_BLD, _ = apply_layers(self.stack, x_BLD, sequences.position_BL, mask, None, None)
        return self.final_norm(x_BLD)

    def _logits(self, x_BLD: Array) -> Array:
        return self.embedding.attend(x_BLD)[:, :, 0]

    def _with_text(self, x_BLD: Array, sequences: Sequences, text_BTE: Array | None) -> Array:
        """Embedded ids with the given text embeddings in the columns of the text."""
        if self.text_width:
            self._check_text(x_BLD.shape[0], text_BTE)
            kernel_ED = self.text_kernel.astype(self.dtype)
            text_BTD = jnp.einsum("bte,ed->btd", text_BTE.astype(self.dtype), kernel_ED)
            slot_BL = sequences.text_slot_BL
            row_BLD = jax.vmap(lambda text_TD, slot_L: text_TD[slot_L])(text_BTD, jnp.maximum(slot_BL, 0))
            x_BLD = jnp.where((slot_BL >= 0)[..., None], row_BLD, x_BLD)
        elif text_BTE is not None:
            raise UserError(f"text embeddings {text_BTE.shape}: a model of text_width=0 takes none")
        return constrain(x_BLD, "activation_batch", "activation_length", "activation_embed")

    def _check_text(self, batch: int, text_BTE: Array | None) -> None:
        shape = None if text_BTE is None else text_BTE.shape
        if shape is None or len(shape) != 3 or (shape[0], shape[2]) != (batch, self.text_width):
            raise UserError(f"text embeddings {shape}: expected [{batch}, T, {self.text_width}], of text_width")


def _mask(prefix_B: Array, q_segment_BL: Array, k_segment_BS: Array) -> Mask:
    """Of a prefix LM; a query of an unused column has a segment that no key has, so it sees nothing."""
    q_segment_BL = jnp.where(q_segment_BL > 0, q_segment_BL, -1)
    return Mask.prefix_lm(prefix_B, q_segment_BL=q_segment_BL, k_segment_BS=k_segment_BS)


def _resized(x: Array, filled: int, room: int) -> Array:
    """Keys or values [..., S, E] of `filled` positions with room for `room`."""
    x = x[..., :filled, :]
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, room - filled), (0, 0)])
    return constrain(x, *(None,) * (x.ndim - 4), *HEADED)

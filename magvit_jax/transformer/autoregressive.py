"""The autoregressive baseline of Tab. 6.9: the masked transformer's layers with causal attention and a cache."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.nn.attention import Mask
from magvit_jax.tokens.prefix import Condition
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH
from magvit_jax.transformer.base import TokenTransformer, used_segments
from magvit_jax.transformer.cache import Cache
from magvit_jax.typing import Array


class AutoregressiveTransformer(TokenTransformer):
    """Decoder-only transformer over [condition tokens][task][class][visual tokens], of the masked one's parameters.

    A position sees itself and what stands before it; the position of the class token predicts the first visual
    token, and each visual token the one after it. The factors of a code are predicted side by side from one hidden
    state, as in the masked transformer: N steps for N tokens, and the two models differ in their order of decoding
    alone. Given the past, factors are independent then; with one factor, as in Tab. 6.9, that says nothing.

    Fields are those of `TokenTransformer`.
    """

    @nn.compact
    def __call__(
        self,
        ids_BL: Array,
        deterministic: bool = True,
        condition: Condition | None = None,
        cache: Cache | None = None,
    ) -> Array | tuple[Array, Cache]:
        """Logits of the next visual token at every position from the class token on.

        Args:
            ids_BL: int ids: the two prefix tokens and any number of visual tokens after them (teacher forcing). With
                a cache that holds tokens already: the ids after those.
            deterministic: no dropout; else the rng "dropout" is needed.
            condition: what stands before the sequence, where the model has slots for it.
            cache: what was seen before; usually by way of `prefill` and `step`.

        Returns:
            float32 [B, L - 1, F, V]: row i is of visual token i, whose predecessors are in `ids_BL`. With a cache: of
            the token after the last id only, [B, 1, F, V], and the cache with `ids_BL` in it.
        """
        if cache is None:
            self._check(ids_BL, condition, fewest=0)
        start = jnp.zeros((), jnp.int32) if cache is None else cache.length
        first = 0 if condition is not None or cache is None else start - self.condition_length
        embedding = self._embedding()
        x_BLD = self._embed(embedding, ids_BL, condition, deterministic, first)
        if cache is None:
            segment_BL = _segments(condition, x_BLD.shape[:2])
            mask = Mask.causal(q_segment_BL=segment_BL, k_segment_BS=segment_BL)
            x_BLD, _ = self._encode(x_BLD, deterministic, mask)
            return self._logits(embedding, x_BLD[:, self.condition_length + PREFIX_LENGTH - 1 :])
        mask = Mask.causal(query_offset=start)
        if cache.segment_BS is not None:
            here_BL = jax.lax.dynamic_slice_in_dim(cache.segment_BS, start, x_BLD.shape[1], axis=1)
            mask = mask.replace(q_segment_BL=here_BL, k_segment_BS=cache.segment_BS)
        y_BLD, layers = self._encode(x_BLD, deterministic, mask, cache.layers, start)
        return self._logits(embedding, y_BLD[:, -1:]), Cache(layers, cache.segment_BS, start + x_BLD.shape[1])

    def prefill(
        self, prefix_B2: Array, num_tokens: int, condition: Condition | None = None
    ) -> tuple[Array, Cache]:
        """Logits of the first visual token, float32 [B, F, V], and a cache with room for `num_tokens` of them.

        Args:
            prefix_B2: int ids, [task][class].
            num_tokens: N, how many tokens will be decoded at most.
            condition: as in `__call__`.
        """
        self._check(prefix_B2, condition, fewest=0)
        cache = Cache.empty(
            prefix_B2.shape[0],
            self.condition_length + PREFIX_LENGTH + num_tokens,
            layers=self.layers,
            stacked=self.scan_layers,
            heads=self.heads,
            kv_heads=self.heads,
            head_width=self.width // self.heads,
            dtype=self.dtype,
            condition=condition,
        )
        logits_B1FV, cache = self(prefix_B2, condition=condition, cache=cache)
        return logits_B1FV[:, 0], cache

    def step(self, ids_B: Array, cache: Cache) -> tuple[Array, Cache]:
        """Logits of the visual token after `ids_B`, float32 [B, F, V], and the cache with `ids_B` in it."""
        logits_B1FV, cache = self(ids_B[:, None], cache=cache)
        return logits_B1FV[:, 0], cache


def _segments(condition: Condition | None, shape_BL: tuple[int, int]) -> Array | None:
    return None if condition is None else used_segments(condition, shape_BL)

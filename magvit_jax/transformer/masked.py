"""The masked video transformer: a BERT over [task][class][visual tokens] (thesis 6.4, Tab. 6.1, 5.3.2)."""

import flax.linen as nn

from magvit_jax.nn.attention import Mask
from magvit_jax.tokens.prefix import Condition
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH
from magvit_jax.transformer.base import TokenTransformer, used_segments
from magvit_jax.typing import Array


class MaskedTransformer(TokenTransformer):
    """Bidirectional transformer that predicts every visual token of a corrupted sequence; fields of
    `TokenTransformer`."""

    @nn.compact
    def __call__(
        self, ids_BL: Array, deterministic: bool = True, condition: Condition | None = None
    ) -> Array:
        """Logits of the visual tokens.

        Args:
            ids_BL: int ids, the two prefix tokens first.
            deterministic: no dropout; else the rng "dropout" is needed.
            condition: what stands before the sequence, where the model has slots for it.

        Returns:
            float32 [B, N, F, V], N = L - 2: the prefix is cut off, and special ids are never predicted.
        """
        self._check(ids_BL, condition, fewest=1)
        embedding = self._embedding()
        x_BLD = self._embed(embedding, ids_BL, condition, deterministic)
        mask = None
        if condition is not None:
            segment_BL = used_segments(condition, x_BLD.shape[:2])
            mask = Mask.full(q_segment_BL=segment_BL, k_segment_BS=segment_BL)
        x_BLD, _ = self._encode(x_BLD, deterministic, mask)
        return self._logits(embedding, x_BLD[:, self.condition_length + PREFIX_LENGTH :])

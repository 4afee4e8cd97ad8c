"""Texts to embeddings by a frozen T5: what VideoPoet knows of text (thesis 8.3.1)."""

from collections.abc import Iterator, Sequence

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.pretrained.encoders import T5TextEncoder
from magvit_jax.pretrained.networks import FrozenNetwork
from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer


class TextEmbedder:
    """A T5 and its tokenizer.

    Attributes:
      network: a frozen network of `T5_SIZES` with its vocabulary.
      slots: tokens of a text at most, its end mark among them; 64 in 8.4.6.
      batch: texts embedded at once.
    """

    def __init__(self, network: FrozenNetwork, *, slots: int, batch: int):
        """UserError for no slot or batch, or a vocabulary that is none."""
        for name, value in (("slots", slots), ("batch", batch)):
            if value < 1:
                raise UserError(f"{name}: {value}; expected 1 or more")
        self.network, self.slots, self.batch = network, slots, batch
        self._encoder = T5TextEncoder(network, T5Tokenizer(network.vocabulary))

    def require_short(self, texts: Sequence[str]) -> None:
        """UserError naming the first text that is longer than the slots."""
        for text in texts:
            count = int(self._encoder.tokenizer([text], length=_enough(text)).mask_BL.sum())
            if count > self.slots:
                raise UserError(f"{text!r} has {count} tokens with its end mark; expected at most {self.slots}")

    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Of each text float32 [n, E], its n tokens with the end mark. UserError for one that is too long."""
        return list(self.stream(texts))

    def stream(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """As the call, one after the other."""
        self.require_short(texts)
        for start in range(0, len(texts), self.batch):
            x_BLE, mask_BL = self._encoder(texts[start : start + self.batch], length=self.slots)
            yield from (x_LE[mask_L] for x_LE, mask_L in zip(x_BLE, mask_BL, strict=True))


def _enough(text: str) -> int:
    """More ids than a text can have: no piece is shorter than a byte of it."""
    return 2 * len(text.encode()) + 2

"""T5's tokenizer: SentencePiece with the vocabulary `spiece.model`, which travels in the network's bundle."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from magvit_jax.errors import UserError

PAD, END = 0, 1


class TextIds(NamedTuple):
    """Texts for `T5Encoder`.

    Fields:
      ids_BL: int32, padded with 0.
      mask_BL: bool, True where there is text, its end mark included.
    """

    ids_BL: np.ndarray
    mask_BL: np.ndarray


class T5Tokenizer:
    """Text to ids of a T5."""

    def __init__(self, model: bytes):
        """`model`: content of `spiece.model`. UserError where it is something else or sentencepiece is missing."""
        try:
            import sentencepiece
        except ImportError as error:
            raise UserError(
                "T5's tokenizer needs sentencepiece, which is not installed: pip install 'magvit_jax[text]'"
            ) from error
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise UserError(f"spiece.model: {len(model)} bytes that are no SentencePiece model") from error
        if (self._processor.pad_id(), self._processor.eos_id()) != (PAD, END):
            found = f"{self._processor.pad_id()} and {self._processor.eos_id()}"
            raise UserError(f"spiece.model: padding and end are {found}; expected T5's {PAD} and {END}")

    def __call__(self, texts: Sequence[str], *, length: int) -> TextIds:
        """Every text with its end mark, in `length` ids; a longer one loses its end, the mark stays.

        Raises:
          UserError: a length below 1.
        """
        if length < 1:
            raise UserError(f"T5 texts of {length} ids: expected 1 or more")
        ids_BL = np.full((len(texts), length), PAD, np.int32)
        mask_BL = np.zeros((len(texts), length), bool)
        for row, (ids_L, mask_L) in enumerate(zip(ids_BL, mask_BL, strict=True)):
            ids = [*self._processor.encode(texts[row])[: length - 1], END]
            ids_L[: len(ids)], mask_L[: len(ids)] = ids, True
        return TextIds(ids_BL, mask_BL)

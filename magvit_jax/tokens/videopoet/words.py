"""The small text vocabulary of English words (thesis 8.4.6), for models without a pretrained text encoder."""

import collections
import dataclasses
import re
from collections.abc import Iterable

import numpy as np

from magvit_jax.errors import UserError

UNKNOWN = 0  # the id of a word that the vocabulary does not have
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")


def split_words(text: str) -> list[str]:
    """Lower-case words, and signs one by one: "A dog's bone." -> a, dog's, bone, . """
    return _WORD.findall(text.lower())


@dataclasses.dataclass(frozen=True)
class Words:
    """A list of words; word i has id i + 1, and 0 is every other word.

    Attributes:
        words: the words, as `split_words` gives them.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str], size: int) -> "Words":
        """The most frequent words of some texts, `size` ids with the unknown word's; ties by the alphabet."""
        if size < 2:
            raise UserError(f"text vocabulary of {size} ids: expected 2 or more")
        counts = collections.Counter(word for text in texts for word in split_words(text))
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ordered[: size - 1]))

    @property
    def size(self) -> int:
        return len(self.words) + 1

    def unknown(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary, for a message to the user."""
        return [word for word in split_words(text) if word not in set(self.words)]

    def encode(self, texts: Iterable[str], slots: int) -> tuple[np.ndarray, np.ndarray]:
        """Texts -> int32 ids [B, T] of `slots` places, 0 behind the end, and how many are used, int32 [B].

        Raises:
            UserError: a text has more words than there are slots.
        """
        index = {word: number + 1 for number, word in enumerate(self.words)}
        rows = [[index.get(word, UNKNOWN) for word in split_words(text)] for text in texts]
        ids_BT = np.zeros((len(rows), slots), np.int32)
        for ids_T, row in zip(ids_BT, rows, strict=True):
            if len(row) > slots:
                raise UserError(f"prompt of {len(row)} words: expected at most {slots}")
            ids_T[: len(row)] = row
        return ids_BT, np.asarray([len(row) for row in rows], np.int32)

    def decode(self, ids_T: np.ndarray) -> str:
        """Words of ids, with spaces between them; "?" for an unknown one."""
        return " ".join("?" if i == UNKNOWN else self.words[int(i) - 1] for i in ids_T)

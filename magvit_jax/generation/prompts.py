"""Text prompts as a model takes them: ids of a small vocabulary, or embeddings of a frozen text encoder."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import Words

#: One text for all, or one for each example; None is no text.
Prompt = str | Sequence[str | None] | None
#: texts -> of each, float [n, E], n of them used text slots
Embed = Callable[[Sequence[str]], Sequence[np.ndarray]]


class Texts(NamedTuple):
    """Prompts of B examples.

    Attributes:
        count_B: int32, used text slots; 0 without text.
        ids_BT: int32 ids of the text's own vocabulary; None where text is known by its embeddings.
        embedding_BTE: float32, 0 in unused slots; None where text is known by its ids.
    """

    count_B: np.ndarray
    ids_BT: np.ndarray | None
    embedding_BTE: np.ndarray | None


class PromptReader(Protocol):
    """What a model does with prompts.

    Attributes:
        slots: T, text slots of a sequence; 0 for a model without text.
    """

    slots: int

    def read(self, texts: Sequence[str]) -> Texts:
        """Texts, "" for none. UserError for one that is too long, or that the model cannot take."""
        ...

    def unknown(self, text: str) -> list[str]:
        """The words of a text that mean nothing to the model."""
        ...


@dataclasses.dataclass(frozen=True)
class WordPrompts:
    """Prompts in the words of a small vocabulary."""

    words: Words
    slots: int

    def read(self, texts: Sequence[str]) -> Texts:
        """As of `PromptReader`. A text none of whose words is known is an error: it would say nothing."""
        ids_BT, count_B = self.words.encode(texts, self.slots)
        for text, ids_T, count in zip(texts, ids_BT, count_B, strict=True):
            if count and not ids_T.any():
                known = ", ".join(self.words.words[:12])
                raise UserError(f"prompt {text!r}: the model knows none of its words; it knows {known} ...")
        return Texts(count_B, ids_BT, None)

    def unknown(self, text: str) -> list[str]:
        """As of `PromptReader`."""
        return self.words.unknown(text)


@dataclasses.dataclass(frozen=True)
class EmbeddedPrompts:
    """Prompts as embeddings of a frozen text encoder, T5 XL in the paper (8.3.1).

    Attributes:
        embed: the encoder, or a lookup in what was computed before.
        width: E.
    """

    embed: Embed
    width: int
    slots: int

    def read(self, texts: Sequence[str]) -> Texts:
        """As of `PromptReader`."""
        count_B = np.zeros((len(texts),), np.int32)
        embedding_BTE = np.zeros((len(texts), self.slots, self.width), np.float32)
        said = sorted({text for text in texts if text})
        found = dict(zip(said, self.embed(said), strict=True)) if said else {}
        for row, text in enumerate(texts):
            if not text:
                continue
            rows_TE = np.asarray(found[text], np.float32)
            if rows_TE.ndim != 2 or rows_TE.shape[1] != self.width:
                raise UserError(f"prompt {text!r}: embedding {rows_TE.shape}; expected [tokens, {self.width}]")
            if len(rows_TE) > self.slots:
                raise UserError(f"prompt {text!r}: {len(rows_TE)} tokens; expected at most {self.slots}")
            count_B[row] = len(rows_TE)
            embedding_BTE[row, : len(rows_TE)] = rows_TE
        return Texts(count_B, None, embedding_BTE)

    def unknown(self, text: str) -> list[str]:
        """As of `PromptReader`: its pieces say everything."""
        return []


@dataclasses.dataclass(frozen=True)
class NoPrompts:
    """Of a model that was trained without text."""

    slots: int = 0

    def read(self, texts: Sequence[str]) -> Texts:
        """As of `PromptReader`."""
        for text in texts:
            if text:
                raise UserError(f"prompt {text!r}: this model was trained without text; expected none")
        return Texts(np.zeros((len(texts),), np.int32), None, None)

    def unknown(self, text: str) -> list[str]:
        """As of `PromptReader`: a text is an error anyway."""
        return []


def texts_of(prompt: Prompt) -> list[str]:
    """A user's prompts, one or more, "" for none; one of blanks alone is none."""
    texts = [prompt] if prompt is None or isinstance(prompt, str) else prompt
    texts = [text or "" for text in texts] if isinstance(texts, Sequence) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(f"prompt {prompt!r}: expected a text, or a list of texts and None")
    return [text if text.strip() else "" for text in texts]

"""What a config's group `text` does with the texts of the data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ml_collections import ConfigDict

from magvit_jax.data.text_shards import TextShards
from magvit_jax.data.with_text import TextReader
from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import MAX_TEXT, Words

KINDS = ("words", "t5", "none")
MOST_WORDS = 32_000  # of the small vocabulary


@dataclass(frozen=True)
class NoText:
    """Of a model without text."""

    def check(self, texts: Sequence[str]) -> None:
        """See `TextReader`; whatever they are, they are not read."""

    def __call__(self, text: str) -> Mapping[str, np.ndarray]:
        return {}


@dataclass(frozen=True)
class WordIds:
    """Texts as words of a small vocabulary (8.4.6).

    Attributes:
      words: the vocabulary.
      slots: words of a text at most.
    """

    words: Words
    slots: int

    def check(self, texts: Sequence[str]) -> None:
        """See `TextReader`."""
        for text in texts:
            self._encode(text)

    def __call__(self, text: str) -> Mapping[str, np.ndarray]:
        ids_1T, count_1 = self._encode(text)
        return {"text_ids": ids_1T[0], "text_count": np.int32(count_1[0])}

    def _encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        try:
            return self.words.encode([text], self.slots)
        except UserError as error:
            raise UserError(f"text {text!r}: {error} (text.slots)") from error


@dataclass(frozen=True)
class TextEmbeddings:
    """Texts as embeddings that were computed once (8.3.1).

    Attributes:
      shards: where they are.
      slots: tokens of a text at most.
      width: numbers of a token.
    """

    shards: TextShards
    slots: int
    width: int

    def check(self, texts: Sequence[str]) -> None:
        """See `TextReader`."""
        self.shards.require(texts)
        for text in texts:
            if self.shards.count(text) > self.slots:
                raise UserError(
                    f"text {text!r} has {self.shards.count(text)} tokens; expected at most text.slots={self.slots}"
                )

    def __call__(self, text: str) -> Mapping[str, np.ndarray]:
        embedding_XE = np.zeros((self.slots, self.width), np.float32)
        count = 0
        if text:
            found_NE = self.shards[text]
            count = len(found_NE)
            embedding_XE[:count] = found_NE
        return {"text_embedding": embedding_XE, "text_count": np.int32(count)}


def words_of(config: ConfigDict, texts: Iterable[str]) -> Words | None:
    """The vocabulary of a `config.text` of kind "words": its field `words`, or else the words of the data's texts; None
    of another kind.

    Raises:
      UserError: an unknown kind, or texts without a word.
    """
    if config.kind not in KINDS:
        raise UserError(f"text.kind is {config.kind!r}: expected one of {', '.join(KINDS)}")
    if config.kind != "words":
        return None
    words = Words(tuple(config.words)) if config.words else Words.of(texts, MOST_WORDS)
    if not words.words:
        raise UserError("text.kind is 'words', and the data has no text: expected data.captions, or another text.kind")
    return words


def text_reader(config: ConfigDict, words: Words | None) -> TextReader:
    """The reader of a `config.text`: reads kind, slots, t5 (a folder of `magvit embed-text`) and width.

    Args:
      words: as of `words_of`.

    Raises:
      UserError: slots that there cannot be, or embeddings that are missing or of another width.
    """
    if config.kind == "none":
        return NoText()
    if not 1 <= config.slots <= MAX_TEXT:
        raise UserError(f"text.slots is {config.slots}: expected 1 to {MAX_TEXT}")
    if config.kind == "words":
        return WordIds(words, config.slots)
    if not config.t5:
        raise UserError("text.t5 is empty: expected the folder of text embeddings, which `magvit embed-text` makes")
    shards = TextShards(config.t5)
    if shards.facts.get("width") != config.width:
        raise UserError(f"text.width is {config.width}: {config.t5} has embeddings of {shards.facts.get('width')}")
    return TextEmbeddings(shards, config.slots, config.width)

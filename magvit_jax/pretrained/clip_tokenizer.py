"""CLIP's byte-level BPE: English text to ids.

The vocabulary is a list of merges, the file `merges.txt` of the released model; it travels in the network's
bundle.
"""

import functools
import html
import itertools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from magvit_jax.errors import UserError

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"
_MARKS = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|'(?:s|t|re|ve|m|ll|d)")
_RUNS = re.compile("L+|N|O+|S")  # over the classes of characters: letters, one number, others, space
# What ftfy leaves as it is. An ampersand may begin an entity, which it unescapes and then mends.
_PLAIN = re.compile(r"[\t\n\r -%'-~]*")


class ClipTokenizer:
    """Text to ids of a CLIP.

    Attributes:
      start, end: ids of the marks around a text; `end` is the highest id of all.
      context: ids of a text, marks and padding included.
    """

    def __init__(self, merges: bytes, vocabulary: int, context: int):
        """A tokenizer of so many ids, of which a text has `context`.

        Args:
          merges: content of `merges.txt`.

        Raises:
          UserError: `merges` is something else, or has too few lines.
        """
        self._bytes = _byte_symbols()
        pairs = _pairs(merges, vocabulary - 2 * len(self._bytes) - 2)
        self._rank = {pair: rank for rank, pair in enumerate(pairs)}
        symbols = [*self._bytes.values()]
        symbols += [symbol + END_OF_WORD for symbol in symbols]
        symbols += ["".join(pair) for pair in pairs] + [START, END]
        self._id = {symbol: number for number, symbol in enumerate(symbols)}
        self.start, self.end, self.context = self._id[START], self._id[END], context
        self._ids_of_word = functools.lru_cache(maxsize=1 << 16)(self._merge)

    def __call__(self, texts: Sequence[str], *, truncate: bool) -> np.ndarray:
        """int32 [B, context]: the start mark, the text, the end mark, zeros.

        Args:
          truncate: whether a text that is too long loses its end; the end mark stays. Else it is refused.

        Raises:
          UserError: a text that is too long, or whose spelling needs the package ftfy, which is missing.
        """
        ids_BL = np.zeros((len(texts), self.context), np.int32)
        for row, text in zip(ids_BL, texts, strict=True):
            ids = self.encode(text)
            if len(ids) > self.context - 2 and not truncate:
                raise UserError(
                    f"text {text[:60]!r} has {len(ids)} ids: CLIP takes {self.context - 2} at most, or "
                    "truncate=True"
                )
            ids = [self.start, *ids[: self.context - 2], self.end]
            row[: len(ids)] = ids
        return ids_BL

    def encode(self, text: str) -> list[int]:
        """Ids of a text without marks; lower case, white space and broken Unicode made one."""
        text = " ".join(_clean(text).split()).lower()
        return [number for word in _words(text) for number in self._ids_of_word(word)]

    def _merge(self, word: str) -> tuple[int, ...]:
        """Ids of one word: the neighbours of the first rank are joined, everywhere, until none has a rank."""
        if word in (START, END):
            return (self._id[word],)
        symbols = [self._bytes[byte] for byte in word.encode()]
        symbols[-1] += END_OF_WORD
        while ranked := [pair for pair in itertools.pairwise(symbols) if pair in self._rank]:
            symbols = _joined(symbols, min(ranked, key=self._rank.__getitem__))
        return tuple(self._id[symbol] for symbol in symbols)


def _pairs(merges: bytes, count: int) -> list[tuple[str, ...]]:
    """The first `count` pairs of symbols of `merges.txt`, after its line with the version."""
    try:
        pairs = [tuple(line.split()) for line in merges.decode().split("\n")[1 : count + 1]]
    except UnicodeDecodeError as error:
        raise UserError(f"merges.txt: no UTF-8; expected {count} merges of CLIP's vocabulary") from error
    fit = next((number for number, pair in enumerate(pairs) if len(pair) != 2), len(pairs))
    if fit < count:
        raise UserError(f"merges.txt: {fit} lines of two symbols after the first; expected {count} or more")
    return pairs


def _joined(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """The symbols with every occurrence of a pair made one, from the left."""
    out: list[str] = []
    at = 0
    while at < len(symbols):
        step = 2 if tuple(symbols[at : at + 2]) == pair else 1
        out.append("".join(symbols[at : at + step]))
        at += step
    return out


def _byte_symbols() -> dict[int, str]:
    """A visible character for each byte: itself where it is one in Latin-1, else the next after 255."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(visible)]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + at) for at, byte in enumerate(hidden)}


def _words(text: str) -> list[str]:
    """Runs of letters, single numerals, runs of other characters; English endings after an apostrophe."""
    classes = "".join(map(_character_class, text))
    words, at = [], 0
    while at < len(text):
        end = (_MARKS.match(text, at) or _RUNS.match(classes, at)).end()
        if classes[at] != "S":
            words.append(text[at:end])
        at = end
    return words


@functools.lru_cache(maxsize=4096)
def _character_class(character: str) -> str:
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "S" if character.isspace() else "O"


def _clean(text: str) -> str:
    """Broken Unicode mended, as CLIP's authors do with ftfy; then HTML entities replaced, twice like them."""
    if not _PLAIN.fullmatch(text):
        try:
            import ftfy
        except ImportError as error:
            raise UserError(
                f"text {text[:60]!r} is more than plain ASCII: CLIP needs ftfy for it: "
                "pip install 'magvit_jax[text]'"
            ) from error
        text = ftfy.fix_text(text)
    return html.unescape(html.unescape(text))

"""Reads a sequence of ids without knowing its layout, by the grammar of Fig. 8.2."""

from typing import NamedTuple

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.vocabulary import FAMILIES, SPECIAL, UnifiedVocabulary

_OPENING = {"bov_i": ("visual", "eov_i"), "boa_i": ("audio", "ea_i"), "bov_o": ("visual", "eov_o")}
_OPENING |= {"boa_o": ("audio", "ea_o")}
_NAMES = {index: name for name, index in SPECIAL.items()}


class Parsed(NamedTuple):
    """What a sequence says.

    Attributes:
        prompt: its task prompt, one of `vocabulary.PROMPTS`.
        text: int32 ids of the text's own vocabulary, -1 for <text>.
        inputs, outputs: ("visual" or "audio", codes) in their order: visual codes in one row, -1 for <mask>;
            audio codes [f, Q].
        source: name of the source, None where unknown.
        resolution, duration: (height, width) and frames that are asked for, those that are meant where none
            is named.
        ended: whether <eos> is there; an image has none.
    """

    prompt: str
    text: np.ndarray
    inputs: list[tuple[str, np.ndarray]]
    outputs: list[tuple[str, np.ndarray]]
    source: str | None
    resolution: tuple[int, int]
    duration: int
    ended: bool


def parse(ids_L: np.ndarray, vocabulary: UnifiedVocabulary) -> Parsed:
    """Takes one sequence apart; unused columns have to be left out (`ids_BL[i][segment_BL[i] > 0]`).

    Raises:
        UserError: the first place that does not fit, what is there and what was expected.
    """
    return _Reader(np.asarray(ids_L), vocabulary).read()


class _Reader:
    def __init__(self, ids_L: np.ndarray, vocabulary: UnifiedVocabulary):
        self.ids, self.vocabulary, self.at = ids_L, vocabulary, 0

    def read(self) -> Parsed:
        self.take("bos")
        prompt = self.member("task")
        if prompt is None:
            self.fail("a <task>")
        text = np.zeros(0, np.int32)
        if self.name() == "bot_i":
            self.at += 1
            text = self.text()
            self.take("eot_i")
        inputs = self.blocks(("bov_i", "boa_i"))
        source, resolution, duration = map(self.member, ("source", "resolution", "duration"))
        outputs = self.blocks(("bov_o", "boa_o"))
        if not outputs:
            self.fail("<bov_o> or <boa_o>")
        ended = self.name() == "eos"
        self.at += ended
        if self.at < len(self.ids):
            self.fail("the end of the sequence")
        if not ended and not self.open:
            self.fail("<eos>")
        resolution = resolution or self.vocabulary.resolutions[0]
        duration = duration or self.vocabulary.durations[0]
        return Parsed(prompt, text, inputs, outputs, source, resolution, duration, ended)

    def blocks(self, names: tuple[str, ...]) -> list[tuple[str, np.ndarray]]:
        found = []
        while (name := self.name()) in names:
            self.at += 1
            kind, end = _OPENING[name]
            found.append((kind, self.visual() if kind == "visual" else self.audio()))
            # An image goes on until its sequence is over.
            self.open = name == "bov_o" and self.at == len(self.ids)
            if not self.open:
                self.take(end)
        return found

    def visual(self) -> np.ndarray:
        first, end = self.vocabulary.visual_range
        ids = self.run(lambda ids: ((ids >= first) & (ids < end)) | (ids == SPECIAL["mask"]), "a visual id")
        return np.where(ids == SPECIAL["mask"], -1, ids - first).astype(np.int32)

    def text(self) -> np.ndarray:
        first, end = self.vocabulary.text_range
        ids = self.run(lambda ids: ((ids >= first) & (ids < end)) | (ids == SPECIAL["text"]), "a text id")
        return np.where(ids == SPECIAL["text"], -1, ids - first).astype(np.int32)

    def audio(self) -> np.ndarray:
        vocabulary, start = self.vocabulary, self.at
        first, end = vocabulary.audio_start, vocabulary.text_start
        ids = self.run(lambda ids: (ids >= first) & (ids < end), "an audio id")
        level, code = np.divmod(ids - first, vocabulary.audio_codes)
        if len(ids) % vocabulary.audio_levels:
            self.fail(f"a multiple of {vocabulary.audio_levels} audio ids, found {len(ids)}")
        expected = np.repeat(np.arange(vocabulary.audio_levels), len(ids) // vocabulary.audio_levels)
        if (level != expected).any():
            wrong = int(np.argmax(level != expected))
            self.at = start + wrong
            self.fail(f"an id of audio level {expected[wrong]}")
        return code.reshape(vocabulary.audio_levels, -1).T.astype(np.int32)

    def run(self, belongs, what: str) -> np.ndarray:
        """The ids from here on that belong together, one or more."""
        rest = self.ids[self.at :]
        inside = belongs(rest)
        length = len(rest) if inside.all() else int(np.argmin(inside))
        if not length:
            self.fail(what)
        self.at += length
        return rest[:length]

    def member(self, family: str):
        """The member of a family that stands here, None where another id does."""
        first, end = FAMILIES[family]
        here = self.here()
        members = self.vocabulary.members(family)
        if here is None or not first <= here < end:
            return None
        if here - first >= len(members):
            self.fail(f"a {family} that the vocabulary knows")
        self.at += 1
        return members[here - first]

    def take(self, name: str) -> None:
        if self.name() != name:
            self.fail(f"<{name}>")
        self.at += 1

    def here(self) -> int | None:
        return int(self.ids[self.at]) if self.at < len(self.ids) else None

    def name(self) -> str | None:
        return _NAMES.get(self.here())

    def fail(self, expected: str):
        here = "the end" if self.here() is None else self.vocabulary.describe([self.here()])[0]
        raise UserError(f"sequence at place {self.at}: {here}, expected {expected}")

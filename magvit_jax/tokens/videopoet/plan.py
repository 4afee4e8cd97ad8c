"""Layouts as tables, so that examples of different tasks share one shape: which id a column takes from where.

Prefixes end at one column and outputs begin at the next, whatever their lengths; columns before a shorter
prefix and behind a shorter output are padding. All of it is numpy, and constant in a compiled step.
"""

import dataclasses
import functools

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.layout import Layout, Span
from magvit_jax.tokens.videopoet.tasks import SOURCES
from magvit_jax.tokens.videopoet.vocabulary import NUM_SPECIAL, SPECIAL, UnifiedVocabulary

NEVER = 1 << 30  # more words than any text has: a column of padding


@dataclasses.dataclass(frozen=True)
class Plan:
    """Layouts of clips of one shape, with one column for every place of the longest.

    An example's ids lie in its pool, U of them: the 256 special ids, its source, its text, then the sources
    that the layouts need in the order of `SOURCES`.

    Attributes:
        layouts: M of them; an example has the index of its own.
        vocabulary: gives the ids.
    """

    layouts: tuple[Layout, ...]
    vocabulary: UnifiedVocabulary

    def __post_init__(self):
        if not self.layouts:
            raise UserError("no layout: expected one or more")
        if len({layout.clip for layout in self.layouts}) > 1:
            raise UserError("layouts of clips of different shapes: expected one shape a plan")

    @property
    def text_slots(self) -> int:
        """T, of the layout with the most."""
        return max(layout.text_slots for layout in self.layouts)

    @property
    def prefix_length(self) -> int:
        return max(layout.prefix_length for layout in self.layouts)

    @property
    def output_length(self) -> int:
        return max(layout.output_length for layout in self.layouts)

    @property
    def length(self) -> int:
        """L, columns of a sequence."""
        return self.prefix_length + self.output_length

    @functools.cached_property
    def needs(self) -> tuple[str, ...]:
        """The sources that the layouts read, in their order in the pool."""
        spans = [span for layout in self.layouts for span in (*layout.prefix, *layout.output)]
        used = {span.part.source for span in spans if span.part is not None}
        return tuple(source for source in SOURCES if source in used)

    def columns(self, index: int) -> slice:
        """The columns that layout number `index` fills."""
        own = self.layouts[index]
        return slice(self.prefix_length - own.prefix_length, self.prefix_length + own.output_length)

    @functools.cached_property
    def pool_index_ML(self) -> np.ndarray:
        """int32, where in the pool each column's id is."""
        return self._table(self._pool_indices, SPECIAL["pad"])

    @functools.cached_property
    def least_text_ML(self) -> np.ndarray:
        """int32, how many words an example must have for the column to be used; 0 where it always is."""
        return self._table(_least_text, NEVER)

    @functools.cached_property
    def is_source_ML(self) -> np.ndarray:
        """bool, the column of <source>."""
        return self._table(lambda span: np.full(span.length, span.kind == "source"), False)

    @functools.cached_property
    def text_slot_ML(self) -> np.ndarray:
        """int32, which word stands in the column, -1 for none."""
        return self._table(lambda span: np.where(span.kind == "text", np.arange(span.length), -1), -1)

    @functools.cached_property
    def allowed_ML2(self) -> np.ndarray:
        """int32, first id that may stand in the column and the one after the last. (0, 0), none, in padding.

        What is generated is one special id, any visual one, or one of a level of the audio. Given text may be
        <text> and given visual ids <mask> as well.
        """
        return self._table(self._ranges, 0, trailing=(2,))

    def _table(self, values_of, padding, trailing: tuple[int, ...] = ()) -> np.ndarray:
        rows = []
        for index, layout in enumerate(self.layouts):
            values = np.concatenate([np.asarray(values_of(s)) for s in (*layout.prefix, *layout.output)])
            row = np.full((self.length, *trailing), padding, bool if isinstance(padding, bool) else np.int32)
            row[self.columns(index)] = values
            rows.append(row)
        return np.stack(rows)

    def _pool_indices(self, span: Span) -> np.ndarray:
        if span.kind == "special":
            return np.asarray([span.special])
        if span.kind == "source":
            return np.asarray([NUM_SPECIAL])
        start = NUM_SPECIAL + 1
        if span.kind == "text":
            return start + np.arange(span.length)
        clip = self.layouts[0].clip
        start += self.text_slots
        for source in self.needs[: self.needs.index(span.part.source)]:
            start += clip.visual_tokens if SOURCES[source] == "visual" else clip.audio_tokens
        if span.kind == "visual":
            return start + clip.frame_tokens * span.first + np.arange(span.length)
        frames_f = np.arange(span.first, span.last)  # level by level: each level has all frames in the pool
        return start + (clip.audio_frames * np.arange(clip.audio_levels)[:, None] + frames_f).ravel()

    def _ranges(self, span: Span) -> np.ndarray:
        vocabulary = self.vocabulary
        if span.kind == "special":
            pair = (span.special, span.special + 1)
        elif span.kind == "source":
            first = vocabulary.source_id(vocabulary.sources[0])
            pair = (first, first + len(vocabulary.sources))
        elif span.kind == "text":
            pair = vocabulary.text_range
        elif span.kind == "visual":
            pair = vocabulary.visual_range
        else:
            levels = [vocabulary.audio_range(level) for level in range(vocabulary.audio_levels)]
            return np.repeat(np.asarray(levels), span.last - span.first, axis=0)
        return np.tile(np.asarray(pair), (span.length, 1))


def _least_text(span: Span) -> np.ndarray:
    if span.kind == "text":
        return 1 + np.arange(span.length)
    return np.full(span.length, int(span.with_text))

"""A source whose clips come with their text as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from magvit_jax.data.multimodal_spec import MultimodalSpec
from magvit_jax.data.sources import Source


class TextReader(Protocol):
    """What a model does with texts."""

    def check(self, texts: Sequence[str]) -> None:
        """UserError for the first text that it cannot take: one that is too long, or whose embedding is missing."""

    def __call__(self, text: str) -> Mapping[str, np.ndarray]:
        """A text, "" for none: {"text_count": int32 scalar, used slots} with "text_ids" int32 [X] or "text_embedding"
        float32 [X, E]; nothing at all for a model without text."""


class WithText:
    """A `Source` like another one, but that its clips' "caption" is read by `reader`.

    Raises:
      UserError: a text of the source that the reader cannot take.
    """

    def __init__(self, source: Source, reader: TextReader):
        reader.check(source.texts)
        self._source, self._reader = source, reader
        self.class_names, self.texts = source.class_names, source.texts

    def __len__(self) -> int:
        return len(self._source)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """See `Source`."""
        return self._source.skipped

    @property
    def summary(self) -> str:
        """See `Source`."""
        return self._source.summary

    def clip(self, index: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`."""
        clip = dict(self._source.clip(index, rng, spec, train))
        return clip | self._reader(clip.pop("caption"))

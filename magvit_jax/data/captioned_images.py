"""Images with their texts: for batches of images between those of videos (thesis 8.3.4)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.data import captions as texts
from magvit_jax.data.files import label_entries
from magvit_jax.data.image_folder import ImageFolder
from magvit_jax.data.multimodal_spec import MultimodalSpec
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError


class CaptionedImages(ImageFolder):
    """Images below `path` that have a text; the others are left out, which is logged.

    Attributes:
      texts: every text that an image may come with, sorted.

    Raises:
      UserError: as of `ImageFolder`, bad captions, or none in a split.
    """

    def __init__(
        self,
        path: str,
        split: str,
        spec: MultimodalSpec,
        *,
        captions: str,
        templates: Sequence[str],
        held_out: float,
        cache_mb: float,
    ):
        """
        Args:
          spec: of one frame.
          captions, templates: see `captions.of_entries`.
        """
        super().__init__(path, split, _clip_spec(spec), held_out=held_out, cache_mb=cache_mb)
        pictures = [picture.path for picture in self._pictures]
        entries = label_entries(path, pictures, Path(path).resolve().name or "image")
        self._texts = texts.of_entries(path, entries, captions, templates, "data.images")
        self._pictures = [picture for picture in self._pictures if self._texts[picture.path]]
        if not self._pictures:
            raise UserError(f"{path}: none of its {len(entries)} {split} images has a text; expected one or more")
        self.texts = tuple(sorted({text for p in self._pictures for text in self._texts[p.path]}))

    def clip(self, index: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool) -> dict[str, Any]:
        """Image `index`: {"video": uint8 [1, H, W, 3], "label": int32, "caption": str}."""
        picture, video = self.find(index, rng, _clip_spec(spec), train)
        caption = texts.draw(self._texts[picture.path], rng, train)
        return {"video": video, "label": np.int32(picture.label), "caption": caption}


def _clip_spec(spec: MultimodalSpec) -> ClipSpec:
    return ClipSpec(spec.frames, spec.height, spec.width, flip=spec.flip, random_crop=spec.random_crop)

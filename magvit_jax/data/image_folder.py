"""A folder of images as labelled videos of one frame.

Label: the first folder below the root; images in no sub-folder share one label, the name of the root. Split:
as for videos. Up to 5,000 files are decoded once to find damaged ones when the source is built; in larger
sets only the headers are read then, and a file that fails later is replaced by the next, counted and named.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.cache import FrameCache
from magvit_jax.data.files import IMAGE_EXTENSIONS, check_held_out, find_files, label_entries, one_side
from magvit_jax.data.folder import FolderSource, check_files
from magvit_jax.data.images import check_image, read_image
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError

_DECODED_AT_START = 5000


@dataclass(frozen=True)
class Picture:
    """A usable file, and the position of its label in `class_names`."""

    path: str
    label: int


class ImageFolder(FolderSource):
    """Images below `path` as clips of one frame, for `split` "train", "test" or "all".

    Raises:
      UserError: clips of more than one frame, no image that can be read, or an empty split.
    """

    def __init__(
        self, path: str, split: str, spec: ClipSpec, *, held_out: float = 0.1, cache_mb: float = 1024
    ):
        check_held_out(held_out)
        _check_frames(spec)
        entries = label_entries(
            path, find_files(path, IMAGE_EXTENSIONS, "image"), Path(path).resolve().name or "image"
        )
        check = _decodes if len(entries) <= _DECODED_AT_START else check_image
        good, skipped = check_files([entry.path for entry in entries], check)
        if not good:
            name, reason = next(iter(skipped.items()))
            raise UserError(
                f"{path}: none of its {len(skipped)} images can be read, such as {name}: {reason}"
            )
        usable = [entry for entry in entries if entry.path in good]
        class_names = sorted({entry.label for entry in usable})
        super().__init__(path, split, class_names, skipped)
        labels = {name: label for label, name in enumerate(class_names)}
        if len(usable) < 2 and split != "all":
            raise UserError(
                f"{path} has 1 usable image: expected at least 2, one to train on and one to test on"
            )
        mine = one_side(path, entries, usable, split, held_out)
        self._pictures = [Picture(e.path, labels[e.label]) for e in usable if e.path in mine]
        self._cache = FrameCache(cache_mb)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def summary(self) -> str:
        """One line about what there is."""
        return f"images below {self.root}: {len(self)} {self.split} files"

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`. A file that turns out damaged is replaced by the next one, counted and named."""
        picture, video = self.find(index, rng, spec, train)
        return {"video": video, "label": np.int32(picture.label)}

    def find(
        self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool
    ) -> tuple[Picture, np.ndarray]:
        """Clip `index` and the file that it comes from."""
        _check_frames(spec)
        return self._fall_forward(self._pictures, index, functools.partial(self._read, rng, spec, train))

    def _read(self, rng: np.random.Generator, spec: ClipSpec, train: bool, picture: Picture) -> np.ndarray:
        area = (spec.height, spec.width)
        cover = pixels.random_cover(rng, area, spec.smallest_crop) if train else area
        resized = self._resized(picture.path, area) if cover == area else _covering(picture.path, cover)
        size = resized.shape[:2]
        corner = pixels.centre_corner(size, area)
        if train and spec.random_crop:
            corner = pixels.random_corner(rng, size, area)
        video = pixels.crop(resized[None], corner, area)
        if train and spec.flip and rng.random() < 0.5:
            video = video[:, :, ::-1]
        return np.ascontiguousarray(video)

    def _resized(self, path: str, area: tuple[int, int]) -> np.ndarray:
        make = functools.partial(_covering, path, area)
        # An image's size is not known before it is read: counted as if it were 4:3.
        cached = self._cache.get((path, area), 4 * area[0] * area[1], make)
        return make() if cached is None else cached


def _check_frames(spec: ClipSpec) -> None:
    if spec.frames != 1:
        raise UserError(f"data.frames is {spec.frames}: an image is a video of one frame, set it to 1")


def _decodes(path: str) -> None:
    read_image(path)


def _covering(path: str, area: tuple[int, int]) -> np.ndarray:
    image = read_image(path)
    return np.array(pixels.resize(image, pixels.cover_size(image.shape[:2], area)))

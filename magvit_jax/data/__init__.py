"""Clips of video from files or from the embedded set, in reproducible batches."""

from collections.abc import Callable
from typing import Any

from magvit_jax.data.clips import frame_rate, load_clip
from magvit_jax.data.embedded import SPLITS, MovingDigits
from magvit_jax.data.files import list_images, list_videos
from magvit_jax.data.image_folder import ImageFolder
from magvit_jax.data.pipeline import BatchIterator, batches, eval_batches
from magvit_jax.data.sources import ClipSpec, Source, describe
from magvit_jax.data.video_folder import VideoFolder
from magvit_jax.errors import UserError

__all__ = [
    "BatchIterator",
    "ClipSpec",
    "ImageFolder",
    "MovingDigits",
    "Source",
    "VideoFolder",
    "batches",
    "build_source",
    "describe",
    "eval_batches",
    "frame_rate",
    "list_images",
    "list_videos",
    "load_clip",
]


def _embedded(config: Any, split: str) -> Source:
    return MovingDigits(split, size=config.size, seed=config.seed, cache_mb=config.cache_mb)


def _video_folder(config: Any, split: str) -> Source:
    spec = ClipSpec.from_config(config)
    return VideoFolder(config.path, split, spec, held_out=config.held_out, cache_mb=config.cache_mb)


def _image_folder(config: Any, split: str) -> Source:
    spec = ClipSpec.from_config(config)
    return ImageFolder(config.path, split, spec, held_out=config.held_out, cache_mb=config.cache_mb)


SOURCES: dict[str, Callable[[Any, str], Source]] = {
    "embedded": _embedded,
    "video_folder": _video_folder,
    "image_folder": _image_folder,
}


def build_source(config: Any, split: str = "train") -> Source:
    """The "train" or "test" split, or with "all" every file, of the source that `config.data` describes.

    Reads the fields source, path, frames, height, width, stride, flip, random_crop, seed, size, held_out,
    cache_mb.

    Raises:
      UserError: an unknown source or split, or no usable file.
    """
    if config.source not in SOURCES:
        raise UserError(f"data.source is {config.source!r}: expected one of {', '.join(SOURCES)}")
    splits = SPLITS if config.source == "embedded" else (*SPLITS, "all")
    if split not in splits:
        raise UserError(f"split of {config.source} data is {split!r}: expected one of {', '.join(splits)}")
    return SOURCES[config.source](config, split)

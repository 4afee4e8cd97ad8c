"""Clips of video in reproducible batches, from one of `SOURCES`; and all clips of all inputs, for shards.

    embedded       moving digits, which need no download
    video_folder   video files
    image_folder   image files, as videos of one frame
    tfds           a TFDS dataset by name, without TensorFlow
    clip_shards    clips that `magvit shards` wrote: decoded and resized once
    token_shards   token ids that `magvit tokenize` wrote: no pixels at all
    sound_folder   sound files, and the sound of video files
    multimodal_folder   video files with their sound, texts, optical flow and depth
    embedded_sounding   moving digits with all of these

`recordings` reads the same inputs whole and in order; `shards` reads and `shard_writer` writes ArrayRecord
shards of clips and of token ids.
"""

from collections.abc import Callable
from typing import Any

from magvit_jax.data.alternation import Stream, multimodal_batches
from magvit_jax.data.captioned_images import CaptionedImages
from magvit_jax.data.clips import frame_rate, load_clip
from magvit_jax.data.embedded import SPLITS, MovingDigits
from magvit_jax.data.embedded_sounding import SoundingDigits
from magvit_jax.data.files import list_images, list_videos
from magvit_jax.data.frames import FrameStream
from magvit_jax.data.image_folder import ImageFolder
from magvit_jax.data.multimodal_folder import MultimodalFolder
from magvit_jax.data.multimodal_spec import MultimodalSpec, companions, image_spec
from magvit_jax.data.pipeline import BatchIterator, batches, eval_batches
from magvit_jax.data.shard_source import ClipShards, TokenShards
from magvit_jax.data.sound import Sound, read_sound
from magvit_jax.data.sound_folder import SoundFolder, SoundSpec
from magvit_jax.data.sources import ClipSpec, Source, describe
from magvit_jax.data.tfds import Tfds, TfdsExamples
from magvit_jax.data.video_folder import VideoFolder
from magvit_jax.data.with_text import WithText
from magvit_jax.errors import UserError

__all__ = [
    "BatchIterator",
    "CaptionedImages",
    "ClipShards",
    "ClipSpec",
    "FrameStream",
    "ImageFolder",
    "MovingDigits",
    "MultimodalFolder",
    "MultimodalSpec",
    "Sound",
    "SoundFolder",
    "SoundSpec",
    "SoundingDigits",
    "Source",
    "Stream",
    "Tfds",
    "TfdsExamples",
    "TokenShards",
    "VideoFolder",
    "WithText",
    "batches",
    "build_image_source",
    "build_source",
    "build_spec",
    "describe",
    "eval_batches",
    "frame_rate",
    "list_images",
    "list_videos",
    "image_spec",
    "load_clip",
    "multimodal_batches",
    "read_sound",
]


def _embedded(config: Any, split: str) -> Source:
    return MovingDigits(split, size=config.size, seed=config.seed, cache_mb=config.cache_mb)


def _video_folder(config: Any, split: str) -> Source:
    spec = ClipSpec.from_config(config)
    return VideoFolder(config.path, split, spec, held_out=config.held_out, cache_mb=config.cache_mb)


def _image_folder(config: Any, split: str) -> Source:
    spec = ClipSpec.from_config(config)
    return ImageFolder(config.path, split, spec, held_out=config.held_out, cache_mb=config.cache_mb)


def _tfds(config: Any, split: str) -> Source:
    """Splits are named as the dataset names them: by `config.tfds.train_split` and `test_split`."""
    group = config.get("tfds")
    if group is None:
        raise UserError(
            "data.source is 'tfds', but data.tfds is absent: expected data_dir, train_split, test_split, feature"
        )
    name = {"train": group.train_split, "test": group.test_split}[split]
    examples = TfdsExamples(config.path, name, group.data_dir, group.feature)
    return Tfds(examples, ClipSpec.from_config(config))


def _clip_shards(config: Any, split: str) -> Source:
    return ClipShards(config.path, split, ClipSpec.from_config(config), held_out=config.held_out)


def _token_shards(config: Any, split: str) -> Source:
    return TokenShards(config.path, split, ClipSpec.from_config(config), held_out=config.held_out)


def _sound_folder(config: Any, split: str) -> Source:
    held_out_by = config.get("held_out_by", "file")  # runs that were begun before it could be chosen do not have it
    return SoundFolder(
        config.path, split, SoundSpec.from_config(config), held_out=config.held_out, held_out_by=held_out_by
    )


def _multimodal_folder(config: Any, split: str) -> Source:
    return MultimodalFolder(
        config.path,
        split,
        MultimodalSpec.from_config(config),
        sound=config.sound,
        sound_tolerance=config.sound_tolerance,
        captions=config.captions,
        templates=tuple(config.templates),
        textless=True,
        companions=companions(config),
        held_out=config.held_out,
        cache_mb=config.cache_mb,
    )


def _embedded_sounding(config: Any, split: str) -> Source:
    return SoundingDigits(
        split,
        size=config.size,
        seed=config.seed,
        sound=config.sound,
        captions=config.captions,
        templates=tuple(config.templates),
        companions=companions(config),
        cache_mb=config.cache_mb,
    )


SOURCES: dict[str, Callable[[Any, str], Source]] = {
    "embedded": _embedded,
    "video_folder": _video_folder,
    "image_folder": _image_folder,
    "tfds": _tfds,
    "clip_shards": _clip_shards,
    "token_shards": _token_shards,
    "sound_folder": _sound_folder,
    "multimodal_folder": _multimodal_folder,
    "embedded_sounding": _embedded_sounding,
}


#: Sources that know `ClipSpec.smallest_crop`.
ZOOMING = ("image_folder", "tfds")


#: Sources whose clips do not look like a `ClipSpec` says.
SPECS = {"sound_folder": SoundSpec, "multimodal_folder": MultimodalSpec, "embedded_sounding": MultimodalSpec}
#: Sources of clips with sound and text, which `multimodal_batches` takes.
MULTIMODAL = ("multimodal_folder", "embedded_sounding")


def build_spec(config: Any) -> ClipSpec | SoundSpec | MultimodalSpec:
    """What the clips of the source that `config.data` describes look like."""
    return SPECS.get(config.source, ClipSpec).from_config(config)


#: Where `config.data.images.source` says that images come from.
IMAGES = ("none", "frames", "image_folder")


def build_image_source(config: Any, split: str = "train") -> Source | None:
    """The images with texts that the group `images` of a multimodal `config.data` describes; None for none.

    Reads of the group the fields source, path, captions, templates: "frames" are single frames of the data's own
    videos, "image_folder" files below its own path. They look as `image_spec` says.

    Raises:
      UserError: an unknown source, or no usable image.
    """
    images = config.images
    if images.source not in IMAGES:
        raise UserError(f"data.images.source is {images.source!r}: expected one of {', '.join(IMAGES)}")
    if images.source == "none":
        return None
    if images.captions == "none":
        raise UserError("data.images.captions is 'none': images are made from text, expected labels or file")
    spec = image_spec(MultimodalSpec.from_config(config))
    of_images = dict(captions=images.captions, templates=tuple(images.templates), cache_mb=config.cache_mb)
    if images.source == "image_folder":
        return CaptionedImages(images.path, split, spec, held_out=config.held_out, **of_images)
    if config.source == "embedded_sounding":
        return SoundingDigits(split, size=config.size, seed=config.seed, sound="none", companions={}, **of_images)
    return MultimodalFolder(
        config.path,
        split,
        spec,
        sound="none",
        sound_tolerance=0.0,
        textless=False,
        companions={},
        held_out=config.held_out,
        **of_images,
    )


def build_source(config: Any, split: str = "train") -> Source:
    """The "train" or "test" split, or with "all" every file, of the source that `config.data` describes.

    Reads the fields source, path, frames, height, width, stride, flip, random_crop, smallest_crop, seed, size,
    held_out, cache_mb, and of `tfds` data_dir, train_split, test_split, feature. The path is a
    folder or, of source "tfds", a dataset's name. Of sounds also samples, sample_rate, and of `sound_folder`
    held_out_by; of `MULTIMODAL` sources also fps, sound, sound_tolerance, flow, depth, captions, templates.

    Raises:
      UserError: an unknown source or split, or no usable file.
    """
    if config.source not in SOURCES:
        raise UserError(f"data.source is {config.source!r}: expected one of {', '.join(SOURCES)}")
    splits = SPLITS if config.source in ("embedded", "embedded_sounding", "tfds") else (*SPLITS, "all")
    if split not in splits:
        raise UserError(f"split of {config.source} data is {split!r}: expected one of {', '.join(splits)}")
    if getattr(config, "smallest_crop", 1) != 1 and config.source not in ZOOMING:
        raise UserError(
            f"data.smallest_crop is {config.smallest_crop} of {config.source} data: expected 1; only "
            f"{' and '.join(ZOOMING)} crop smaller"
        )
    return SOURCES[config.source](config, split)

"""The data of a run on video, sound and text: sources with their texts read, and batches of videos and of images."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from magvit_jax import bundles, data
from magvit_jax.data.with_text import TextReader
from magvit_jax.errors import UserError
from magvit_jax.systems import multimodal_bundle, multimodal_config
from magvit_jax.tokens.videopoet import Stages, Words
from magvit_jax.workflows.text_readers import NoText, TextEmbeddings, text_reader, words_of


@dataclass(frozen=True)
class MultimodalData:
    """What a run reads.

    Attributes:
      sources: "train" and "test".
      spec: of the clips.
      images: of training; None where no batch is of images.
      is_image: whether a step, counted from 0, is of images.
      words: the small text vocabulary; None of a model that has none.
      extra: what the texts turned out to be, to be kept beside the config: "words", or "text_network" of embeddings.
    """

    config: ConfigDict
    sources: dict[str, data.WithText]
    spec: data.MultimodalSpec
    images: data.WithText | None
    is_image: Callable[[int], bool]
    words: Words | None
    extra: Mapping[str, Any]

    def train_batches(
        self, start_step: int, shard_index: int, shard_count: int, *, images_per_video: int
    ) -> data.BatchIterator:
        """See `data.multimodal_batches`; images_per_video is how many images have as many tokens as a video."""
        images = None
        if self.images is not None:
            images = data.Stream(self.images, data.image_spec(self.spec), images_per_video)
        return data.multimodal_batches(
            data.Stream(self.sources["train"], self.spec, 1),
            images,
            self.is_image,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            start_step=start_step,
            shard_index=shard_index,
            shard_count=shard_count,
            workers=self.config.workers,
        )


def build(config: ConfigDict, known: Words | None = None) -> MultimodalData:
    """Reads of a config the groups `data` (of a source of `data.MULTIMODAL`) and `text`, where it has one, and
    `training.steps`, which the share of images depends on (8.3.4). A run that starts from another model (`init_from`)
    keeps its words, unless `text.words` names others.

    Args:
      known: the words of a run that goes on; None for a new one.

    Raises:
      UserError: data or texts that cannot be used, or batches of images without images.
    """
    group = config.data
    multimodal_config.require_companions(config)
    sources = {split: data.build_source(group, split) for split in ("train", "test")}
    images = data.build_image_source(group, "train")
    stages = Stages(*(float(group.images[name]) for name in ("first_share", "image_first", "image_after")))
    if images is None and max(stages.image_first, stages.image_after) > 0:
        raise UserError("data.images: batches of images are asked for, but source is 'none'; expected another source")
    words, reader = None, NoText()
    if "text" in config:
        # Of both splits, so that no caption is all unknown words.
        texts = [text for source in (*sources.values(), images) if source is not None for text in source.texts]
        words = known or _words_of_start(config) or words_of(config.text, texts)
        reader = text_reader(config.text, words)
    return MultimodalData(
        config=group,
        sources={split: data.WithText(source, reader) for split, source in sources.items()},
        spec=data.build_spec(group),
        images=None if images is None else data.WithText(images, reader),
        is_image=functools.partial(stages.is_image_batch, steps=config.training.steps, seed=group.seed),
        words=words,
        extra=_extra(words, reader),
    )


def _words_of_start(config: ConfigDict) -> Words | None:
    """The vocabulary of the model that a run starts from: its rows of the embedding mean these words."""
    if not config.get("init_from") or config.text.kind != "words" or config.text.words:
        return None
    return multimodal_bundle.words_of(bundles.read(config.init_from).config.get("text", {}))


def _extra(words: Words | None, reader: TextReader) -> dict[str, Any]:
    if words is not None:
        return {"words": list(words.words)}
    if isinstance(reader, TextEmbeddings):
        return {"text_network": {name: reader.shards.facts.get(name) for name in ("network", "fingerprint")}}
    return {}

"""What a bundle says of a VideoPoet, and the generator that is made of it."""

import json
from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import MultimodalGenerator
from magvit_jax.generation.prompts import EmbeddedPrompts, NoPrompts, PromptReader, WordPrompts
from magvit_jax.pretrained import networks
from magvit_jax.pretrained.text_embedding import TextEmbedder
from magvit_jax.systems import multimodal_config
from magvit_jax.systems.multimodal_lm import build_decoding
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.videopoet import Words
from magvit_jax.typing import PyTree

_CLIP = ("frames", "height", "width", "fps", "sample_rate", "samples", "sound")
_TEXT = ("kind", "slots", "width")
_BATCH = 8  # texts that T5 embeds at once


def described(config: ConfigDict, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON values that a generator is made of, besides parameters and tokenizers.

    Args:
        config: a whole training config.
        extra: what the workdir keeps beside it: "words", or the "text_network" of embeddings.
    """
    tasks = {name: config.tasks[name].to_dict() for name in multimodal_config.active_tasks(config.tasks)}
    text = {name: config.text[name] for name in _TEXT}
    text |= {name: extra[name] for name in ("words", "text_network") if name in extra}
    values = {
        "system": config.system,
        "model": config.model.to_dict(),
        "clip": {name: config.data[name] for name in _CLIP},
        "vocabulary": config.vocabulary.to_dict(),
        "text": text,
        "tasks": tasks,
    }
    return json.loads(json.dumps(values))


def words_of(extra: Mapping[str, Any]) -> Words | None:
    """The small vocabulary of a model that has one."""
    return Words(tuple(extra["words"])) if "words" in extra else None


def build_generator(
    config: Mapping[str, Any],
    params: PyTree,
    tokenizer: Tokenizer,
    sound: SoundTokenizer | None,
    weights_dir: Any = None,
    mesh: Mesh | None = None,
) -> MultimodalGenerator:
    """The generator of a bundle.

    Args:
        config: of the bundle, with what `described` gives, and its "fingerprint".
        params: of the transformer.
        tokenizer, sound: those that it was trained with.
        weights_dir: where T5's weights are, for a model that knows text by it; MAGVIT_WEIGHTS by default. They are
            read when the first prompt comes.
    """
    own = ConfigDict(dict(config))
    words = words_of(config["text"])
    text = multimodal_config.TextFields.of(own.text, 0 if words is None else words.size)
    vocabulary = multimodal_config.build_vocabulary(own.vocabulary, text, tokenizer, sound)
    names = multimodal_config.active_tasks(own.tasks)
    return MultimodalGenerator(
        transformer=multimodal_config.build_transformer(own.model, vocabulary, text),
        params=params,
        tokenizer=tokenizer,
        sound=sound,
        vocabulary=vocabulary,
        clip=multimodal_config.build_clip(own.clip, tokenizer, sound),
        tasks=names,
        prompts=_prompts(config["text"], text, words, weights_dir),
        painting={
            name: multimodal_config.painting_task(own.tasks[name].settings) for name in names if "painting" in name
        },
        decoding=build_decoding(own.tasks),
        fingerprint=config["fingerprint"],
        given=own.tasks.frame_prediction.settings.given if "frame_prediction" in names else (),
        mesh=mesh,
    )


def _prompts(
    config: Mapping[str, Any], text: multimodal_config.TextFields, words: Words | None, weights_dir: Any
) -> PromptReader:
    if text.kind == "words":
        return WordPrompts(words, text.slots)
    if text.kind == "none":
        return NoPrompts()
    return EmbeddedPrompts(_LateEmbedder(config["text_network"], text.slots, weights_dir), text.width, text.slots)


class _LateEmbedder:
    """A frozen T5 whose weights are read when the first text comes: a model makes videos without text, too."""

    def __init__(self, trained_with: Mapping[str, str], slots: int, weights_dir: Any):
        self._trained_with, self._slots, self._weights_dir = trained_with, slots, weights_dir
        self._embedder: TextEmbedder | None = None

    def __call__(self, texts):
        if self._embedder is None:
            network = networks.load(self._trained_with["network"], self._weights_dir)
            if network.fingerprint != self._trained_with["fingerprint"]:
                raise UserError(
                    f"{network.name}: its weights are {network.fingerprint} (a fingerprint); the model was trained on "
                    f"embeddings by {self._trained_with['fingerprint']}"
                )
            self._embedder = TextEmbedder(network, slots=self._slots, batch=_BATCH)
        return self._embedder(texts)

"""The systems of the papers, by the name that a config's `system` gives."""

from collections.abc import Mapping
from types import ModuleType

from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.systems import (
    autoregressive_video,
    masked_video,
    multimodal_lm,
    prefix_lm,
    soundstream,
    video_tokenizer,
)
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.videopoet import Words
from magvit_jax.training.system import System

SYSTEMS: Mapping[str, ModuleType] = {
    "video_tokenizer": video_tokenizer,
    "masked_video": masked_video,
    "autoregressive_video": autoregressive_video,
    "prefix_lm": prefix_lm,
    "multimodal_lm": multimodal_lm,
    "soundstream": soundstream,
}


def kind(config: ConfigDict) -> str:
    """What a config trains: "tokenizer", "sound_tokenizer", "generator" or "multimodal_generator"."""
    return module(config.system).KIND


def build(
    config: ConfigDict,
    *,
    tokenizer: Tokenizer | None = None,
    num_classes: int = 0,
    sound: SoundTokenizer | None = None,
    words: Words | None = None,
) -> System:
    """The system of a config.

    Args:
      config: a whole training config.
      tokenizer: the frozen one that a generator is trained on.
      num_classes: of the training data.
      sound: the frozen sound tokenizer of a multimodal generator; None for one without sound.
      words: the small text vocabulary of a multimodal generator, for `config.text.kind` "words".
    """
    chosen = module(config.system)
    if chosen.KIND not in ("generator", multimodal_lm.KIND):
        return chosen.build(config)
    if tokenizer is None:
        raise UserError(
            f"config {config.name!r}: a generator needs config.tokenizer, the folder of a trained one"
        )
    if chosen.KIND == multimodal_lm.KIND:
        return chosen.build(config, tokenizer, sound, words)
    return chosen.build(config, tokenizer, num_classes)


def module(name: str) -> ModuleType:
    """The system of that name: `KIND`, `build`, and of a generator what a bundle is read with."""
    if name not in SYSTEMS:
        raise UserError(f"system: {name!r}; expected one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]

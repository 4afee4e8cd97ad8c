"""The systems of the papers, by the name that a config's `system` gives."""

from collections.abc import Mapping
from types import ModuleType

from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.systems import masked_video, video_tokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.training.system import System

SYSTEMS: Mapping[str, ModuleType] = {
    "video_tokenizer": video_tokenizer,
    "masked_video": masked_video,
}


def kind(config: ConfigDict) -> str:
    """What a config trains: "tokenizer" or "generator"."""
    return _module(config).KIND


def build(config: ConfigDict, *, tokenizer: Tokenizer | None = None, num_classes: int = 0) -> System:
    """The system of a config.

    Args:
      config: a whole training config.
      tokenizer: the frozen one that a generator is trained on.
      num_classes: of the training data.
    """
    module = _module(config)
    if module.KIND == "tokenizer":
        return module.build(config)
    if tokenizer is None:
        raise UserError(
            f"config {config.name!r}: a generator needs config.tokenizer, the folder of a trained one"
        )
    return module.build(config, tokenizer, num_classes)


def _module(config: ConfigDict) -> ModuleType:
    if config.system not in SYSTEMS:
        raise UserError(f"system: {config.system!r}; expected one of {', '.join(SYSTEMS)}")
    return SYSTEMS[config.system]

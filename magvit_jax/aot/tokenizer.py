"""A frozen tokenizer of which only the shapes are known."""

import json
from dataclasses import dataclass
from pathlib import Path

from ml_collections import ConfigDict

from magvit_jax.bundles import CONFIG
from magvit_jax.errors import UserError
from magvit_jax.systems.video_tokenizer import build_model
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.tokenizer import ClipFormat, abstract_params
from magvit_jax.typing import PyTree


@dataclass(frozen=True)
class AbstractTokenizer:
    """What building and lowering a generator asks of a `tokenizer.Tokenizer`, without its parameters.

    Attributes:
      model: the Linen module.
      clip: the clips it is trained on.
    """

    model: TokenizerModel
    clip: ClipFormat

    @classmethod
    def from_config(cls, model: ConfigDict, clip: ConfigDict) -> "AbstractTokenizer":
        """The tokenizer of a `config.model`, for the clips of a `config.data` or of a bundle's `clip`."""
        return cls(build_model(model), ClipFormat(clip.frames, clip.height, clip.width, clip.stride))

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the parameters, boxed; nothing is computed."""
        return abstract_params(self.model, self.clip)


def read_tokenizer(path: Path) -> AbstractTokenizer:
    """The tokenizer of a bundle or of a training workdir; its parameters are not read.

    Raises:
      UserError: the folder holds no tokenizer.
    """
    expected = "expected a tokenizer's bundle or workdir, or the name of its config such as magvit2/video_tokenizer"
    try:
        config = json.loads((path / CONFIG).read_text())
        config = config.get("config", config)  # a workdir's stands below this key
        clip = config.get("clip", config.get("data"))
        return AbstractTokenizer.from_config(ConfigDict(config["model"]), ConfigDict(clip))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"config.tokenizer: {path}: {expected}") from error

"""A frozen sound tokenizer of which only the shapes are known."""

import json
from pathlib import Path

from ml_collections import ConfigDict

from magvit_jax.bundles import CONFIG
from magvit_jax.errors import UserError
from magvit_jax.systems import soundstream
from magvit_jax.tokenizer.sound_tokenizer import CODECS, SoundCodec, SoundTokenizer


class AbstractSoundTokenizer(SoundTokenizer):
    """What building and lowering a multimodal generator asks of a sound tokenizer, without its parameters.

    Attributes:
      model: the Linen module.
      sample_rate: in Hz.
    """

    def __init__(self, model: SoundCodec, sample_rate: int):
        self.model, self.sample_rate = model, sample_rate

    @classmethod
    def from_config(cls, config: ConfigDict) -> "AbstractSoundTokenizer":
        """The sound tokenizer that a training config makes."""
        described = soundstream.build(config).described()
        return cls(CODECS[described["codec"]](**described["model"]), described["sample_rate"])


def read_sound_tokenizer(path: Path) -> AbstractSoundTokenizer:
    """The sound tokenizer of a bundle or of a training workdir; its parameters are not read.

    Raises:
      UserError: the folder holds no sound tokenizer.
    """
    expected = "expected a sound tokenizer's bundle or workdir, or the name of its config such as soundstream/small"
    try:
        config = json.loads((path / CONFIG).read_text())
        if "codec" in config:
            return AbstractSoundTokenizer(CODECS[config["codec"]](**config["model"]), config["sample_rate"])
        return AbstractSoundTokenizer.from_config(ConfigDict(config["config"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"config.sound_tokenizer: {path}: {expected}") from error

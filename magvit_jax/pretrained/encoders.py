"""Frozen networks together with what makes their inputs of texts, pictures and sound."""

import dataclasses
import functools
import os
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.pretrained.clip import ClipImageTower, ClipTextTower
from magvit_jax.pretrained.clip_images import clip_images
from magvit_jax.pretrained.clip_tokenizer import ClipTokenizer
from magvit_jax.pretrained.definition import Definition
from magvit_jax.pretrained.networks import FrozenNetwork, load
from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer
from magvit_jax.pretrained.vggish_audio import log_mel_examples
from magvit_jax.typing import Dtype

#: Texts or examples at once.
BATCH = 64


@dataclasses.dataclass(frozen=True)
class ClipEncoder:
    """Both towers of a CLIP, apart. The features of both have the same width, and are not normalised.

    Attributes:
      images: pictures [N, H, W, 3] of any size, uint8 or float in [0, 1], to features [N, F]; `clip_images`
        says how they are resized.
      texts: ids of `tokenizer` to features [N, F].
      tokenizer: texts to ids.
    """

    images: FrozenNetwork
    texts: FrozenNetwork
    tokenizer: ClipTokenizer

    @classmethod
    def load(
        cls, name: str, weights_dir: str | os.PathLike | None = None, dtype: Dtype = jnp.float32
    ) -> "ClipEncoder":
        """One of `CLIP_SIZES`. Arguments and errors as of `load`."""
        return cls.of(load(name, weights_dir, dtype))

    @classmethod
    def of(cls, network: FrozenNetwork) -> "ClipEncoder":
        """The towers of a network that is loaded."""
        size, dtype = network.definition.module.size, network.definition.module.dtype
        image, ids = network.definition.example
        prepare = functools.partial(clip_images, size=size.image_size)
        images = Definition(ClipImageTower(size, dtype), (image,), prepare)
        texts = Definition(ClipTextTower(size, dtype), (ids,))
        return cls(
            dataclasses.replace(network, definition=images, params=network.params["image"]),
            dataclasses.replace(network, definition=texts, params=network.params["text"]),
            ClipTokenizer(network.vocabulary, size.vocabulary, size.context),
        )

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> np.ndarray:
        """Features float32 [N, F] of texts; `truncate` and errors as of `ClipTokenizer`."""
        return in_batches(self.texts, self.tokenizer(texts, truncate=truncate))


@dataclasses.dataclass(frozen=True)
class T5TextEncoder:
    """T5's encoder with its tokenizer.

    Attributes:
      network: ids and mask of `tokenizer` to embeddings [B, L, D].
      tokenizer: texts to ids.
    """

    network: FrozenNetwork
    tokenizer: T5Tokenizer

    @classmethod
    def load(
        cls, name: str, weights_dir: str | os.PathLike | None = None, dtype: Dtype = jnp.float32
    ) -> "T5TextEncoder":
        """One of `T5_SIZES`. Arguments and errors as of `load`."""
        network = load(name, weights_dir, dtype)
        return cls(network, T5Tokenizer(network.vocabulary))

    def __call__(self, texts: Sequence[str], *, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings float32 [B, length, D], 0 where there is no text, and bool [B, length]: where there is.

        Args:
          length: ids of a text, its end mark included; a longer text loses its end.
        """
        ids_BL, mask_BL = self.tokenizer(texts, length=length)
        return in_batches(self.network, ids_BL, mask_BL) * mask_BL[..., None], mask_BL


@dataclasses.dataclass(frozen=True)
class SoundEncoder:
    """VGGish with its front end.

    Attributes:
      network: log-mel pictures of `log_mel_examples` to embeddings [N, 128].
    """

    network: FrozenNetwork

    @classmethod
    def load(cls, weights_dir: str | os.PathLike | None = None, dtype: Dtype = jnp.float32) -> "SoundEncoder":
        """Arguments and errors as of `load`."""
        return cls(load("vggish", weights_dir, dtype))

    def __call__(self, audio, sample_rate: int, *, framing: str) -> np.ndarray:
        """Embeddings float32 [N, 128] of the examples of one sound.

        Args:
          audio, sample_rate: as of `log_mel_examples`.
          framing: "fad" for FAD, "vggish" for examples side by side; see `FRAMINGS`.
        """
        return in_batches(self.network, log_mel_examples(audio, sample_rate, framing))


def in_batches(network: FrozenNetwork, *inputs: np.ndarray) -> np.ndarray:
    """A network's features of any number of rows. The last batch is filled up, so that few shapes are compiled.

    Raises:
      UserError: no rows.
    """
    rows = len(inputs[0])
    if not rows:
        raise UserError(f"{network.name}: nothing to encode; expected one text or example at least")
    size = min(BATCH, 1 << (rows - 1).bit_length())
    outputs = []
    for start in range(0, rows, size):
        filled = (np.resize(x[start : start + size], (size, *x.shape[1:])) for x in inputs)
        outputs.append(np.asarray(network(*filled))[: rows - start])
    return np.concatenate(outputs)

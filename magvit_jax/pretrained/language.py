"""The networks that read or hear: their modules and the inputs these take."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from magvit_jax.pretrained.clip import CLIP_SIZES, Clip
from magvit_jax.pretrained.definition import Definition, floats
from magvit_jax.pretrained.t5 import PIECES, T5_SIZES, T5Encoder
from magvit_jax.pretrained.vggish import HIDDEN, STAGES, VGGish
from magvit_jax.pretrained.vggish_audio import BANDS, EXAMPLE_FRAMES
from magvit_jax.typing import Dtype


def clip(name: str, dtype: Dtype) -> Definition:
    """Both towers of a CLIP, on pictures of `clip_images` and ids of `ClipTokenizer`."""
    size = CLIP_SIZES[name]
    ids = jax.ShapeDtypeStruct((1, size.context), jnp.int32)
    return Definition(Clip(size, dtype), (floats(1, size.image_size, size.image_size, 3), ids))


def t5(name: str, dtype: Dtype) -> Definition:
    """The encoder of a T5, on ids and mask of `T5Tokenizer`."""
    inputs = (jax.ShapeDtypeStruct((1, 2), jnp.int32), jax.ShapeDtypeStruct((1, 2), jnp.bool_))
    return Definition(T5Encoder(T5_SIZES[name], PIECES, dtype), inputs)


def vggish(dtype: Dtype) -> Definition:
    """VGGish on pictures of `log_mel_examples`."""
    return Definition(VGGish(STAGES, HIDDEN, dtype), (floats(1, EXAMPLE_FRAMES, BANDS),))


LANGUAGE: dict[str, Callable[[Dtype], Definition]] = {
    **{name: functools.partial(clip, name) for name in CLIP_SIZES},
    "vggish": vggish,
    **{name: functools.partial(t5, name) for name in T5_SIZES},
}

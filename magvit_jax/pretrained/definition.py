"""A frozen network without its weights."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


def as_given(x: Array) -> Array:
    """The input as it is."""
    return x


@dataclasses.dataclass(frozen=True)
class Definition:
    """What `networks.load` builds.

    Attributes:
      module: takes prepared inputs.
      example: shapes and types of prepared inputs, the smallest that are legal or the usual ones.
      prepare: from what callers hold (pixels in [0, 1], say) to what the module takes; of each input.
    """

    module: nn.Module
    example: tuple[jax.ShapeDtypeStruct, ...]
    prepare: Callable[[Array], Array] = as_given


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    """A float32 input of this shape."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def unit_float(pixels: Array) -> Array:
    """Pixels as float32 in [0, 1]: uint8 is divided by 255, floats are taken to be in [0, 1]."""
    if pixels.dtype == jnp.uint8:
        return pixels.astype(jnp.float32) / 255
    return pixels.astype(jnp.float32)

"""Initial parameters of SoundStream's networks, all kernels from one draw."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import meta

from magvit_jax.tokenizer.soundstream.layers import UNITS
from magvit_jax.typing import Array, PRNGKey, PyTree

CUT_STD = 0.87962566103423978  # of a standard normal that is cut off at -2 and 2


def initial_params(module: nn.Module, rng: PRNGKey, *inputs: Any) -> PyTree:
    """What `module.init(rng, *inputs)["params"]` gives, of the same distribution but not the same numbers; boxed.

    Kernels, the arrays with a logical axis "conv_in", are LeCun's normal cut off at two standard deviations; all else
    is zero. On a CPU the compiler takes nearly a second for each draw that a program makes, and there are 40 kernels.
    """
    shapes = jax.eval_shape(module.init, rng, *inputs)["params"]
    boxes, structure = jax.tree.flatten(shapes, is_leaf=_is_box)
    kernels = [box for box in boxes if "conv_in" in box.names]
    noise_N = jax.random.truncated_normal(rng, -2.0, 2.0, (sum(box.value.size for box in kernels),)) / CUT_STD
    parts = iter(jnp.split(noise_N, _ends(kernels)))
    filled = [_kernel(box, next(parts)) if "conv_in" in box.names else _zeros(box) for box in boxes]
    return jax.tree.unflatten(structure, filled)


def _ends(kernels: list[meta.AxisMetadata]) -> list[int]:
    """Where in one row of all kernels each but the last ends."""
    ends, end = [], 0
    for box in kernels[:-1]:
        end += box.value.size
        ends.append(end)
    return ends


def _kernel(box: meta.AxisMetadata, noise_N: Array) -> meta.AxisMetadata:
    shape = box.value.shape
    inputs = math.prod(size for size, name in zip(shape, box.names, strict=True) if name not in (UNITS, "conv_out"))
    return box.replace_boxed(noise_N.reshape(shape) / math.sqrt(inputs))


def _zeros(box: meta.AxisMetadata) -> meta.AxisMetadata:
    return box.replace_boxed(jnp.zeros(box.value.shape, box.value.dtype))


def _is_box(leaf: Any) -> bool:
    return isinstance(leaf, meta.AxisMetadata)

"""Float32 arithmetic for narrower floats."""

import functools
from collections.abc import Callable

import jax.numpy as jnp

from magvit_jax.typing import Array


def in_float32(function: Callable[..., Array]) -> Callable[..., Array]:
    """Runs `function(x, kernel, ...)` on float32 copies of narrower floats; result and gradients are rounded once."""

    @functools.wraps(function)
    def wrapped(x: Array, kernel: Array, *rest) -> Array:
        wide = jnp.float32 if jnp.finfo(x.dtype).bits < 32 else x.dtype
        return function(x.astype(wide), kernel.astype(wide), *rest).astype(x.dtype)

    return wrapped

"""Rotary positions: queries and keys turned by an angle that grows with the position, so that only distances count."""

import jax.numpy as jnp

from magvit_jax.typing import Array

BASE = 10_000.0


def rotate(x_BLNE: Array, position_BL: Array) -> Array:
    """[B, L, N, E] -> the same, elements i and i + E/2 turned by position * BASE**(-2i / E) as a pair (Su et al. 2021).

    Args:
        x_BLNE: queries or keys; E is even.
        position_BL: int32 [B, L], any positions: they need neither begin at 0 nor be in order.
    """
    half = x_BLNE.shape[-1] // 2
    frequency_E = BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle_BL1E = position_BL.astype(jnp.float32)[:, :, None, None] * frequency_E[None, None, None]
    cosine, sine = jnp.cos(angle_BL1E), jnp.sin(angle_BL1E)
    first, second = jnp.split(x_BLNE.astype(jnp.float32), 2, axis=-1)
    turned = jnp.concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=-1)
    return turned.astype(x_BLNE.dtype)

"""Lookup-free quantization (thesis 5.3.1, Eq. 5.2 to 5.5)."""

import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


def quantize(z_BthwK: Array) -> Array:
    """Sign of every channel, -1 where z <= 0 and +1 where z > 0 (Eq. 5.3), float32."""
    return jnp.where(z_BthwK > 0, 1.0, -1.0).astype(jnp.float32)


def straight_through(z_BthwK: Array) -> Array:
    """`quantize` forward, the identity backward."""
    z = z_BthwK.astype(jnp.float32)
    return z + jax.lax.stop_gradient(quantize(z) - z)


def codes_to_ids(codes_BthwK: Array) -> Array:
    """Index of a code, the first channel the least significant bit (Eq. 5.4): int32 [B,t,h,w]."""
    bits = (codes_BthwK > 0).astype(jnp.int32)
    weights = jnp.left_shift(1, jnp.arange(bits.shape[-1], dtype=jnp.int32))
    return (bits * jnp.broadcast_to(weights, bits.shape)).sum(-1)


def ids_to_codes(ids_Bthw: Array, bits: int) -> Array:
    """The code of an index: float32 in {-1, 1}, [B,t,h,w,bits]. The inverse of `codes_to_ids`."""
    shifts = jnp.arange(bits, dtype=jnp.int32)
    on = jnp.right_shift(ids_Bthw[..., None], shifts.reshape((1,) * ids_Bthw.ndim + (bits,))) & 1
    return 2.0 * on.astype(jnp.float32) - 1.0

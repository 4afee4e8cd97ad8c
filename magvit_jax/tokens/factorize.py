"""Lookup-free codes of many bits as several short sub-ids, one for each equal subspace (thesis 5.3.2).

Bits are counted from the least significant: factor 0 holds the low `bits / factors` bits of the id.
"""

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.typing import Array


def bits_of(codes: int) -> int:
    """Number of bits of a codebook; UserError unless its size is a power of two."""
    bits = codes.bit_length() - 1
    if codes != 1 << bits:
        raise UserError(f"{codes} codes cannot be factorised: expected a power of two")
    return bits


def sub_codes(codes: int, factors: int) -> int:
    """Size of each factor's codebook: V with V**factors == codes. One factor takes any number of codes."""
    if factors == 1:
        return codes
    bits = bits_of(codes)
    if factors < 1 or bits % factors:
        raise UserError(f"{codes} codes of {bits} bits cannot be split in {factors} factors of equal length")
    return 1 << (bits // factors)


def split(ids: Array, factors: int, bits: int) -> Array:
    """Sub-ids of codes: int [...] in [0, 2**bits) -> int32 [..., F] in [0, 2**(bits/F))."""
    width = _width(factors, bits)
    shifts_F = jnp.arange(factors, dtype=jnp.int32) * width
    shifts = shifts_F.reshape((1,) * ids.ndim + (factors,))
    shifted = jnp.right_shift(ids.astype(jnp.int32)[..., None], shifts)
    return jnp.bitwise_and(shifted, (1 << width) - 1)


def join(sub_ids: Array, factors: int, bits: int) -> Array:
    """Inverse of `split`: int [..., F] -> int32 [...]."""
    width = _width(factors, bits)
    if sub_ids.shape[-1] != factors:
        raise UserError(f"sub-ids of shape {sub_ids.shape}: expected a last axis of {factors} factors")
    shifts_F = jnp.arange(factors, dtype=jnp.int32) * width
    shifts = shifts_F.reshape((1,) * (sub_ids.ndim - 1) + (factors,))
    return jnp.sum(jnp.left_shift(sub_ids.astype(jnp.int32), shifts), axis=-1, dtype=jnp.int32)


def _width(factors: int, bits: int) -> int:
    if factors < 1 or bits % factors:
        raise UserError(f"{bits} bits cannot be split in {factors} factors of equal length")
    return bits // factors

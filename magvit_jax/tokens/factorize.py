"""Lookup-free codes of many bits as several short sub-ids, one for each subspace (thesis 5.3.2: equal ones).

Bits are counted from the least significant: factor 0 holds the low `bits / factors` bits of the id.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

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
    return split_widths(ids, (_width(factors, bits),) * factors)


def join(sub_ids: Array, factors: int, bits: int) -> Array:
    """Inverse of `split`: int [..., F] -> int32 [...]."""
    return join_widths(sub_ids, (_width(factors, bits),) * factors)


def split_widths(ids: Array, widths: Sequence[int]) -> Array:
    """Sub-ids of so many bits each, the least significant first: int [...] -> int32 [..., F].

    Of a lookup-free code factor 0 holds the first channels. Open-MAGVIT2's two tokens of a code are widths (6, 12).
    """
    widths_F = np.asarray(widths, np.int32)
    shifts = (np.cumsum(widths_F) - widths_F).astype(np.int32).reshape((1,) * ids.ndim + (-1,))
    masks = ((1 << widths_F) - 1).astype(np.int32).reshape(shifts.shape)
    return jnp.bitwise_and(jnp.right_shift(ids.astype(jnp.int32)[..., None], shifts), masks)


def join_widths(sub_ids: Array, widths: Sequence[int]) -> Array:
    """Inverse of `split_widths`: int [..., F] -> int32 [...]."""
    if sub_ids.shape[-1] != len(widths):
        raise UserError(f"sub-ids of shape {sub_ids.shape}: expected a last axis of {len(widths)} factors")
    widths_F = np.asarray(widths, np.int32)
    shifts = (np.cumsum(widths_F) - widths_F).astype(np.int32).reshape((1,) * (sub_ids.ndim - 1) + (-1,))
    return jnp.sum(jnp.left_shift(sub_ids.astype(jnp.int32), shifts), axis=-1, dtype=jnp.int32)


def _width(factors: int, bits: int) -> int:
    if factors < 1 or bits % factors:
        raise UserError(f"{bits} bits cannot be split in {factors} factors of equal length")
    return bits // factors

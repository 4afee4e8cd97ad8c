"""Inside a kernel: the probabilities of a tile of codes from those of their bits, and the way back.

Arrays have codes or bits along sublanes and rows of z along lanes. A tile is 2^b consecutive codes that begin
at `tile` * 2^b: the lower b bits run through all their values and the upper ones are those of the number
`tile`. Everything here is multiplications and additions on the vector unit, in float32: no exponential of a
sum of logarithms, whose error grows with the logarithm, and no matrix product that the chip would do in
bfloat16 passes.
"""

import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.lfq_entropy.plan import LOW_BITS, SUBLANES
from magvit_jax.typing import Array


def bit_probabilities(logit_KN: Array) -> tuple[Array, Array, Array]:
    """sigmoid(l), sigmoid(-l) and the entropy of the bit in nats, each with full relative precision."""
    size_KN = jnp.abs(logit_KN)
    ratio_KN = jnp.exp(-size_KN)
    large_KN = 1.0 / (1.0 + ratio_KN)
    small_KN = ratio_KN * large_KN
    positive_KN = logit_KN >= 0
    on_KN = jnp.where(positive_KN, large_KN, small_KN)
    off_KN = jnp.where(positive_KN, small_KN, large_KN)
    return on_KN, off_KN, jnp.log1p(ratio_KN) + size_KN * small_KN


def code_probabilities(on_KN: Array, off_KN: Array, tile: Array, codes: int) -> Array:
    """[codes, N]: the product over bits of on or off, for the codes of one tile.

    Bit i of a code's number is bit i of the code.
    """
    bits = on_KN.shape[0]
    inner = codes.bit_length() - 1
    p_VN = jnp.ones((1, on_KN.shape[1]), jnp.float32)
    for bit in range(inner, bits):
        p_VN = p_VN * jnp.where(_bit_of(tile, bit - inner), on_KN[bit : bit + 1], off_KN[bit : bit + 1])
    p_VN = jnp.broadcast_to(p_VN, (SUBLANES, on_KN.shape[1]))
    code_VN = lax.broadcasted_iota(jnp.int32, p_VN.shape, 0)
    for bit in range(LOW_BITS):
        p_VN = p_VN * jnp.where(_bit_of(code_VN, bit), on_KN[bit : bit + 1], off_KN[bit : bit + 1])
    for bit in range(LOW_BITS, inner):
        p_VN = jnp.concatenate([p_VN * off_KN[bit : bit + 1], p_VN * on_KN[bit : bit + 1]], axis=0)
    return p_VN


def bit_sums(share_VN: Array, tile: Array, bits: int) -> tuple[list[Array], list[Array], Array]:
    """Sums over the codes of a tile where each bit is on, where it is off, and over all: lists of [1, N], and
    [1, N].

    Both sums are made, rather than one and the difference from the whole: a saturated bit keeps its digits.
    """
    inner = share_VN.shape[0].bit_length() - 1
    on, off = [None] * bits, [None] * bits
    for bit in reversed(range(LOW_BITS, inner)):
        half = share_VN.shape[0] // 2
        lower_VN, upper_VN = share_VN[:half], share_VN[half:]
        on[bit], off[bit] = _sum_codes(upper_VN), _sum_codes(lower_VN)
        share_VN = lower_VN + upper_VN
    code_VN = lax.broadcasted_iota(jnp.int32, share_VN.shape, 0)
    for bit in range(LOW_BITS):
        is_on_VN = _bit_of(code_VN, bit)
        on[bit] = _sum_codes(jnp.where(is_on_VN, share_VN, 0.0))
        off[bit] = _sum_codes(jnp.where(is_on_VN, 0.0, share_VN))
    total_1N = _sum_codes(share_VN)
    for bit in range(inner, bits):
        is_on = _bit_of(tile, bit - inner)
        on[bit] = jnp.where(is_on, total_1N, 0.0)
        off[bit] = jnp.where(is_on, 0.0, total_1N)
    return on, off, total_1N


def _bit_of(number: Array, bit: int) -> Array:
    return lax.bitwise_and(lax.shift_right_logical(number, jnp.int32(bit)), jnp.int32(1)) == 1


def _sum_codes(x_VN: Array) -> Array:
    return jnp.sum(x_VN, axis=0, keepdims=True)

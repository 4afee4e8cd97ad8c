"""Both entropies without a table per row: bits are independent given z, so half-tables and one matmul are
enough.

q(c|z) = prod_i sigmoid(c_i l_i) with l_i = 4 z_i / temperature. The mean entropy of the rows is a closed
form. For the entropy of the mean, the first K1 bits and the last K2 have probabilities q1 and q2 with q = q1
x q2, so the mean table is Q = P1^T diag(w) P2, of shape [2^K1, 2^K2]: 2 N 2^K flops forward and twice that
backward, in 4 * 2^K bytes. A table of every row, as in the public implementations, takes N times that memory.
"""

import jax
import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.lfq_entropy.tables import row_weights, table_entropy
from magvit_jax.typing import Array

EXACT = lax.Precision.HIGHEST  # for sums of logarithms, whose errors are relative errors of probabilities
MAX_BITS = 24  # 2^24 cells are 64 MiB of float32 in each of the table, its log and its gradient


@jax.custom_jvp
def bit_entropy(logit: Array) -> Array:
    """Entropy in nats of a bit that is 1 with probability sigmoid(logit), elementwise."""
    size = jnp.abs(logit)
    return jnp.log1p(jnp.exp(-size)) + size * jax.nn.sigmoid(-size)


@bit_entropy.defjvp
def _bit_entropy_jvp(primals, tangents):
    (logit,), (tangent,) = primals, tangents
    slope = -logit * jax.nn.sigmoid(logit) * jax.nn.sigmoid(-logit)  # autodiff would cancel two larger terms
    return bit_entropy(logit), slope * tangent


def half_table(logit_NK: Array) -> Array:
    """Probabilities [N, 2^K] of all codes of K independent bits. Bit i of a column's number is bit i of the
    code.

    Adds up logarithms by a small matmul; its derivative, sigmoid(-l) and -sigmoid(l) times the cells where a
    bit is on and off, keeps the digits of a saturated bit.
    """
    bits = logit_NK.shape[1]
    on_KV = ((jnp.arange(2**bits)[None, :] >> jnp.arange(bits)[:, None]) & 1).astype(logit_NK.dtype)
    log_on_NV = jnp.matmul(jax.nn.log_sigmoid(logit_NK), on_KV, precision=EXACT)
    log_off_NV = jnp.matmul(jax.nn.log_sigmoid(-logit_NK), 1.0 - on_KV, precision=EXACT)
    return jnp.exp(log_on_NV + log_off_NV)


def factorized(
    z_NK: Array,
    temperature: Array,
    mask_N: Array | None,
    axis_name: str | tuple[str, ...] | None,
    split: int | None,
    precision: lax.Precision,
) -> tuple[Array, Array]:
    rows, bits = z_NK.shape
    split = bits // 2 if split is None else split
    weight_N = row_weights(mask_N, rows, axis_name)
    logit_NK = 4.0 * z_NK / temperature

    per_sample = jnp.sum(weight_N * jnp.sum(bit_entropy(logit_NK), axis=1))
    low_NR = half_table(logit_NK[:, :split])
    high_NS = half_table(logit_NK[:, split:])
    mean_RS = jnp.einsum("nr,ns->rs", weight_N[:, None] * low_NR, high_NS, precision=precision)
    if axis_name is not None:
        per_sample, mean_RS = lax.psum((per_sample, mean_RS), axis_name)
    return per_sample, table_entropy(mean_RS)

"""What the implementations share: weights of the rows, and the entropy of a table of probabilities."""

import jax
import jax.numpy as jnp
from jax import lax

from magvit_jax.typing import Array


def row_weights(mask_N: Array | None, rows: int, axis_name: str | tuple[str, ...] | None) -> Array:
    """Float32 weights [N] that add up to one over all rows (and devices); all zero where no row counts."""
    weight_N = jnp.ones((rows,), jnp.float32) if mask_N is None else mask_N.astype(jnp.float32)
    total = jnp.sum(weight_N)
    if axis_name is not None:
        total = lax.psum(total, axis_name)
    return jnp.where(total > 0, weight_N / jnp.where(total > 0, total, 1.0), 0.0)


def _log_or_zero(table_RS: Array) -> Array:
    return jnp.where(table_RS > 0, jnp.log(jnp.where(table_RS > 0, table_RS, 1.0)), 0.0)


@jax.custom_vjp
def table_entropy(table_RS: Array) -> Array:
    """-sum Q log Q in nats of one table of probabilities in any shape [R, S], with 0 log 0 = 0.

    No eps: 1e-5 inside the log is larger than a cell of a uniform table of 2^18 and reads 11.19 nats for 12.48.

    The gradient is -(log Q + H) for -(log Q + 1). The two differ by a constant, which cancels where a table adds up to
    one whatever is done to it, as all tables here: rows of probabilities under weights that add up to one. Near
    uniform use log Q is -12 in every cell at 2^18, and the constant would be all that float32 has digits for.

    The derivative of a cell that is exactly 0 is infinite; the backward pass gives 0 for it, because whatever
    multiplies it (the rows' own probabilities of that cell) is 0 as well. Plain autodiff makes 0 * inf = NaN of it.
    """
    return -jnp.sum(jnp.sum(table_RS * _log_or_zero(table_RS), axis=-1))  # two stages: shorter float32 sums


def _table_entropy_fwd(table_RS: Array) -> tuple[Array, tuple[Array, Array]]:
    entropy = table_entropy(table_RS)
    return entropy, (table_RS, entropy)


def _table_entropy_bwd(residuals: tuple[Array, Array], cotangent: Array) -> tuple[Array]:
    table_RS, entropy = residuals
    return (jnp.where(table_RS > 0, -(_log_or_zero(table_RS) + entropy), 0.0) * cotangent,)


table_entropy.defvjp(_table_entropy_fwd, _table_entropy_bwd)

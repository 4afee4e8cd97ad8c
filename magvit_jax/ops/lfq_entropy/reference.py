"""The definition (thesis Eq. 5.5) by a table of all 2^K codes for every row. For small K only."""

import jax
import jax.numpy as jnp
from jax import lax

from magvit_jax.errors import UserError
from magvit_jax.ops.lfq_entropy.tables import row_weights, table_entropy
from magvit_jax.typing import Array

MAX_BITS = 14


def reference(
    z_NK: Array,
    temperature: Array,
    mask_N: Array | None,
    axis_name: str | tuple[str, ...] | None,
    split: int | None = None,
    precision: lax.Precision = lax.Precision.HIGHEST,
) -> tuple[Array, Array]:
    """Both entropies from q(c|z) = softmax over c of -||z - c||^2 / temperature, by no matrix product."""
    del precision
    if split is not None:
        raise UserError(f"lfq_entropy: 'reference' splits no bits, got split={split}")
    rows, bits = z_NK.shape
    weight_N = row_weights(mask_N, rows, axis_name)
    code_VK = (
        2.0 * ((jnp.arange(2**bits)[:, None] >> jnp.arange(bits)[None, :]) & 1).astype(jnp.float32) - 1.0
    )
    distance_NV = jnp.sum((z_NK[:, None, :] - code_VK[None, :, :]) ** 2, axis=-1)
    q_NV = jax.nn.softmax(-distance_NV / temperature, axis=-1)

    per_sample = jnp.sum(weight_N * jax.vmap(lambda q_V: table_entropy(q_V[None, :]))(q_NV))
    mean_V = jnp.sum(weight_N[:, None] * q_NV, axis=0)
    if axis_name is not None:
        per_sample, mean_V = lax.psum((per_sample, mean_V), axis_name)
    return per_sample, table_entropy(mean_V[None, :])

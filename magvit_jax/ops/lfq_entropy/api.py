"""Checks the arguments of the LFQ entropies and picks the implementation."""

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.ops.lfq_entropy import factorized, reference
from magvit_jax.typing import Array

IMPLEMENTATIONS = {"factorized": factorized.factorized, "reference": reference.reference}
MAX_BITS = {"factorized": factorized.MAX_BITS, "reference": reference.MAX_BITS}


def lfq_entropy(
    z_NK: Array,
    temperature: float | Array,
    mask: Array | None = None,
    axis_name: str | None = None,
    implementation: str | None = None,
) -> tuple[Array, Array]:
    """(E_z H[q(c|z)], H[E_z q(c|z)]) in nats: the two terms of LFQ's entropy penalty, thesis Eq. 5.5, exactly.

    The codes c are all of {-1, 1}^K and q(c|z) is proportional to exp(-||z - c||^2 / temperature). The penalty is the
    first minus the second: confident rows, all codes used.

    Args:
      z_NK: float [N, K], values before the sign, of any scale. All arithmetic is float32 whatever the dtype.
      temperature: positive scalar; may be traced. The thesis's code anneals and uses about 0.01.
      mask: optional [N], bool or weights >= 0: how much each row counts. Rows of weight 0 change nothing and get
        no gradient. With no weight at all, both entropies are 0.
      axis_name: mapped axis or axes (`shard_map`, `vmap`) that rows are split over: both results then are those of
        all rows of all devices, for one psum of a table of 2^K floats, and gradients are those of that global value
        (inside `shard_map`, with its default `check_vma=True`). Under plain `jit` with z sharded leave it None: XLA
        puts in the same all-reduce.
      implementation: "factorized" (default, K <= 24) or "reference" (a table of every row, K <= 14).

    Returns:
      Two float32 scalars: the mean entropy of the rows, in [0, K log 2], and the entropy of the mean.

    The second term is not additive over micro-batches: with gradient accumulation it is that of each micro-batch.

    Raises:
      UserError: unknown implementation, wrong rank, or more bits than the implementation has room for.
    """
    name = "factorized" if implementation is None else implementation
    if name not in IMPLEMENTATIONS:
        raise UserError(
            f"lfq_entropy: implementation {name!r} is not one of {', '.join(sorted(IMPLEMENTATIONS))}"
        )
    if z_NK.ndim != 2 or not jnp.issubdtype(z_NK.dtype, jnp.floating):
        raise UserError(
            f"lfq_entropy: z has shape {z_NK.shape} and dtype {z_NK.dtype}, expected floats [rows, bits]"
        )
    rows, bits = z_NK.shape
    if not 1 <= bits <= MAX_BITS[name]:
        raise UserError(f"lfq_entropy: z has {bits} bits, {name!r} takes 1 to {MAX_BITS[name]} of them")
    if mask is not None and mask.shape != (rows,):
        raise UserError(
            f"lfq_entropy: mask has shape {mask.shape}, expected ({rows},) for z of shape {z_NK.shape}"
        )
    return IMPLEMENTATIONS[name](z_NK.astype(jnp.float32), jnp.float32(temperature), mask, axis_name)

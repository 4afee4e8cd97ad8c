"""Checks the arguments of the LFQ entropies and picks the implementation."""

import jax.numpy as jnp
from jax import lax

from magvit_jax.errors import UserError
from magvit_jax.ops.backend import target_backend
from magvit_jax.ops.lfq_entropy import factorized, pallas_tpu, reference
from magvit_jax.typing import Array

IMPLEMENTATIONS = {
    "factorized": factorized.factorized,
    "pallas_tpu": pallas_tpu.pallas_tpu,
    "reference": reference.reference,
}
MAX_BITS = {
    "factorized": factorized.MAX_BITS,
    "pallas_tpu": pallas_tpu.MAX_BITS,
    "reference": reference.MAX_BITS,
}


def default_implementation(backend: str) -> str:
    """The fused kernel on a TPU, XLA's matrix products on the half-tables elsewhere."""
    return "pallas_tpu" if backend == "tpu" else "factorized"


def lfq_entropy(
    z_NK: Array,
    temperature: float | Array,
    mask: Array | None = None,
    axis_name: str | tuple[str, ...] | None = None,
    implementation: str | None = None,
    *,
    split: int | None = None,
    precision: lax.Precision = lax.Precision.HIGHEST,
) -> tuple[Array, Array]:
    """(E_z H[q(c|z)], H[E_z q(c|z)]) in nats: the terms of LFQ's entropy penalty (thesis Eq. 5.5).

    Both are exact. The codes c are all of {-1, 1}^K and q(c|z) is proportional to exp(-||z - c||^2 /
    temperature). The penalty is the first minus the second: confident rows, all codes used.

    Args:
      z_NK: float [N, K], values before the sign, of any scale. All arithmetic is float32 whatever the dtype.
      temperature: positive scalar; may be traced. The thesis's code anneals and uses about 0.01.
      mask: optional [N], bool or weights >= 0: how much each row counts. Rows of weight 0 change nothing and
        get no gradient. With no weight at all, both entropies are 0.
      axis_name: mapped axis or axes (`shard_map`, `vmap`) that rows are split over: both results then are
        those of all rows of all devices, for one psum of a table of 2^K floats, and gradients are those of
        that global value (inside `shard_map`, with its default `check_vma=True`). None inside `shard_map` is
        each device's own rows. Under plain `jit` with z sharded XLA puts the same all-reduce into
        "factorized"; it cannot split "pallas_tpu", which wants a `shard_map` around it:
        `nn.entropy.lfq_entropy` is that.
      implementation: None for `default_implementation` of the backend that is traced for (`ops.backend`: that
        of the mesh in context, else JAX's default), or a name, used or refused: "factorized" (K <= 24, any
        backend), "pallas_tpu" (K <= 24, TPUs only; made on any machine for the mesh of a TPU topology),
        "reference" (a table of every row, K <= 14).
      split: bits of the first half, 0 to K; the mean table is [2^split, 2^(K - split)]. K // 2 by default,
        which takes the least memory. The results do not depend on it. Not for "reference".
      precision: of the matrix products with the table where the backend multiplies in bfloat16 passes (TPU).
        HIGHEST, six passes, is float32. HIGH, three, changes cells by about 1e-5 of themselves in half the
        time. DEFAULT, one, changes them by up to 0.6%.

    Returns:
      Two float32 scalars: the mean entropy of the rows, in [0, K log 2], and the entropy of the mean.

    The second term is not additive over micro-batches: with gradient accumulation it is that of each
    micro-batch. Results are deterministic: the same program gives the same bits again. Reverse mode only.

    Raises:
      UserError: an unknown implementation or one that the backend lacks, wrong rank, more bits than the
        implementation has room for, a split outside 0 to K.
    """
    backend = target_backend()
    name = default_implementation(backend) if implementation is None else implementation
    if name not in IMPLEMENTATIONS:
        raise UserError(
            f"lfq_entropy: implementation {name!r} is not one of {', '.join(sorted(IMPLEMENTATIONS))}"
        )
    if name == "pallas_tpu" and backend != "tpu":
        raise UserError(
            f"lfq_entropy: 'pallas_tpu' needs a TPU; the backend is {backend!r} and no mesh of TPUs is set"
        )
    if z_NK.ndim != 2 or not jnp.issubdtype(z_NK.dtype, jnp.floating):
        raise UserError(
            f"lfq_entropy: z has shape {z_NK.shape} and dtype {z_NK.dtype}, expected floats [rows, bits]"
        )
    rows, bits = z_NK.shape
    if rows < 1 or not 1 <= bits <= MAX_BITS[name]:
        raise UserError(
            f"lfq_entropy: z has {rows} rows and {bits} bits, {name!r} takes 1 or more rows and"
            f" 1 to {MAX_BITS[name]} bits"
        )
    if mask is not None and mask.shape != (rows,):
        raise UserError(
            f"lfq_entropy: mask has shape {mask.shape}, expected ({rows},) for z of shape {z_NK.shape}"
        )
    if split is not None and not 0 <= split <= bits:
        raise UserError(f"lfq_entropy: split is {split}, expected 0 to {bits} for z of {bits} bits")
    function = IMPLEMENTATIONS[name]
    return function(
        z_NK.astype(jnp.float32),
        jnp.float32(temperature),
        mask,
        axis_name,
        split,
        lax.Precision(precision),
    )

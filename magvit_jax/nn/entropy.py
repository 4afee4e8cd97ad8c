"""The entropies of LFQ over the rows of a whole mesh."""

import jax
from jax.sharding import PartitionSpec

from magvit_jax import ops
from magvit_jax.partitioning import logical_spec
from magvit_jax.typing import Array


def lfq_entropy(
    z_NK: Array,
    temperature: float | Array,
    *,
    implementation: str | None = None,
    per_device: bool = False,
) -> tuple[Array, Array]:
    """`ops.lfq_entropy` of all rows, which a mesh may split like examples ("activation_batch").

    Outside `partitioning.logical_context` and inside `jax.shard_map` it is the op itself. On a mesh each device sums
    its own rows inside `jax.shard_map`, and one all-reduce of the table of 2^K floats makes both results those of all
    rows: a mesh never changes a result. XLA could split its own matrix products without that, but not a kernel.

    Args:
      z_NK: float [N, K], rows of any number of examples, example by example.
      temperature, implementation: as of `ops.lfq_entropy`.
      per_device: the mean over devices of each device's own entropies instead, without the all-reduce: the
        second one is smaller then, and depends on the mesh.
    """
    spec = logical_spec(("activation_batch", None), z_NK.shape)
    if spec is None:
        return ops.lfq_entropy(z_NK, temperature, implementation=implementation)
    axes = spec[0]  # None where the mesh does not divide the rows: all of them on every device then

    def of_own_rows(z_NK: Array, temperature: Array) -> tuple[Array, Array]:
        axis_name = None if per_device else axes
        entropies = ops.lfq_entropy(z_NK, temperature, None, axis_name, implementation)
        return jax.lax.pmean(entropies, axes) if per_device and axes is not None else entropies

    whole = PartitionSpec()
    mapped = jax.shard_map(of_own_rows, in_specs=(spec, whole), out_specs=(whole, whole))
    return mapped(z_NK, jax.numpy.float32(temperature))

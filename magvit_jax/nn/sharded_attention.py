"""Attention under a mesh: what each device gets of the queries, keys, values and mask."""

from collections.abc import Callable

import jax
from jax.sharding import PartitionSpec

from magvit_jax.ops.attention.counter_dropout import Counters
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.partitioning import logical_spec
from magvit_jax.typing import Array

QUERIES = ("activation_batch", "activation_length", "activation_heads", "activation_kv")
KEYS = ("activation_batch", None, "activation_heads", "activation_kv")

Kernel = Callable[[Array, Array, Array, Mask, Counters | None], Array]


def shard_attention(
    kernel: Kernel,
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | None,
    counters: Counters | None = None,
) -> Array:
    """`kernel(q, k, v, mask, counters)` inside `jax.shard_map`; without a logical context and in a shard,
    just that.

    Examples, heads and queries are split as the rules say. Every shard of queries sees its keys and values
    whole. Its mask says where its queries stand, and its counters say which heads of which examples it has,
    so dropout drops the same weights on every mesh. Where the mesh splits the N heads of the queries but not
    the G of the keys, each device takes the one group that its heads belong to; where they belong to several,
    heads stay whole.
    """
    mask = Mask.full() if mask is None else mask
    query_spec = logical_spec(QUERIES, q_BLNE.shape)
    if query_spec is None:
        return kernel(q_BLNE, k_BSGE, v_BSGE, mask, counters)
    key_spec = logical_spec(KEYS, k_BSGE.shape)
    mesh = jax.sharding.get_abstract_mesh()
    batch, length, heads, _ = query_spec
    share = _shards(mesh, heads)
    repeats = q_BLNE.shape[2] // k_BSGE.shape[2]
    one_group = key_spec[2] != heads
    if one_group and repeats % (q_BLNE.shape[2] // share):
        heads, one_group = None, False
    query_spec = PartitionSpec(batch, length, heads, None)
    key_spec = PartitionSpec(batch, None, None if one_group else heads, None)
    mask_spec = _mask_spec(mask, batch, length)
    counters_spec = None if counters is None else Counters(PartitionSpec(), PartitionSpec(batch, heads))

    def shard(q_BLNE: Array, k_BSGE: Array, v_BSGE: Array, mask: Mask, counters: Counters | None) -> Array:
        if length is not None:
            mask = mask.shifted(jax.lax.axis_index(length) * q_BLNE.shape[1])
        if one_group:
            group = jax.lax.axis_index(heads) * q_BLNE.shape[2] // repeats
            k_BSGE, v_BSGE = (jax.lax.dynamic_slice_in_dim(x, group, 1, axis=2) for x in (k_BSGE, v_BSGE))
        return kernel(q_BLNE, k_BSGE, v_BSGE, mask, counters)

    # The kernels don't say over which mesh axes their outputs vary, so the check of that is off.
    return jax.shard_map(
        shard,
        mesh=mesh,
        in_specs=(query_spec, key_spec, key_spec, mask_spec, counters_spec),
        out_specs=query_spec,
        check_vma=False,
    )(q_BLNE, k_BSGE, v_BSGE, mask, counters)


def _mask_spec(mask: Mask, batch, length) -> Mask:
    offset = mask.query_offset
    specs = {
        "prefix_B": PartitionSpec(batch),
        "lengths_B": PartitionSpec(batch),
        "q_segment_BL": PartitionSpec(batch, length),
        "k_segment_BS": PartitionSpec(batch, None),
        "query_offset": PartitionSpec(batch) if offset is not None and offset.ndim else PartitionSpec(),
    }
    return mask.replace(**{name: spec for name, spec in specs.items() if getattr(mask, name) is not None})


def _shards(mesh: jax.sharding.AbstractMesh, axes: str | tuple[str, ...] | None) -> int:
    names = () if axes is None else (axes,) if isinstance(axes, str) else axes
    shards = 1
    for name in names:
        shards *= mesh.shape[name]
    return shards

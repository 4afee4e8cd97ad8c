"""How long a cache of keys and values should be."""

from magvit_jax.ops.attention.choose import choose
from magvit_jax.ops.attention.kernel_parts import block_sizes
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.backend import target_backend
from magvit_jax.typing import Dtype


def cache_length(keys: int, heads: int, groups: int, width: int, dtype: Dtype) -> int:
    """S of a cache with room for `keys` positions, that attention of one query takes as it lies in memory.

    `keys` but where the TPU kernel decodes. It reads whole blocks, and a cache of another length would be copied
    to one of whole blocks for every token. Positions beyond `keys` are never seen.

    Args:
        heads, groups, width: N, G and E.
        dtype: of the cache.
    """
    shapes = (1, 1, heads, width), (1, keys, groups, width)
    if choose(target_backend(), *shapes, dtype, Mask.causal()) != "pallas_tpu":
        return keys
    block = block_sizes("full" if heads > groups else "causal", 1, keys, width, dtype).block_k
    return -(-keys // block) * block

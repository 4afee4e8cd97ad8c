"""Which implementation of attention is used where none is named."""

import jax.numpy as jnp

from magvit_jax.ops.attention.cudnn import cudnn_refuses
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array, Dtype

LARGE = 2**20  # scores a head, L x S, from which on they are not kept in memory on an accelerator
LARGE_CPU = 2**25
ROWS = 128  # queries that a block of the TPU kernel has at least
LONG_CACHE = 1024  # keys from which on the TPU kernel decodes
MAX_WIDTH = 256


def pallas_tpu_refuses(dtype: Dtype, width: int, mask: Mask | Array | None) -> str | None:
    """Why the TPU kernel does not take these arguments; None if it does."""
    if dtype not in (jnp.bfloat16, jnp.float32):
        return f"it takes bfloat16 and float32, not {jnp.dtype(dtype)}"
    if width > MAX_WIDTH or width % 8:
        return f"it takes head widths up to {MAX_WIDTH} that are multiples of 8, not {width}"
    if mask is not None and not isinstance(mask, Mask):
        return "it takes a Mask, not an array of bool"
    return None


def choose(
    backend: str,
    q_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    dtype: Dtype,
    mask: Mask | Array | None = None,
    dropout: float = 0.0,
) -> str:
    """The name of the implementation; a function of shapes, dtype and the kind of mask, never of values.

    - Any backend: a mask given as an array of bool means "xla".
    - TPU: "pallas_tpu" for bfloat16 and float32, head widths up to 256, and either 128 queries or more, or
      one query on 1,024 keys or more. Otherwise as below.
    - GPU: "cudnn" where `cudnn_refuses` has no objection and there is more than one query. Otherwise as
      below.
    - "xla" up to 2**20 scores a head (2**25 on a CPU, where it is the fastest), and above that "chunked",
      whose memory is linear in the length.

    Args:
        backend: "cpu", "tpu" or "gpu".
        q_shape, k_shape: [B, L, N, E] and [B, S, G, E].
        dtype: of queries, keys and values.
        mask, dropout: as in `api.attention`.
    """
    queries, width, keys = q_shape[1], q_shape[3], k_shape[1]
    if mask is not None and not isinstance(mask, Mask):
        return "xla"
    if backend == "tpu" and pallas_tpu_refuses(dtype, width, mask) is None:
        if queries >= ROWS or (queries == 1 and keys >= LONG_CACHE):
            return "pallas_tpu"
    if backend == "gpu" and queries > 1 and cudnn_refuses(q_shape, k_shape, dtype, mask, dropout) is None:
        return "cudnn"
    return "xla" if queries * keys <= (LARGE_CPU if backend == "cpu" else LARGE) else "chunked"

"""cuDNN's fused attention, through `jax.nn.dot_product_attention`: where it applies, and the call."""

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array, Dtype

MAX_WIDTH = 128


def cudnn_refuses(
    q_shape: tuple[int, ...],
    k_shape: tuple[int, ...],
    dtype: Dtype,
    mask: Mask | Array | None,
    dropout: float,
) -> str | None:
    """Why cuDNN does not apply to arrays of these shapes [B, L, N, E], [B, S, G, E]; None if it does."""
    width, queries, keys = q_shape[3], q_shape[1], k_shape[1]
    if dtype not in (jnp.bfloat16, jnp.float16):
        return f"it takes bfloat16 and float16, not {jnp.dtype(dtype)}"
    if width > MAX_WIDTH or width % 8:
        return f"it takes head widths up to {MAX_WIDTH} that are multiples of 8, not {width}"
    if dropout:
        return "dropout of attention weights is not passed on to it"
    if isinstance(mask, Mask):
        if mask.kind == "prefix" or mask.q_segment_BL is not None or mask.query_offset is not None:
            return "it takes full and causal masks with lengths, no prefix, segments or query offset"
        if mask.kind == "causal" and queries != keys:
            return f"it takes causal masks with as many queries as keys, not {queries} and {keys}"
    elif mask is not None:
        return "an array of bool as mask is not passed on to it"
    return None


def cudnn(q_BLNE: Array, k_BSGE: Array, v_BSGE: Array, mask: Mask | None, scale: float) -> Array:
    """As `api.attention`, where `cudnn_refuses` gives None."""
    mask = Mask.full() if mask is None else mask
    lengths_B = mask.lengths_B
    out_BLNE = jax.nn.dot_product_attention(
        q_BLNE,
        k_BSGE,
        v_BSGE,
        scale=scale,
        is_causal=mask.kind == "causal",
        key_value_seq_lengths=None if lengths_B is None else jnp.clip(lengths_B, 1, k_BSGE.shape[1]),
        implementation="cudnn",
    )
    if lengths_B is None:
        return out_BLNE
    # A softmax over no keys is not a number: such an example looks at one key, and its output is thrown away.
    return jnp.where((lengths_B > 0)[:, None, None, None], out_BLNE, jnp.zeros_like(out_BLNE))

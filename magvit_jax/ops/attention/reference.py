"""The definition of attention, in the simplest code that is right."""

import jax
import jax.numpy as jnp

from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array


def reference(q_BLNE: Array, k_BSGE: Array, v_BSGE: Array, mask: Mask | Array | None, scale: float) -> Array:
    """softmax(scale q k^T) v in float32, memory of L x S; see `api.attention` for the arguments."""
    repeats = q_BLNE.shape[2] // k_BSGE.shape[2]
    k_BSNE, v_BSNE = (jnp.repeat(x.astype(jnp.float32), repeats, axis=2) for x in (k_BSGE, v_BSGE))
    exact = jax.lax.Precision.HIGHEST
    scores_BNLS = scale * jnp.einsum("blne,bsne->bnls", q_BLNE.astype(jnp.float32), k_BSNE, precision=exact)
    if isinstance(mask, Mask):
        mask = mask.visible(*scores_BNLS.shape[2:])[:, None]
    if mask is not None:
        mask = jnp.broadcast_to(mask, scores_BNLS.shape)
        blind_BNL1 = ~jnp.any(mask, axis=-1, keepdims=True)
        scores_BNLS = jnp.where(mask | blind_BNL1, scores_BNLS, -jnp.inf)
    weights_BNLS = jax.nn.softmax(scores_BNLS, axis=-1)
    if mask is not None:
        weights_BNLS = jnp.where(blind_BNL1, 0.0, weights_BNLS)
    return jnp.einsum("bnls,bsne->blne", weights_BNLS, v_BSNE, precision=exact).astype(q_BLNE.dtype)

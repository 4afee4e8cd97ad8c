"""What may come next: visual ids inside a video, the right level inside audio, one special id elsewhere.

Where an id stands in its layout decides alone, and the ids that may stand there are always a range, so a mask
over the vocabulary is two numbers a token.
"""

import jax.numpy as jnp

from magvit_jax.tokens.videopoet.plan import Plan
from magvit_jax.typing import Array


def next_ranges(plan: Plan, index_B: Array) -> Array:
    """Ranges of the ids to be generated, in their order -> int32 [B, O, 2], (0, 0) behind an output's end.

    Args:
        plan: the layouts, O the longest output's length.
        index_B: int32 in [0, M), each example's layout.
    """
    return jnp.asarray(plan.allowed_ML2[:, plan.prefix_length :])[index_B]


def vocabulary_mask(allowed_X2: Array, size: int) -> Array:
    """bool [..., V]: the ids inside each range, of a vocabulary of `size` ids."""
    ids_V = jnp.arange(size, dtype=jnp.int32).reshape((1,) * (allowed_X2.ndim - 1) + (size,))
    return (ids_V >= allowed_X2[..., :1]) & (ids_V < allowed_X2[..., 1:])


def restrict(logits_XV: Array, allowed_X2: Array) -> Array:
    """Logits with those of ids outside each range at the lowest finite value.

    Behind an output's end nothing is allowed and all are equal; what is drawn there is no part of the
    sequence.
    """
    lowest = jnp.asarray(jnp.finfo(logits_XV.dtype).min, logits_XV.dtype)
    return jnp.where(vocabulary_mask(allowed_X2, logits_XV.shape[-1]), logits_XV, lowest)


def forced(allowed_X2: Array) -> Array:
    """bool [...]: one id only may come, so there is nothing to learn or to draw."""
    return allowed_X2[..., 1] - allowed_X2[..., 0] == 1

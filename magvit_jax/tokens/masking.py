"""Corruption of tokens for training: COMMIT's mask (thesis Eq. 6.2) and MaskGIT's latent one (6.3)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.tokens.schedules import mask_ratio
from magvit_jax.typing import Array, PRNGKey

METHODS = ("commit", "latent")
RATIO_PER = ("example", "batch")


class Corrupted(NamedTuple):
    """Corrupted visual tokens and which of Eq. 6.4's three parts each position belongs to (exactly one).

    Attributes:
        ids_BN: int32, the transformer's input without its prefix.
        refine_BN: bool, the position holds a condition token to be refined.
        mask_BN: bool, the position holds [MASK].
        reconstruct_BN: bool, the position holds the target token itself.
    """

    ids_BN: Array
    refine_BN: Array
    mask_BN: Array
    reconstruct_BN: Array


def corrupt(
    keys_B: PRNGKey,
    target_BN: Array,
    condition_BN: Array,
    is_condition_BN: Array,
    *,
    mask_id: int,
    schedule: str,
    ratio_per: str = "example",
    method: str = "commit",
) -> Corrupted:
    """Replaces a random share gamma(r) of each example's target tokens, r ~ U(0, 1) (thesis Eq. 6.2).

    The `max(1, floor(gamma(r) * N))` tokens of the smallest scores s ~ U(0, 1) become the condition token
    inside the condition region, and [MASK] outside.

    Args:
        keys_B: one key for each example; nothing else is random, so a batch may be cut anywhere.
        target_BN, condition_BN: int ids of the clip and of the padded clip.
        is_condition_BN: bool, the condition region (not ispad).
        mask_id: id of [MASK].
        schedule: see `schedules.mask_ratio`.
        ratio_per: "example" draws r for each example; "batch" draws one, from the first key, as the authors'
            code does for each device.
        method: "commit"; or "latent", the baseline of Tab. 6.8: tokens inside the region are seen as the
            clip's own and never replaced, the share is one of the tokens outside, and `condition_BN` is not
            read.
    """
    if ratio_per not in RATIO_PER:
        raise UserError(f"masking ratio per {ratio_per!r}: expected one of {', '.join(RATIO_PER)}")
    if method not in METHODS:
        raise UserError(f"masking method {method!r}: expected one of {', '.join(METHODS)}")
    num_tokens = target_BN.shape[1]
    pair_B2 = jax.vmap(jax.random.split)(keys_B)
    progress_B = jax.vmap(jax.random.uniform)(pair_B2[:, 0])
    if ratio_per == "batch":
        progress_B = jnp.broadcast_to(progress_B[:1], progress_B.shape)
    scores_BN = jax.vmap(lambda key: jax.random.uniform(key, (num_tokens,)))(pair_B2[:, 1])
    if method == "commit":
        count_B = masked_count(mask_ratio(schedule, progress_B, num_tokens), num_tokens)
    else:
        open_B = jnp.sum(~is_condition_BN, axis=-1)
        count_B = jnp.minimum(masked_count(mask_ratio(schedule, progress_B, open_B), open_B), open_B)
        scores_BN = jnp.where(is_condition_BN, jnp.inf, scores_BN)
    hit_BN = rank(scores_BN) < count_B[:, None]
    return apply_mask(hit_BN, target_BN, condition_BN, is_condition_BN, mask_id=mask_id)


def masked_count(ratio_B: Array, num_tokens: int | Array) -> Array:
    """max(1, floor(ratio * N)), int32."""
    return jnp.maximum(1, jnp.floor(ratio_B * jnp.asarray(num_tokens, ratio_B.dtype)).astype(jnp.int32))


def rank(scores_BN: Array) -> Array:
    """Place of each score in ascending order, int32 from 0; equal scores in the order of their positions."""
    order_BN = jnp.argsort(scores_BN, axis=-1, stable=True)
    return jnp.argsort(order_BN, axis=-1, stable=True).astype(jnp.int32)


def apply_mask(
    hit_BN: Array, target_BN: Array, condition_BN: Array, is_condition_BN: Array, *, mask_id: int
) -> Corrupted:
    """Eq. 6.2 for given hits (s_i <= s*): bool [B, N] -> corrupted ids and the parts."""
    replacement_BN = jnp.where(is_condition_BN, condition_BN, mask_id)
    return Corrupted(
        ids_BN=jnp.where(hit_BN, replacement_BN, target_BN).astype(jnp.int32),
        refine_BN=hit_BN & is_condition_BN,
        mask_BN=hit_BN & ~is_condition_BN,
        reconstruct_BN=~hit_BN,
    )

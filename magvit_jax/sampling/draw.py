"""One draw of token ids from logits: temperature, the k likeliest, the likeliest that hold a share p."""

import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.tokens.factorize import bits_of, join
from magvit_jax.typing import Array, PRNGKey


def draw(
    logits_BxFV: Array, keys_B: PRNGKey, temperature: float, top_k: int | None = None, top_p: float | None = None
) -> tuple[Array, Array]:
    """Ids, and their sub-ids, drawn from each factor's distribution.

    Args:
        logits_BxFV: float32, any dimensions between the examples and the factors.
        keys_B: one key for each example; what is drawn for one does not depend on the others.
        temperature: divides the logits; 0 takes the arg max.
        top_k: draw among the k likeliest sub-ids only; None among all.
        top_p: draw among the likeliest sub-ids only that together hold this share, in (0, 1], of the probability at
            this temperature, the one that reaches it included; None among all.

    Returns:
        int32 ids [B, ...] in [0, V**F), and int32 sub-ids [B, ..., F] in [0, V).
    """
    allowed_BxFV = keep_top_k(logits_BxFV, top_k)
    if temperature == 0:
        sub_BxF = jnp.argmax(allowed_BxFV, axis=-1).astype(jnp.int32)
    else:
        allowed_BxFV = keep_top_p(allowed_BxFV / temperature, top_p)
        sub_BxF = jax.vmap(jax.random.categorical)(keys_B, allowed_BxFV).astype(jnp.int32)
    factors, sub_codes = logits_BxFV.shape[-2:]
    if factors == 1:
        return sub_BxF[..., 0], sub_BxF
    return join(sub_BxF, factors, factors * bits_of(sub_codes)), sub_BxF


def keep_top_k(logits_xV: Array, top_k: int | None) -> Array:
    """-inf for all but the k largest, and what ties with the least of them."""
    if top_k is None or top_k >= logits_xV.shape[-1]:
        return logits_xV
    smallest_x1 = jax.lax.top_k(logits_xV, top_k)[0][..., -1:]
    return jnp.where(logits_xV >= smallest_x1, logits_xV, -jnp.inf)


def keep_top_p(logits_xV: Array, top_p: float | None) -> Array:
    """-inf for all that come after the share p of the probability is reached, the likeliest first."""
    if top_p is None or top_p >= 1:
        return logits_xV
    falling_xV = -jnp.sort(-logits_xV, axis=-1)
    share_xV = jax.nn.softmax(falling_xV, axis=-1)
    before_xV = jnp.cumsum(share_xV, axis=-1) - share_xV
    smallest_x1 = jnp.min(jnp.where(before_xV < top_p, falling_xV, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits_xV >= smallest_x1, logits_xV, -jnp.inf)


def check(temperature: float, top_k: int | None, top_p: float | None = None) -> None:
    """UserError for settings that no draw can have."""
    if temperature < 0:
        raise UserError(f"sampling temperature {temperature}: expected 0 or more")
    if top_k is not None and top_k < 1:
        raise UserError(f"top_k {top_k}: expected 1 or more")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"top_p {top_p}: expected above 0, and 1 at most")

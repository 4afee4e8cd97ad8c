"""Mask schedules gamma: progress r in [0, 1] -> share of masked tokens, from 1 down to 0 (thesis 6.3)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError

SMALLEST_RATIO = 1e-6
ROUNDING_DECIMALS = 9  # see `remask_table`

# Each takes (array module, r, number of tokens); `log` and `exp` end at one token rather than at a share of
# zero.
_SCHEDULES: dict[str, Callable] = {
    "uniform": lambda xp, r, n: 1.0 - r,
    "cosine": lambda xp, r, n: xp.cos(r * (np.pi / 2)),
    "log": lambda xp, r, n: -xp.log2(xp.maximum(r, 1e-30)) / xp.log2(n),
    "exp": lambda xp, r, n: 1.0 - xp.exp2(-xp.log2(n) * (1.0 - r)),
}
SCHEDULE_NAMES = (*_SCHEDULES, "pow<x>, as in pow2.5")


def check_schedule(name: str) -> None:
    """UserError naming the known schedules unless `name` is one of them."""
    _resolve(name)


def mask_ratio(name: str, progress, num_tokens: int):
    """gamma(progress), clipped to [1e-6, 1].

    Args:
        name: "uniform", "cosine", "log", "exp" or "pow<x>" (1 - r**x, as in "pow2").
        progress: r in [0, 1]; a jax array gives a jax array, all else is computed by numpy in float64.
        num_tokens: N, which only "log" and "exp" depend on; one, or one for each r.
    """
    gamma = _resolve(name)
    if isinstance(progress, jax.Array):
        tokens = jnp.maximum(jnp.asarray(num_tokens), 2).astype(progress.dtype)
        return jnp.clip(gamma(jnp, progress, tokens), SMALLEST_RATIO, 1.0)
    tokens = np.maximum(np.asarray(num_tokens, np.float64), 2)  # log2(1) = 0 would divide by zero
    return np.clip(gamma(np, np.asarray(progress, np.float64), tokens), SMALLEST_RATIO, 1.0)


def remask_table(name: str, steps: int, num_tokens: int) -> np.ndarray:
    """Number of tokens that stay unknown after each decoding step, for every number of tokens to decode.

    After step t (from 0) of `steps`, `max(1, min(u - 1, floor(gamma((t + 1) / steps) * n)))` tokens are
    unknown, where n were unknown at the start and u before this step. Algorithm 1 of the thesis writes a
    ceiling; section 5 and the authors' code take the floor. One order of operations, in float64 and rounded
    to nine decimals before the floor, because the product often is an integer that floating point misses
    (cosine, step 8 of 12, 1,024 tokens: 512).

    Returns:
        int32 [steps, num_tokens + 1]; the column is n. Column 0 is 0: nothing to decode.
    """
    if steps < 1:
        raise UserError(f"decoding in {steps} steps: expected 1 or more")
    tokens = np.arange(num_tokens + 1)
    unknown, rows = tokens, []
    for step in range(steps):
        product = mask_ratio(name, (step + 1) / steps, tokens) * tokens
        wanted = np.floor(np.round(product, ROUNDING_DECIMALS)).astype(np.int64)
        unknown = np.minimum(np.maximum(1, np.minimum(unknown - 1, wanted)), tokens)
        rows.append(unknown)
    return np.stack(rows).astype(np.int32)


def _resolve(name: str) -> Callable:
    if name in _SCHEDULES:
        return _SCHEDULES[name]
    if name.startswith("pow"):
        try:
            exponent = float(name[len("pow") :])
        except ValueError:
            exponent = 0.0
        if exponent > 0:
            return lambda xp, r, n: 1.0 - r**exponent
    raise UserError(f"mask schedule {name!r} is unknown; known are: {', '.join(SCHEDULE_NAMES)}")

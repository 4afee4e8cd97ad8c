"""Scales of classifier-free guidance over the decoding steps: s in l + s (l - u), one for each step.

The progress after step t (from 0) of K is r = (t + 1) / K, as in the mask schedules; the scale grows with
it, so that the first tokens are drawn from the conditional distribution itself, the last ones at full scale.

    constant        s
    linear          s r
    cosine          s (1 - cos(pi r)) / 2
    power_cosine    s (1 - cos(pi r^p)) / 2, the schedule of MDT (Gao et al. 2023), which thesis 5.4.2 adopts

MDT writes u + c (l - u) with c = 1 + (c_full - 1) (1 - cos(pi r^p)) / 2 and p = 4. That is
l + (c - 1) (l - u): its c_full is 1 + s here.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from magvit_jax.errors import UserError

# Each takes (r, p) and gives the share of the scale that is in force.
GUIDANCE_SCHEDULES: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "constant": lambda r, p: np.ones_like(r),
    "linear": lambda r, p: r,
    "cosine": lambda r, p: (1.0 - np.cos(np.pi * r)) / 2.0,
    "power_cosine": lambda r, p: (1.0 - np.cos(np.pi * r**p)) / 2.0,
}


def guidance_table(
    scale: float | Sequence[float], steps: int, schedule: str = "constant", power: float = 1.0
) -> np.ndarray:
    """The scale of each decoding step, float64 [steps].

    Args:
        scale: s, 0 or more; or the whole table, a number for each step, for schedule "constant" only.
        steps: K, 1 or more.
        schedule: a name out of `GUIDANCE_SCHEDULES`.
        power: p, above 0; read by "power_cosine" only. The larger, the later the guidance sets in.

    Raises:
        UserError: a number below 0, an unknown schedule, or a table of another length than `steps`.
    """
    if steps < 1:
        raise UserError(f"decoding in {steps} steps: expected 1 or more")
    if schedule not in GUIDANCE_SCHEDULES:
        raise UserError(
            f"guidance schedule {schedule!r} is unknown; expected one of {', '.join(GUIDANCE_SCHEDULES)}"
        )
    if not power > 0:
        raise UserError(f"guidance power {power}: expected above 0")
    scales = np.asarray(scale, np.float64)
    if scales.ndim > 1 or (scales.ndim == 1 and len(scales) != steps):
        raise UserError(
            f"guidance scale of shape {scales.shape}: expected one, or one for each of {steps} steps"
        )
    if not np.all(scales >= 0):
        raise UserError(f"guidance scale {scale}: expected 0 or more")
    if scales.ndim == 1 and schedule != "constant":
        raise UserError(
            f"guidance scale for each step with schedule {schedule!r}: expected one scale, or 'constant'"
        )
    progress = (np.arange(steps) + 1) / steps
    return scales * GUIDANCE_SCHEDULES[schedule](progress, power)

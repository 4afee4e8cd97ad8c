"""Whether a number can be chance: hits against guessing, and one method against another over paired seeds."""

import dataclasses
from typing import Literal

import numpy as np
from scipy import stats

from magvit_jax.errors import UserError
from magvit_jax.metrics.intervals import Interval, bootstrap_mean_difference, paired_differences

EXACT_PAIRS = 16  # up to 65,536 flips are enumerated
LEVEL = 1 / 16  # what five pairs can reach at best: 2 of 2^5 flips


def binomial_p_value(correct: int, trials: int, chance: float) -> float:
    """Probability of `correct` or more hits in `trials` independent guesses, each right by `chance`.

    One-sided and exact. Recognition is above chance at level p where this is below p.
    """
    if not 0 <= correct <= trials or trials < 1 or not 0 < chance < 1:
        raise UserError(
            f"{correct} correct of {trials} at chance {chance}: expected 0..{trials}, chance in (0,1)"
        )
    return float(stats.binom.sf(correct - 1, trials, chance))


def sign_flip_p_value(a_N, b_N, *, resamples: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of the paired sign-flip permutation test of the mean of a - b.

    If neither of a and b were better, each difference could as well have had the other sign. p is the share
    of all 2^N flips whose |sum| reaches the measured one. Up to `EXACT_PAIRS` pairs all flips are counted:
    the smallest p is 2 / 2^N, 1/16 for five pairs. Beyond, `resamples` random flips and the measured one are.

    Args:
      a_N, b_N: numbers of N pairs, N at least 2.

    Raises:
      UserError: lengths that differ, fewer than 2 pairs, or NaN.
    """
    difference_N = paired_differences(a_N, b_N)
    count = len(difference_N)
    measured = (
        abs(difference_N.sum()) - 1e-12 * np.abs(difference_N).sum()
    )  # sums that tie but for rounding count
    if count <= EXACT_PAIRS:
        flips_RN = 1.0 - 2.0 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float(np.mean(np.abs(flips_RN @ difference_N) >= measured))
    if resamples < 1:
        raise UserError(f"{resamples} resamples: expected 1 or more")
    rng, reached = np.random.default_rng(seed), 1
    for start in range(0, resamples, 1000):
        flips_RN = 1.0 - 2.0 * rng.integers(2, size=(min(1000, resamples - start), count))
        reached += int(np.sum(np.abs(flips_RN @ difference_N) >= measured))
    return reached / (resamples + 1)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
      verdict: "a better", "b better" or "undecided".
      difference: mean of a - b with its interval.
      p_value: of `sign_flip_p_value`.
      pairs: how many.
    """

    verdict: Literal["a better", "b better", "undecided"]
    difference: Interval
    p_value: float
    pairs: int


def compare(
    a_N, b_N, *, better: Literal["higher", "lower"] = "higher", level: float = LEVEL, seed: int = 0
) -> Comparison:
    """Whether a is better than b, from paired measurements such as one a seed.

    The rule: decided if p <= `level` in the sign-flip test and the BCa interval of confidence 1 - `level`
    does not hold 0; the sign of the mean difference then says for whom. Otherwise "undecided", which is not
    "equal".

    The default level of 1/16 is the least that five pairs can reach: five are decided where all differences
    have one sign, and four or fewer never. Of comparisons without any true difference one in sixteen is then
    decided by chance; nothing is corrected for making several.

    Args:
      a_N, b_N: numbers of N pairs, N at least 2; entry i of both belongs to pair i.
      better: whether the better number is the higher or the lower.
      level: in (0, 1).
      seed: of the bootstrap, and of the flips beyond 16 pairs.

    Raises:
      UserError: lengths that differ, fewer than 2 pairs, NaN, or another word than these for `better`.
    """
    if better not in ("higher", "lower"):
        raise UserError(f"better is {better!r}: expected 'higher' or 'lower'")
    difference = bootstrap_mean_difference(a_N, b_N, confidence=1.0 - level, seed=seed)
    p_value = sign_flip_p_value(a_N, b_N, seed=seed)
    verdict = "undecided"
    if p_value <= level and not difference.contains(0.0):
        verdict = "a better" if (difference.estimate > 0) == (better == "higher") else "b better"
    return Comparison(verdict, difference, p_value, len(a_N))

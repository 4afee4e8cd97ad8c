"""Whether a number can be chance: hits against guessing, and one method against another over paired seeds."""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import stats

from magvit_jax.errors import UserError
from magvit_jax.metrics.intervals import Interval, bootstrap, bootstrap_mean_difference, paired_differences

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
    return Comparison(_verdict(difference, p_value, level, better), difference, p_value, len(a_N))


def exchange_p_value(
    value: Callable[[np.ndarray], float], a, b, *, paired: bool, resamples: int = 999, seed: int = 0
) -> float:
    """Two-sided p-value of value(a) - value(b) by permutation, for metrics of a whole set such as a Frechet distance.

    If the two systems were alike, it would not matter which of them made a sample. So samples change sides at
    random; p is the share of exchanges, the measured sides among them, whose |difference| reaches the measured one.

    Args:
      value: the metric of one system's samples.
      a, b: samples of both systems, along the first axis.
      paired: entry i of both belongs together, as two samples from one condition, and only these two change
        places; else any do.

    Raises:
      UserError: shapes that do not fit, fewer than 2 samples, or no resamples.
    """
    a, b = _two_sets(a, b, paired)
    if resamples < 1:
        raise UserError(f"{resamples} resamples: expected 1 or more")
    measured, rng, reached = abs(value(a) - value(b)), np.random.default_rng(seed), 1
    both = np.concatenate([a, b])
    for _ in range(resamples):
        if paired:
            swapped = np.arange(len(a)) + len(a) * rng.integers(2, size=len(a))
            order = np.concatenate([swapped, (swapped + len(a)) % len(both)])
        else:
            order = rng.permutation(len(both))
        difference = value(both[order[: len(a)]]) - value(both[order[len(a) :]])
        reached += abs(difference) >= measured * (1 - 1e-12)  # sums that tie but for rounding count
    return reached / (resamples + 1)


def compare_sets(
    value: Callable[[np.ndarray], float],
    a,
    b,
    *,
    paired: bool,
    better: Literal["higher", "lower"],
    level: float = 0.05,
    resamples: int = 999,
    seed: int = 0,
) -> Comparison:
    """Whether system a is better than b by a metric of a whole set; see `exchange_p_value`.

    The rule is that of `compare`: p <= `level`, and a centred bootstrap interval of confidence 1 - `level` without
    0. `pairs` of the result counts the samples of the smaller set.

    Raises:
      UserError: as `exchange_p_value`, or another word than these for `better`.
    """
    if better not in ("higher", "lower"):
        raise UserError(f"better is {better!r}: expected 'higher' or 'lower'")
    a, b = _two_sets(a, b, paired)
    difference = bootstrap(
        lambda a, b: value(a) - value(b),
        a,
        b,
        paired=paired,
        method="centred",
        confidence=1.0 - level,
        resamples=resamples,
        seed=seed,
    )
    p_value = exchange_p_value(value, a, b, paired=paired, resamples=resamples, seed=seed)
    return Comparison(_verdict(difference, p_value, level, better), difference, p_value, min(len(a), len(b)))


def _verdict(difference: Interval, p_value: float, level: float, better: str) -> str:
    if p_value > level or difference.contains(0.0):
        return "undecided"
    return "a better" if (difference.estimate > 0) == (better == "higher") else "b better"


def _two_sets(a, b, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim < 1 or a.shape[1:] != b.shape[1:] or min(len(a), len(b)) < 2 or (paired and len(a) != len(b)):
        pairs = "pairs" if paired else "sets"
        raise UserError(f"{pairs} of shapes {list(a.shape)} and {list(b.shape)}: expected 2 or more that fit")
    return a, b

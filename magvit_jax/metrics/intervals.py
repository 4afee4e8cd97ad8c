"""Bootstrap confidence intervals (Efron & Tibshirani 1993), seeded. NumPy in float64."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from scipy import stats

from magvit_jax.errors import UserError

METHODS = ("percentile", "centred")


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
      estimate: from all samples.
      low, high: ends of the interval.
      confidence: probability, in (0, 1), with which such an interval is meant to hold the true value.
    """

    estimate: float
    low: float
    high: float
    confidence: float

    def contains(self, value: float) -> bool:
        """Whether the value lies in the interval, ends included."""
        return self.low <= value <= self.high


def bootstrap_mean_difference(
    a_N, b_N, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """BCa interval of the mean of a - b over pairs.

    Pairs are drawn with replacement. BCa (bias-corrected and accelerated) because differences are often
    skewed: its ends move with the skewness, the percentile interval's do not. With a handful of pairs it is
    narrower than it claims, as every bootstrap is: of five it can never reach past the largest difference.
    `compare` therefore asks an exact test too.

    Args:
      a_N, b_N: numbers of N pairs, N at least 2; entry i of both belongs to pair i.

    Raises:
      UserError: lengths that differ, fewer than 2 pairs, NaN, or bad settings.
    """
    return bootstrap_mean(paired_differences(a_N, b_N), confidence=confidence, resamples=resamples, seed=seed)


def bootstrap_mean(
    values_N, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """BCa interval of the mean of N independent values, such as one a clip; see `bootstrap_mean_difference`.

    Args:
      values_N: finite numbers, N at least 2.

    Raises:
      UserError: another shape, NaN or infinity, or bad settings.
    """
    _check_settings(confidence, resamples)
    values_N = np.asarray(values_N, np.float64)
    if values_N.ndim != 1 or len(values_N) < 2 or not np.isfinite(values_N).all():
        raise UserError(f"mean of values of shape {list(values_N.shape)}: expected 2 or more finite numbers")
    estimate = float(values_N.mean())
    if np.ptp(values_N) == 0.0:
        return Interval(estimate, estimate, estimate, confidence)
    count = len(values_N)
    means_R = np.concatenate([times_RN @ values_N for times_RN in draws(count, resamples, seed)]) / count
    below = (np.mean(means_R < estimate) + np.mean(means_R <= estimate)) / 2
    bias = stats.norm.ppf(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    acceleration = _acceleration_of_mean(values_N)
    z_2 = bias + stats.norm.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = np.quantile(means_R, stats.norm.cdf(bias + z_2 / (1 - acceleration * z_2)))
    return Interval(estimate, float(low), float(high), confidence)


def draws(count: int, resamples: int, seed: int | tuple[int, ...]) -> Iterator[np.ndarray]:
    """How often each of `count` samples is drawn, int [R, N], in pieces of at most 256 resamplings."""
    rng, weights = np.random.default_rng(seed), np.full(count, 1.0 / count)
    for start in range(0, resamples, 256):  # the pieces bound the memory where there are many samples
        yield rng.multinomial(count, weights, min(256, resamples - start))


def bootstrap_counts(
    statistic: Callable[[np.ndarray], float],
    count: int,
    *,
    method: Literal["percentile", "centred"] = "centred",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """`bootstrap` of a statistic that takes how often each sample counts, int64 [N]: quicker where it can be
    computed from sums over samples. All ones give the estimate.

    Raises:
      UserError: an unknown method, fewer than 2 samples, or bad settings.
    """
    _check_settings(confidence, resamples)
    if method not in METHODS:
        raise UserError(f"method {method!r} of a bootstrap: expected one of {', '.join(METHODS)}")
    if count < 2:
        raise UserError(f"bootstrap of {count} samples: expected 2 or more")
    estimate = float(statistic(np.ones(count, np.int64)))
    values_R = [statistic(times_N) for times_RN in draws(count, resamples, seed) for times_N in times_RN]
    return interval_of(estimate, np.asarray(values_R), method, confidence)


def interval_of(estimate: float, values_R: np.ndarray, method: str, confidence: float) -> Interval:
    """Quantiles of resampled values; "centred" ones are moved first so that their mean is the estimate."""
    if method == "centred":
        values_R = values_R + (estimate - values_R.mean())
    low, high = np.quantile(values_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high), confidence)


def bootstrap(
    statistic: Callable[..., float],
    *samples,
    paired: bool = False,
    method: Literal["percentile", "centred"] = "percentile",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Interval of any statistic of one or more sets of samples, by resampling each of them with replacement.

    "percentile" takes the quantiles of the resampled values. "centred" moves these first so that their mean
    is the estimate. That is for statistics which every resampling pushes the same way: a Frechet distance
    grows by about its own bias of 1/N, and the percentile interval may not even hold the estimate. The
    centred interval says how much the measured value would vary with other samples of the same N; it does not
    take the bias of that N away.

    Args:
      statistic: takes as many arrays as there are samples, and gives a number.
      samples: arrays with samples along the first axis, at least 2 each.
      paired: the same draw for all: entry i of each belongs together, as a clip and its reconstruction.

    Raises:
      UserError: an unknown method, too few samples, lengths that differ although paired, or bad settings.
    """
    _check_settings(confidence, resamples)
    samples = [np.asarray(sample) for sample in samples]
    if method not in METHODS:
        raise UserError(f"method {method!r} of a bootstrap: expected one of {', '.join(METHODS)}")
    counts = [len(sample) if sample.ndim else 0 for sample in samples]
    if not counts or min(counts) < 2:
        raise UserError(f"bootstrap of {counts} samples: expected 2 or more in each set")
    if paired and len(set(counts)) > 1:
        raise UserError(f"bootstrap of pairs: sets of {counts} samples; expected as many in each")
    rng = np.random.default_rng(seed)
    estimate = float(statistic(*samples))
    values_R = np.empty(resamples)
    for r in range(resamples):
        drawn = [rng.integers(count, size=count) for count in (counts[:1] if paired else counts)]
        chosen = drawn * len(samples) if paired else drawn
        values_R[r] = statistic(*(sample[rows] for sample, rows in zip(samples, chosen, strict=True)))
    return interval_of(estimate, values_R, method, confidence)


def paired_differences(a_N, b_N) -> np.ndarray:
    """a - b of N pairs, float64 [N]. UserError for fewer than 2, lengths that differ, NaN or infinity."""
    a_N, b_N = np.asarray(a_N, np.float64), np.asarray(b_N, np.float64)
    if a_N.shape != b_N.shape or a_N.ndim != 1 or len(a_N) < 2:
        raise UserError(
            f"pairs of shapes {list(a_N.shape)} and {list(b_N.shape)}: expected [N] twice, N at least 2"
        )
    bad = np.flatnonzero(~(np.isfinite(a_N) & np.isfinite(b_N)))
    if len(bad):
        raise UserError(f"pair {bad[0]} is {a_N[bad[0]]} and {b_N[bad[0]]}; expected finite numbers")
    return a_N - b_N


def _acceleration_of_mean(values_N: np.ndarray) -> float:
    """From the jackknife, in closed form: leaving x_i out of a mean moves it by (mean - x_i) / (N - 1)."""
    centred_N = values_N - values_N.mean()
    return float(np.sum(centred_N**3) / (6.0 * np.sum(centred_N**2) ** 1.5))


def _check_settings(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1 or resamples < 1:
        raise UserError(
            f"confidence {confidence}, {resamples} resamples: expected a number in (0, 1), and 1 or more"
        )

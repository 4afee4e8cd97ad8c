"""A measured number with all that it hangs on, and the functions that make one of features or of values."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import Protocol

CONFIDENCE = 0.95
#: Resamplings of a Frechet distance; the second where each takes seconds: many samples of Inception's 2,048 features.
FRECHET_RESAMPLES, SLOW_FRECHET_RESAMPLES = 200, 40
_SLOW_WIDTH = 1024


@dataclasses.dataclass(frozen=True)
class Measured:
    """One number.

    Attributes:
      metric: "fvd", "lpips", ...
      value: the mean over folds.
      low, high: ends of its bootstrap interval over clips; None where there are too few clips for one.
      confidence: of the interval.
      better: whether a higher or a lower value is.
      protocol: name of its protocol.
      network: name and fingerprint of the network that it was measured with; empty where none was.
      real, made: samples on both sides, made ones of all folds together. 0 where there is no such side.
      folds: the value of each fold.
      spread: standard deviation over folds (N - 1); None with one.
      warning: what takes meaning from the number; empty where nothing does.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    confidence: float
    better: str
    protocol: str
    network: str
    real: int
    made: int
    folds: tuple[float, ...]
    spread: float | None
    warning: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self) | {"folds": list(self.folds)}


def mean_interval(values_N: np.ndarray, seed: int = 0) -> tuple[float | None, float | None]:
    """Ends of the BCa interval of a mean over clips; None twice for one clip or a value that is not finite."""
    if len(values_N) < 2 or not np.isfinite(values_N).all():
        return None, None
    interval = metrics.bootstrap_mean(values_N, confidence=CONFIDENCE, seed=seed)
    return interval.low, interval.high


def network_mark(network: Any) -> str:
    """What results say of a network."""
    return f"{network.name}@{network.fingerprint}"


def measure_frechet(
    metric: str,
    protocol: Protocol,
    real_NF: np.ndarray,
    made: Sequence[np.ndarray],
    *,
    network: str,
    paired: bool,
    owners: Sequence[np.ndarray] | None = None,
    resamples: int | None = None,
    seed: int = 0,
    warning: str = "",
) -> Measured:
    """A Frechet distance of features, the mean over folds.

    Args:
      real_NF: features of the real clips [N, F].
      made: those of the made clips, an array for each fold.
      network: see `network_mark`.
      paired: made clip i of every fold was made of real clip i.
      owners: which recording each sample is out of, see `metrics.bootstrap_frechet`.
      resamples: of the bootstrap; 0 for no interval. By default 200, or 40 where each takes seconds.
      warning: what is known already; too few samples for a covariance of full rank is added.

    Raises:
      UserError: fewer than 2 samples in a set.
    """
    sides = [metrics.FeatureStatistics.of(features_NF) for features_NF in (real_NF, *made)]
    for side, name in zip(sides, ("real", *["made"] * len(made)), strict=True):
        if side.count < 2:
            raise UserError(f"{metric}: 1 {name} sample; expected 2 or more for a covariance")
    folds = tuple(metrics.frechet_distance_of_statistics(sides[0], side) for side in sides[1:])
    low = high = None
    if resamples is None:
        slow = min(real_NF.shape[1], *(side.count for side in sides)) > _SLOW_WIDTH
        resamples = SLOW_FRECHET_RESAMPLES if slow else FRECHET_RESAMPLES
    if resamples and all(numbers_N.max() > 0 for numbers_N in owners or ()):
        interval = metrics.bootstrap_frechet(
            real_NF,
            made,
            paired=paired,
            owners=owners,
            estimate=float(np.mean(folds)),
            confidence=CONFIDENCE,
            resamples=resamples,
            seed=seed,
        )
        low, high = max(interval.low, 0.0), interval.high
    fewest, width = min(side.count for side in sides), real_NF.shape[1]
    few = f"{fewest:,} samples for {width:,} features: the covariance is singular and the value too large"
    return _measured(
        metric,
        protocol,
        folds,
        low,
        high,
        "lower",
        network=network,
        real=sides[0].count,
        made=sum(side.count for side in sides[1:]),
        warning=_joined(warning, few if fewest <= width else ""),
    )


def measure_inception(
    metric: str,
    protocol: Protocol,
    made: Sequence[np.ndarray],
    *,
    network: str,
    resamples: int = 1000,
    seed: int = 0,
    warning: str = "",
) -> Measured:
    """An Inception Score, the mean over folds.

    Args:
      made: probabilities [N, V] of the made clips of each fold.
    """
    folds = tuple(metrics.inception_score(p_NV) for p_NV in made)
    low = high = None
    if min(map(len, made)) > 1:
        # Resampling repeats samples, which lowers every score: hence centred. Folds are one set for the interval.
        low, high = _bounds(_inception_interval(np.concatenate(made), resamples, seed), float(np.mean(folds)))
    fewest, classes = min(map(len, made)), made[0].shape[1]
    few = f"{fewest:,} samples for {classes:,} classes: the score is too low" if fewest < 10 * classes else ""
    return _measured(
        metric,
        protocol,
        folds,
        low,
        high,
        "higher",
        network=network,
        real=0,
        made=sum(map(len, made)),
        warning=_joined(warning, few),
    )


def _inception_interval(p_NV: np.ndarray, resamples: int, seed: int) -> metrics.Interval:
    entropy_N = -np.sum(np.where(p_NV > 0, p_NV * np.log(np.where(p_NV > 0, p_NV, 1.0)), 0.0), axis=1)

    def score(times_N: np.ndarray) -> float:
        total = times_N.sum()
        mean_V = times_N @ p_NV / total
        mean_V = mean_V[mean_V > 0]
        return float(np.exp(-np.sum(mean_V * np.log(mean_V)) - times_N @ entropy_N / total))

    return metrics.bootstrap_counts(score, len(p_NV), confidence=CONFIDENCE, resamples=resamples, seed=seed)


def measure_mean(
    metric: str,
    protocol: Protocol,
    values_N: np.ndarray,
    *,
    better: str,
    network: str = "",
    seed: int = 0,
    warning: str = "",
) -> Measured:
    """The mean of a value a clip, such as PSNR or LPIPS, with its BCa interval.

    Args:
      values_N: a value of each clip, or [N, S] of S clips made from the same condition, of which the best counts.
    """
    values_N = np.asarray(values_N, np.float64)
    if values_N.ndim == 2:
        values_N = values_N.max(axis=1) if better == "higher" else values_N.min(axis=1)
    low, high = mean_interval(values_N, seed)
    count = len(values_N)
    return _measured(
        metric,
        protocol,
        (float(values_N.mean()),),
        low,
        high,
        better,
        network=network,
        real=count,
        made=count,
        warning=warning,
    )


def measure_counts(
    metric: str,
    protocol: Protocol,
    clips: Sequence[np.ndarray],
    codes: int,
    value,
    *,
    better: str,
    resamples: int = 200,
    seed: int = 0,
) -> Measured:
    """A number of how often codes occur, such as perplexity; ids of one clip are drawn together.

    Args:
      clips: ids of each clip.
      value: takes `CodebookCounts`, gives the number.
    """
    # A clip shows few of up to 2^18 codes: hence sparse. Duplicates add up.
    owner = np.repeat(np.arange(len(clips)), [np.size(ids) for ids in clips])
    ids_S = np.concatenate([np.ravel(ids) for ids in clips])
    counts_KN = sparse.coo_array((np.ones(len(ids_S), np.int64), (ids_S, owner)), (codes, len(clips))).tocsr()

    def of_draw(times_N: np.ndarray) -> float:
        return value(metrics.CodebookCounts(counts_KN @ times_N))

    everything = of_draw(np.ones(len(clips), np.int64))
    low = high = None
    if len(clips) > 1:
        interval = metrics.bootstrap_counts(
            of_draw, len(clips), confidence=CONFIDENCE, resamples=resamples, seed=seed
        )
        low, high = interval.low, interval.high
    count = len(clips)
    return _measured(
        metric, protocol, (everything,), low, high, better, network="", real=count, made=count, warning=""
    )


def _measured(metric, protocol, folds, low, high, better, *, network, real, made, warning) -> Measured:
    value = float(np.mean(folds))
    expected = protocol.folds
    of_folds = f"{protocol.name} takes {expected} folds, here is {len(folds)}" if len(folds) < expected else ""
    return Measured(
        metric=metric,
        value=value,
        low=low,
        high=high,
        confidence=CONFIDENCE,
        better=better,
        protocol=protocol.name,
        network=network,
        real=real,
        made=made,
        folds=folds,
        spread=float(np.std(folds, ddof=1)) if len(folds) > 1 else None,
        warning=_joined(warning, of_folds),
    )


def _bounds(interval: metrics.Interval, value: float) -> tuple[float, float]:
    """An interval around another estimate of the same number."""
    return interval.low + value - interval.estimate, interval.high + value - interval.estimate


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)

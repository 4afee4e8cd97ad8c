"""The bootstrap interval of a Frechet distance, quick enough for hundreds of features. NumPy, float64."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.metrics.feature_statistics import checked_features, require_same_width
from magvit_jax.metrics.intervals import Interval, draws, interval_of

_DISTINCT = 0.64  # share of the samples that a resampling draws at least once


def bootstrap_frechet(
    real_NF,
    made: Sequence,
    *,
    paired: bool,
    owners: Sequence[np.ndarray] | None = None,
    estimate: float | None = None,
    confidence: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Interval:
    """Centred interval of the mean Frechet distance of some sets of made samples from one set of real ones.

    The distance of every resampling is too large, by about as much as the measured one is; so the values are
    moved to the measured one (`metrics.bootstrap`, "centred"). The bias of this number of samples stays.

    With fewer samples than features only products of samples are needed; else covariances are.

    Args:
      real_NF: features [N, F].
      made: one such array for each fold.
      paired: sample i of each made set was made of real sample i, so both are drawn together.
      owners: of the real set and of each made one, the number of the recording (from 0) that each sample is out of,
        where they are not independent: all samples of a recording are drawn together. By default each is its own.
      estimate: the measured distance; computed here where it is not given.

    Raises:
      UserError: fewer than 2 samples in a set, different widths, sets of pairs of several lengths.
    """
    real_NF = checked_features(real_NF, "real features")
    made = [checked_features(features_NF, "made features") for features_NF in made]
    for features_NF in made:
        require_same_width(real_NF[0], features_NF[0])
    owners = owners or [np.arange(len(x)) for x in (real_NF, *made)]
    lengths = [int(numbers_N.max()) + 1 for numbers_N in owners]
    if min(lengths) < 2 or len(lengths) < 2 or (paired and len(set(lengths)) > 1):
        raise UserError(f"bootstrap of {lengths} samples: expected 2 or more in each set, as many in each of pairs")
    small = _DISTINCT * max(len(x) for x in (real_NF, *made)) < real_NF.shape[1]
    distances = [(_by_products if small else _by_covariances)(real_NF, features_NF) for features_NF in made]
    if estimate is None:
        estimate = _mean(distances, *(np.ones(len(x)) for x in (real_NF, *made)))
    # A stream of draws for each set, or one for all pairs.
    streams = [
        _all_draws(length, numbers_N, resamples, (seed, 0 if paired else k))
        for k, (length, numbers_N) in enumerate(zip(lengths, owners, strict=True))
    ]
    values_R = np.asarray([_mean(distances, *times) for times in zip(*streams, strict=True)])
    return interval_of(estimate, values_R, "centred", confidence)


def _all_draws(count: int, owners_N: np.ndarray, resamples: int, seed: tuple[int, int]) -> Iterator[np.ndarray]:
    """How often each sample counts, resampling by resampling."""
    for times_RO in draws(count, resamples, seed):
        yield from times_RO[:, owners_N]


Distance = Callable[[np.ndarray, np.ndarray], float]


def _mean(distances: Sequence[Distance], times_real_N: np.ndarray, *times_made: np.ndarray) -> float:
    pairs = zip(distances, times_made, strict=True)
    return float(np.mean([distance(times_real_N, times_N) for distance, times_N in pairs]))


def _by_products(a_NF: np.ndarray, b_NF: np.ndarray) -> Distance:
    """tr (A B)^(1/2) is the nuclear norm of X_a X_b^T, X the centred samples, over sqrt((N_a - 1)(N_b - 1))."""
    mean_a_F, mean_b_F = a_NF.mean(axis=0), b_NF.mean(axis=0)
    a_NF, b_NF, step_F = a_NF - mean_a_F, b_NF - mean_b_F, mean_a_F - mean_b_F
    products_NN = a_NF @ b_NF.T
    squares = [np.square(x).sum(axis=1) for x in (a_NF, b_NF)]

    def distance(times_a: np.ndarray, times_b: np.ndarray) -> float:
        n_a, n_b = times_a.sum(), times_b.sum()
        shift_a_F, shift_b_F = times_a @ a_NF / n_a, times_b @ b_NF / n_b
        rows, columns = times_a > 0, times_b > 0
        centred_NN = products_NN - (times_a @ products_NN) / n_a
        centred_NN = centred_NN - (centred_NN @ times_b / n_b)[:, None]
        weights_NN = np.sqrt(np.outer(times_a[rows], times_b[columns]))
        norm = np.linalg.svd(centred_NN[np.ix_(rows, columns)] * weights_NN, compute_uv=False).sum()
        trace_a = (times_a @ squares[0] - n_a * shift_a_F @ shift_a_F) / (n_a - 1)
        trace_b = (times_b @ squares[1] - n_b * shift_b_F @ shift_b_F) / (n_b - 1)
        between = np.square(step_F + shift_a_F - shift_b_F).sum()
        return float(between + trace_a + trace_b - 2.0 * norm / np.sqrt((n_a - 1) * (n_b - 1)))

    return distance


def _by_covariances(a_NF: np.ndarray, b_NF: np.ndarray) -> Distance:
    """As `frechet_distance_of_moments`; eigenvalues in place of singular values, which is exact enough here."""

    def distance(times_a: np.ndarray, times_b: np.ndarray) -> float:
        mean_a_F, covariance_a_FF = _moments(a_NF, times_a)
        mean_b_F, covariance_b_FF = _moments(b_NF, times_b)
        values_F, vectors_FF = np.linalg.eigh(covariance_a_FF)
        scaled_FF = vectors_FF * np.sqrt(np.maximum(values_F, 0.0))
        overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(scaled_FF.T @ covariance_b_FF @ scaled_FF), 0.0)).sum()
        traces = np.trace(covariance_a_FF) + np.trace(covariance_b_FF)
        return float(np.square(mean_a_F - mean_b_F).sum() + traces - 2.0 * overlap)

    return distance


def _moments(x_NF: np.ndarray, times_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count, drawn = times_N.sum(), times_N > 0
    mean_F = times_N @ x_NF / count
    centred_NF = (x_NF[drawn] - mean_F) * np.sqrt(times_N[drawn])[:, None]
    return mean_F, centred_NF.T @ centred_NF / (count - 1)

"""Count, mean and covariance of features seen in batches, on one host or several. NumPy, float64."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.metrics.sums import add, two_sum


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Count, mean and scatter of features seen so far; `update` and `merge` return new statistics.

    Any order and any batching give what one pass gives, to a few units in float64's last place. Only centred
    products are summed (Chan, Golub & LeVeque 1979), so a mean that is large beside the spread costs nothing,
    and means and sums carry along what rounding took from them (`metrics.sums`).

    Attributes:
      count: samples seen.
      mean_F: their mean, float64.
      scatter_FF: sum over samples of (x - mean) (x - mean)^T, float64.
      mean_low_F, scatter_low_FF: the part of both below float64's last digit.
    """

    count: int
    mean_F: np.ndarray
    scatter_FF: np.ndarray
    mean_low_F: np.ndarray
    scatter_low_FF: np.ndarray

    @classmethod
    def empty(cls, width: int) -> "FeatureStatistics":
        """Of no sample of `width` features."""
        return cls(0, *(np.zeros(shape) for shape in ((width,), (width, width)) * 2))

    @classmethod
    def of(cls, features_NF) -> "FeatureStatistics":
        """Of real numbers [N, F], N at least 1. UserError for another shape or type, NaN or infinity."""
        features_NF = checked_features(features_NF, "features")
        mean_F = features_NF.mean(axis=0)
        centred_NF = features_NF - mean_F
        scatter_FF = centred_NF.T @ centred_NF
        # The rounded mean is a little off, which counts where batches with almost the same mean are merged.
        mean = two_sum(mean_F, centred_NF.mean(axis=0))
        return cls(len(features_NF), *_interleaved(mean, (scatter_FF, np.zeros_like(scatter_FF))))

    def update(self, features_NF) -> "FeatureStatistics":
        """With one more batch [N, F]."""
        return self.merge(self.of(features_NF))

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """Of both sets of samples. UserError where they have different widths."""
        require_same_width(self.mean_F, other.mean_F)
        count = self.count + other.count
        if other.count == 0 or self.count == 0:
            return self if other.count == 0 else other
        step_F, step_low_F = two_sum(other.mean_F, -self.mean_F)
        step_F = step_F + (step_low_F + other.mean_low_F - self.mean_low_F)
        between_FF = np.outer(step_F, step_F) * (self.count * other.count / count)
        mean = add(self.mean_F, self.mean_low_F, step_F * (other.count / count))
        terms = other.scatter_FF, other.scatter_low_FF, between_FF
        scatter = add(self.scatter_FF, self.scatter_low_FF, *terms)
        return FeatureStatistics(count, *_interleaved(mean, scatter))

    @property
    def covariance_FF(self) -> np.ndarray:
        """Unbiased covariance, as `numpy.cov(features.T)`. UserError for fewer than two samples."""
        if self.count < 2:
            had = "1 sample" if self.count == 1 else "no samples"
            raise UserError(f"features: {had}; expected 2 or more for a covariance")
        return self.scatter_FF / (self.count - 1)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """By name, for a file or another host; `from_arrays` takes them back."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "FeatureStatistics":
        """Of what `to_arrays` gave."""
        return cls(**{**arrays, "count": int(arrays["count"])})


def checked_features(features_NF, name: str) -> np.ndarray:
    """As float64 [N, F]. UserError for another shape or type, NaN or infinity; `name` says whose."""
    features_NF = np.asarray(features_NF)
    if features_NF.ndim != 2 or 0 in features_NF.shape:
        raise UserError(f"{name} of shape {list(features_NF.shape)}: expected [N, F], N and F at least 1")
    return finite(features_NF, name)


def finite(array, name: str) -> np.ndarray:
    """As float64; UserError for what is not real and finite."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise UserError(f"{name} of type {array.dtype}: expected real numbers")
    array = array.astype(np.float64)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise UserError(f"{name}: {array[tuple(bad[0])]} at {bad[0].tolist()}; expected finite numbers")
    return array


def require_same_width(mean_a_F: np.ndarray, mean_b_F: np.ndarray) -> None:
    """UserError where two kinds of features are mixed up."""
    if mean_a_F.shape != mean_b_F.shape:
        raise UserError(
            f"features of {mean_a_F.size} and {mean_b_F.size} numbers a sample; expected the same width"
        )


def _interleaved(mean: tuple, scatter: tuple) -> tuple:
    """(high, low) of two numbers, in the order of the fields: both highs, then both lows."""
    return mean[0], scatter[0], mean[1], scatter[1]

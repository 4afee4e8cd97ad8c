"""The Inception Score (Salimans et al. 2016) from a classifier's probabilities. NumPy, float64.

    IS = exp(mean of KL(p(y|x) || p(y)))

Where p(y) is the mean of p(y|x): "IS" with Inception on images, video IS with C3D on clips (Saito et al. 2020).
It is exp of the entropy of the mean less the mean entropy, in [1, classes], and grows with the number of
samples, so compare values of equal N only.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import special

from magvit_jax.errors import UserError
from magvit_jax.metrics.feature_statistics import checked_features, require_same_width
from magvit_jax.metrics.sums import add

_TOLERANCE = 1e-3  # how far float32 probabilities may sum from 1


@dataclasses.dataclass(frozen=True)
class PredictionStatistics:
    """What a score needs of the predictions seen so far; `update` and `merge` return new statistics.

    Attributes:
      count: samples seen.
      sum_V: sum of their probabilities, float64, and `sum_low_V` what rounding took from it.
      entropy: sum of the entropies of the single predictions, nats, and `entropy_low` likewise.
    """

    count: int
    sum_V: np.ndarray
    sum_low_V: np.ndarray
    entropy: np.ndarray
    entropy_low: np.ndarray

    @classmethod
    def empty(cls, classes: int) -> "PredictionStatistics":
        return cls(0, np.zeros(classes), np.zeros(classes), np.zeros(()), np.zeros(()))

    def update(self, probabilities_NV) -> "PredictionStatistics":
        """With one more batch [N, V]; rows sum to 1. UserError where they are no probabilities."""
        p_NV = checked_probabilities(probabilities_NV)
        sum_V, entropy = p_NV.sum(axis=0), np.asarray(special.entr(p_NV).sum())
        zero = np.zeros(())
        return self.merge(PredictionStatistics(len(p_NV), sum_V, np.zeros_like(sum_V), entropy, zero))

    def merge(self, other: "PredictionStatistics") -> "PredictionStatistics":
        """Of both sets of samples. UserError where they have different classes."""
        require_same_width(self.sum_V, other.sum_V)
        total = add(self.sum_V, self.sum_low_V, other.sum_V, other.sum_low_V)
        entropy = add(self.entropy, self.entropy_low, other.entropy, other.entropy_low)
        return PredictionStatistics(self.count + other.count, *total, *entropy)

    @property
    def score(self) -> float:
        """The Inception Score. UserError before any sample."""
        if self.count < 1:
            raise UserError("inception score of no samples: expected 1 or more")
        mean_V = self.sum_V / self.count
        return float(np.exp(special.entr(mean_V).sum() - float(self.entropy) / self.count))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """By name, for a file or another host; `from_arrays` takes them back."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "PredictionStatistics":
        """Of what `to_arrays` gave."""
        return cls(**{**arrays, "count": int(arrays["count"])})


def inception_score(probabilities_NV) -> float:
    """Score of one set of predictions: probabilities [N, V], rows sum to 1."""
    p_NV = checked_probabilities(probabilities_NV)
    return PredictionStatistics.empty(p_NV.shape[1]).update(p_NV).score


def inception_score_of_splits(probabilities_NV, splits: int) -> tuple[float, float]:
    """(mean, population standard deviation) of the scores of `splits` runs of neighbouring samples, 10 by custom.

    UserError for fewer samples than splits.
    """
    p_NV = checked_probabilities(probabilities_NV)
    if not 1 <= splits <= len(p_NV):
        raise UserError(f"inception score of {len(p_NV)} samples in {splits} splits: expected 1 or more in each")
    scores = [inception_score(part_NV) for part_NV in np.array_split(p_NV, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def softmax(logits_NV) -> np.ndarray:
    """Probabilities of logits [N, V], in float64."""
    return special.softmax(checked_features(logits_NV, "logits"), axis=-1)


def checked_probabilities(probabilities_NV) -> np.ndarray:
    """As float64 [N, V], rows summing to 1 exactly. UserError where they are no probabilities."""
    p_NV = checked_features(probabilities_NV, "probabilities")
    sums_N1 = p_NV.sum(axis=1, keepdims=True)
    if p_NV.min() < 0 or np.abs(sums_N1 - 1.0).max() > _TOLERANCE:
        raise UserError(
            f"probabilities from {p_NV.min():.3g} on, rows that sum to {sums_N1.min():.4g} ... "
            f"{sums_N1.max():.4g}: expected at least 0, and 1 (logits go through softmax first)"
        )
    return p_NV / sums_N1

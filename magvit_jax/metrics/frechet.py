"""The Frechet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017).

    d = |m_a - m_b|^2 + tr A + tr B - 2 tr (A B)^(1/2)

Here m are means and A, B covariances with N - 1 in the denominator: the "FID" or "FVD" of the papers once the
features are those of Inception or I3D. It is the square of a distance, and with N samples it is too large by
a bias that falls as 1/N, so compare values of equal N only. NumPy, float64.
"""

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.metrics.feature_statistics import (
    FeatureStatistics,
    checked_features,
    finite,
    require_same_width,
)

#: How far rounding may take a covariance from symmetric and positive, relative to its largest entry.
_TOLERANCE = 1e-6


def frechet_distance(features_a_NF, features_b_NF) -> float:
    """Frechet distance between two sets of features.

    Args:
      features_a_NF, features_b_NF: real numbers [N, F]; the same F, each its own N of at least 2, N < F
        included.

    Returns:
      A number of at least 0.

    Raises:
      UserError: NaN or infinity, fewer than two samples, or different widths.
    """
    sides = []
    for name, features_NF in (("features_a", features_a_NF), ("features_b", features_b_NF)):
        features_NF = checked_features(features_NF, name)
        if len(features_NF) < 2:
            raise UserError(f"{name}: 1 sample; expected 2 or more for a covariance")
        sides.append(FeatureStatistics.of(features_NF))
    return frechet_distance_of_statistics(*sides)


def frechet_distance_of_statistics(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """`frechet_distance` of features that were seen in batches."""
    return frechet_distance_of_moments(a.mean_F, a.covariance_FF, b.mean_F, b.covariance_FF)


def frechet_distance_of_moments(mean_a_F, covariance_a_FF, mean_b_F, covariance_b_FF) -> float:
    """Frechet distance between two Gaussians.

    tr (A B)^(1/2) is the sum of the singular values of A^(1/2) B^(1/2): their squares are the eigenvalues of
    A^(1/2) B A^(1/2), which are those of A B. That needs symmetric eigenvectors only: no complex number
    appears, and singular covariances need no added diagonal.

    Args:
      mean_a_F, mean_b_F: [F].
      covariance_a_FF, covariance_b_FF: [F, F], symmetric, positive semi-definite but for rounding.

    Raises:
      UserError: shapes that do not fit, NaN or infinity, or a matrix that is no covariance.
    """
    mean_a_F, root_a_FF, trace_a = _moments(mean_a_F, covariance_a_FF, "a")
    mean_b_F, root_b_FF, trace_b = _moments(mean_b_F, covariance_b_FF, "b")
    require_same_width(mean_a_F, mean_b_F)
    overlap = np.linalg.svd(root_a_FF @ root_b_FF, compute_uv=False).sum()
    distance = np.square(mean_a_F - mean_b_F).sum() + trace_a + trace_b - 2.0 * overlap
    return max(float(distance), 0.0)  # equal Gaussians come out as rounding on either side of 0


def _moments(mean_F, covariance_FF, side: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, symmetric root of the covariance, and its trace."""
    mean_F = finite(mean_F, f"mean_{side}")
    covariance_FF = finite(covariance_FF, f"covariance_{side}")
    if mean_F.ndim != 1 or covariance_FF.shape != (mean_F.size, mean_F.size):
        raise UserError(
            f"mean_{side} of shape {list(mean_F.shape)}, covariance_{side} of {list(covariance_FF.shape)}:"
            " expected [F] and [F, F]"
        )
    largest = np.abs(covariance_FF).max(initial=0.0)
    if np.abs(covariance_FF - covariance_FF.T).max(initial=0.0) > _TOLERANCE * largest:
        raise UserError(f"covariance_{side}: not symmetric; expected a covariance")
    values_F, vectors_FF = np.linalg.eigh(0.5 * (covariance_FF + covariance_FF.T))
    if values_F.min(initial=0.0) < -_TOLERANCE * largest:
        raise UserError(f"covariance_{side}: an eigenvalue of {values_F.min():.3g}; expected none below 0")
    # An eigenvalue that should be 0 comes out as rounding, whose root is not small: 1e-16 counts as 1e-8.
    rounding = mean_F.size * np.finfo(np.float64).eps * values_F.max(initial=0.0)
    root_FF = (vectors_FF * np.sqrt(np.where(values_F > rounding, values_F, 0.0))) @ vectors_FF.T
    return mean_F, root_FF, float(np.trace(covariance_FF))

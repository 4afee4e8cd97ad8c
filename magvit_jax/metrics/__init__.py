"""Formulas on pixels, ids and features; no model code."""

from magvit_jax.metrics.codebook import CodebookCounts
from magvit_jax.metrics.frechet import (
    FeatureStatistics,
    frechet_distance,
    frechet_distance_of_moments,
    frechet_distance_of_statistics,
)
from magvit_jax.metrics.intervals import Interval, bootstrap, bootstrap_mean_difference
from magvit_jax.metrics.pixels import (
    as_unit_float,
    mean_frame,
    psnr,
    psnr_per_frame,
    psnr_where,
    repeat_frame,
    ssim,
)
from magvit_jax.metrics.significance import Comparison, binomial_p_value, compare, sign_flip_p_value
from magvit_jax.metrics.sound import log_spectral_distance, si_sdr

__all__ = [
    "CodebookCounts",
    "Comparison",
    "FeatureStatistics",
    "Interval",
    "as_unit_float",
    "binomial_p_value",
    "bootstrap",
    "bootstrap_mean_difference",
    "compare",
    "frechet_distance",
    "frechet_distance_of_moments",
    "frechet_distance_of_statistics",
    "log_spectral_distance",
    "mean_frame",
    "psnr",
    "psnr_per_frame",
    "psnr_where",
    "repeat_frame",
    "si_sdr",
    "sign_flip_p_value",
    "ssim",
]

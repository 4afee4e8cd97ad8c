"""Formulas on pixels, ids, tokens and features; no model code."""

from magvit_jax.metrics.bleu import BleuCounts, bleu, bleu_counts, sum_of_counts
from magvit_jax.metrics.codebook import CodebookCounts
from magvit_jax.metrics.compression import bits_per_pixel, entropy_bits_per_pixel
from magvit_jax.metrics.feature_statistics import FeatureStatistics
from magvit_jax.metrics.frechet import (
    frechet_distance,
    frechet_distance_of_moments,
    frechet_distance_of_statistics,
)
from magvit_jax.metrics.frechet_bootstrap import bootstrap_frechet
from magvit_jax.metrics.inception import (
    PredictionStatistics,
    inception_score,
    inception_score_of_splits,
    softmax,
)
from magvit_jax.metrics.intervals import (
    Interval,
    bootstrap,
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_mean_difference,
)
from magvit_jax.metrics.pixels import (
    as_unit_float,
    mean_frame,
    psnr,
    psnr_per_frame,
    psnr_where,
    repeat_frame,
)
from magvit_jax.metrics.significance import (
    Comparison,
    binomial_p_value,
    compare,
    compare_sets,
    exchange_p_value,
    sign_flip_p_value,
)
from magvit_jax.metrics.similarity import clip_similarity
from magvit_jax.metrics.sound import (
    log_spectral_distance,
    mean_spectrum,
    mean_spectrum_distance,
    mel_bands,
    si_sdr,
    spectral_conventions,
)
from magvit_jax.metrics.ssim import SSIM_CONVENTION, ms_ssim, ssim

__all__ = [
    "SSIM_CONVENTION",
    "BleuCounts",
    "CodebookCounts",
    "Comparison",
    "FeatureStatistics",
    "Interval",
    "PredictionStatistics",
    "as_unit_float",
    "binomial_p_value",
    "bits_per_pixel",
    "bleu",
    "bleu_counts",
    "bootstrap",
    "bootstrap_counts",
    "bootstrap_frechet",
    "bootstrap_mean",
    "bootstrap_mean_difference",
    "clip_similarity",
    "compare",
    "compare_sets",
    "entropy_bits_per_pixel",
    "exchange_p_value",
    "frechet_distance",
    "frechet_distance_of_moments",
    "frechet_distance_of_statistics",
    "inception_score",
    "inception_score_of_splits",
    "log_spectral_distance",
    "mean_frame",
    "mean_spectrum",
    "mean_spectrum_distance",
    "mel_bands",
    "ms_ssim",
    "psnr",
    "psnr_per_frame",
    "psnr_where",
    "repeat_frame",
    "si_sdr",
    "sign_flip_p_value",
    "softmax",
    "spectral_conventions",
    "ssim",
    "sum_of_counts",
]

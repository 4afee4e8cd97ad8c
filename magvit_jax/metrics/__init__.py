"""Formulas on pixels and ids; no model code."""

from magvit_jax.metrics.codebook import CodebookCounts
from magvit_jax.metrics.pixels import as_unit_float, mean_frame, psnr, psnr_per_frame, repeat_frame, ssim
from magvit_jax.metrics.significance import binomial_p_value

__all__ = [
    "CodebookCounts",
    "as_unit_float",
    "binomial_p_value",
    "mean_frame",
    "psnr",
    "psnr_per_frame",
    "repeat_frame",
    "ssim",
]

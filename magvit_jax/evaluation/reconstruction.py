"""How well a tokenizer reconstructs held-out clips, and how much of its codebook they use."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from magvit_jax import metrics
from magvit_jax.evaluation.measured import mean_interval


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """Means over clips.

    Attributes:
      clips: how many.
      psnr, ssim: of the clips decoded from their ids.
      psnr_low, psnr_high, ssim_low, ssim_high: their 95% intervals over clips; None for a single clip.
      psnr_mean_frame: of the clip's mean frame shown throughout, the baseline; None for images, which are theirs.
      codebook_use: share of the codes that occur.
      codebook_perplexity: of the codes' frequencies.
    """

    clips: int
    psnr: float
    ssim: float
    psnr_low: float | None
    psnr_high: float | None
    ssim_low: float | None
    ssim_high: float | None
    psnr_mean_frame: float | None
    codebook_use: float
    codebook_perplexity: float


def evaluate_reconstruction(
    reconstruct: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    codes: int,
    batches: Iterable[Mapping[str, np.ndarray]],
) -> Reconstruction:
    """Measures over {"video": uint8 [B, T, H, W, 3]}.

    Args:
      reconstruct: videos -> (ids in [0, codes), videos as float in [0, 1]).
      codes: size of the codebook.
    """
    psnr, ssim, baseline = [], [], []
    counts = metrics.CodebookCounts.empty(codes)
    for batch in batches:
        video = np.asarray(batch["video"])
        ids, output = reconstruct(video)
        output = np.asarray(output)
        psnr.append(metrics.psnr(video, output))
        ssim.append(metrics.ssim(video, output))
        baseline.append(metrics.psnr(video, metrics.mean_frame(video)))
        counts = counts.update(np.asarray(ids))
    psnr_N, ssim_N = np.concatenate(psnr), np.concatenate(ssim)
    (psnr_low, psnr_high), (ssim_low, ssim_high) = mean_interval(psnr_N), mean_interval(ssim_N)
    mean_frame = float(np.concatenate(baseline).mean())
    return Reconstruction(
        clips=len(psnr_N),
        psnr=float(psnr_N.mean()),
        ssim=float(ssim_N.mean()),
        psnr_low=psnr_low,
        psnr_high=psnr_high,
        ssim_low=ssim_low,
        ssim_high=ssim_high,
        psnr_mean_frame=mean_frame if np.isfinite(mean_frame) else None,
        codebook_use=counts.usage,
        codebook_perplexity=counts.perplexity,
    )

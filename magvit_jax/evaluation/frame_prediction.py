"""How well frames are predicted, over the frames that were not given only."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from magvit_jax import metrics
from magvit_jax.evaluation.measured import mean_interval


@dataclasses.dataclass(frozen=True)
class FramePrediction:
    """Means over clips of the unseen frames, one sample a clip.

    Attributes:
      clips: how many.
      psnr, ssim: of the prediction.
      psnr_low, psnr_high, ssim_low, ssim_high: their 95% intervals over clips; None for a single clip.
      psnr_repeat_last, ssim_repeat_last: of repeating the last given frame, the baseline.
      psnr_ceiling, ssim_ceiling: of the true clip through the tokenizer, which no prediction can pass on average.
    """

    clips: int
    psnr: float
    ssim: float
    psnr_low: float | None
    psnr_high: float | None
    ssim_low: float | None
    ssim_high: float | None
    psnr_repeat_last: float
    ssim_repeat_last: float
    psnr_ceiling: float
    ssim_ceiling: float


def evaluate_frame_prediction(
    predict: Callable[[np.ndarray], np.ndarray],
    reconstruct: Callable[[np.ndarray], np.ndarray],
    given: int,
    batches: Iterable[Mapping[str, np.ndarray]],
) -> FramePrediction:
    """Measures over {"video": uint8 [B, T, H, W, 3]}.

    Args:
      predict: videos -> videos as float in [0, 1]; must look at the first `given` frames only.
      reconstruct: videos -> the same through the tokenizer, float in [0, 1].
      given: frames that the prediction sees.
    """
    scores: dict[str, list[np.ndarray]] = {}
    intervals: dict[str, float | None] = {}
    for batch in batches:
        video = np.asarray(batch["video"])
        candidates = {
            "": np.asarray(predict(video)),
            "_repeat_last": metrics.repeat_frame(video, given - 1),
            "_ceiling": np.asarray(reconstruct(video)),
        }
        for name, candidate in candidates.items():
            for metric in (metrics.psnr, metrics.ssim):
                value_B = metric(video[:, given:], candidate[:, given:])
                scores.setdefault(metric.__name__ + name, []).append(value_B)
    for name in ("psnr", "ssim"):
        intervals[f"{name}_low"], intervals[f"{name}_high"] = mean_interval(np.concatenate(scores[name]))
    means = {name: float(np.concatenate(values).mean()) for name, values in scores.items()}
    return FramePrediction(clips=sum(len(values) for values in scores["psnr"]), **means, **intervals)

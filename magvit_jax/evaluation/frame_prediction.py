"""How well frames are predicted, over the frames that were not given only."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from magvit_jax import metrics


@dataclasses.dataclass(frozen=True)
class FramePrediction:
    """Means over clips of the unseen frames, one sample a clip.

    Attributes:
      clips: how many.
      psnr, ssim: of the prediction.
      psnr_repeat_last, ssim_repeat_last: of repeating the last given frame, the baseline.
      psnr_ceiling, ssim_ceiling: of the true clip through the tokenizer, which no prediction can pass on average.
    """

    clips: int
    psnr: float
    ssim: float
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
    means = {name: float(np.concatenate(values).mean()) for name, values in scores.items()}
    return FramePrediction(clips=sum(len(values) for values in scores["psnr"]), **means)

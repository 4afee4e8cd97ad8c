"""How well each task fills in what is missing, and how well it keeps what is given."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from magvit_jax import metrics

# The mean error of rounding to uint8. A clip that is its own padding, or a perfect reconstruction, has an
# infinite PSNR, and with it the mean over clips would be: no clip counts for more than this.
BEST_MSE = (1.0 / 255.0) ** 2 / 12.0


@dataclasses.dataclass(frozen=True)
class MeasuredTask:
    """A task as a protocol sees it.

    Attributes:
      generate: (uint8 videos [B, T, H, W, 3], number of the first) -> a sample for each, float in [0, 1].
      pad: videos as float in [0, 1] -> the same with padding where nothing is given.
      given_THW: bool, the pixels that are given; some are, and some are not.
    """

    generate: Callable[[np.ndarray, int], np.ndarray]
    pad: Callable[[np.ndarray], np.ndarray]
    given_THW: np.ndarray


@dataclasses.dataclass(frozen=True)
class TaskScore:
    """Means over clips of one sample each: PSNR in dB over some of a clip's pixels, `BEST_MSE` at best.

    Attributes:
      clips: how many.
      unseen_share: share of the pixels that were not given.
      psnr_unseen: of the sample, over the pixels that were not given.
      psnr_unseen_padded: of the padded clip, the baseline: the condition alone, nothing generated.
      psnr_unseen_ceiling: of the true clip through the tokenizer, which no sample can pass on average.
      psnr_given: of the sample, over the pixels that were given: how well their content is kept.
      psnr_given_ceiling: of the true clip through the tokenizer, over the same.
    """

    clips: int
    unseen_share: float
    psnr_unseen: float
    psnr_unseen_padded: float
    psnr_unseen_ceiling: float
    psnr_given: float
    psnr_given_ceiling: float


def evaluate_tasks(
    tasks: Mapping[str, MeasuredTask],
    reconstruct: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[Mapping[str, np.ndarray]],
) -> dict[str, TaskScore]:
    """Measures over {"video": uint8 [B, T, H, W, 3]}, every clip once for each task.

    Args:
      reconstruct: videos -> the same through the tokenizer, float in [0, 1].
    """
    scores: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in tasks}
    first = 0
    for batch in batches:
        video = np.asarray(batch["video"])
        ceiling = np.asarray(reconstruct(video))
        for name, task in tasks.items():
            sample = np.asarray(task.generate(video, first))
            padded = np.asarray(task.pad(video.astype(np.float32) / np.float32(255)))
            for kind, candidate, where in (
                ("psnr_unseen", sample, ~task.given_THW),
                ("psnr_unseen_padded", padded, ~task.given_THW),
                ("psnr_unseen_ceiling", ceiling, ~task.given_THW),
                ("psnr_given", sample, task.given_THW),
                ("psnr_given_ceiling", ceiling, task.given_THW),
            ):
                value_B = metrics.psnr_where(video, candidate, where)
                scores[name].setdefault(kind, []).append(np.minimum(value_B, -10.0 * np.log10(BEST_MSE)))
        first += len(video)
    return {
        name: TaskScore(
            clips=first,
            unseen_share=float((~tasks[name].given_THW).mean()),
            **{kind: float(np.concatenate(values).mean()) for kind, values in kinds.items()},
        )
        for name, kinds in scores.items()
    }

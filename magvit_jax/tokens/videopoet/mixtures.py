"""The pretraining mixtures of Tab. 8.1, and the two stages of sampling (thesis 8.3.4, 8.4.2)."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from magvit_jax.errors import UserError

#: Columns of Tab. 8.1 -> the tasks in them, which share the column's weight.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "T2I": ("text_to_image",),
    "T2V": ("text_to_video",),
    "Uncond": ("unconditional",),
    "FP": ("frame_prediction",),
    "Painting": ("inpainting", "outpainting"),
    "AVCont": ("audio_video_continuation",),
}
_SSL = ("Uncond", "FP", "Painting", "AVCont")
#: Rows of Tab. 8.1 -> their columns. The printed row "T2V" ticks T2I too, as T2V+I does: read as T2V alone.
TAB_8_1: Mapping[str, tuple[str, ...]] = {
    "T2V": ("T2V",),
    "T2V+I": ("T2I", "T2V"),
    "SSL": _SSL,
    "NO_T2I": ("T2V", *_SSL),
    "ALL": ("T2I", "T2V", *_SSL),
}
IMAGE_TASKS = frozenset({"text_to_image"})


@dataclasses.dataclass(frozen=True)
class Stages:
    """How often a batch is one of images (8.3.4: 90% of the time in the first 25% of the steps, then 10%).

    Attributes:
        first_share: share of the steps that the first stage takes, in [0, 1].
        image_first, image_after: share of image batches in each stage, in [0, 1].
    """

    first_share: float
    image_first: float
    image_after: float

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise UserError(f"stages: {field.name} is {getattr(self, field.name)}, expected 0 to 1")

    def image_share(self, step: int, steps: int) -> float:
        """Share of image batches at a step, counted from 0, of a run of `steps`."""
        return self.image_first if step < self.first_share * steps else self.image_after

    def is_image_batch(self, step: int, steps: int, seed: int) -> bool:
        """Whether a step's batch is of images: a function of seed and step, so that a run can resume."""
        return bool(np.random.default_rng((seed, step)).random() < self.image_share(step, steps))


TWO_STAGES = Stages(first_share=0.25, image_first=0.9, image_after=0.1)


def row_weights(row: str) -> dict[str, float]:
    """Weights of a row's tasks; those of its image tasks sum to 1, and so do those of its video tasks.

    8.4.2 takes 20% of the samples for each of five video tasks, so columns weigh the same.
    """
    if row not in TAB_8_1:
        raise UserError(f"mixture {row!r} is unknown; Tab. 8.1 has: {', '.join(TAB_8_1)}")
    weights = {}
    for of_images in (True, False):
        columns = [c for c in TAB_8_1[row] if (COLUMNS[c][0] in IMAGE_TASKS) == of_images]
        for column in columns:
            for task in COLUMNS[column]:
                weights[task] = 1.0 / len(columns) / len(COLUMNS[column])
    return weights


def given_weights(latents: int, weight: float) -> dict[int, float]:
    """The weight of frame prediction "of variable length", spread over 1 to `latents` - 1 given frames."""
    if latents < 2:
        raise UserError(f"frame prediction on {latents} latent frames: expected 2 or more")
    return {given: weight / (latents - 1) for given in range(1, latents)}


def draw(weights_M: np.ndarray, numbers_B: np.ndarray, seed: int) -> np.ndarray:
    """A layout for each example of a batch, int32 [B], from the seed and the example's number alone."""
    upper_M = np.cumsum(np.asarray(weights_M, np.float64)) / np.sum(weights_M)
    uniform_B = [np.random.default_rng((seed, int(number))).random() for number in numbers_B]
    return np.minimum(np.searchsorted(upper_M, uniform_B, side="right"), len(upper_M) - 1).astype(np.int32)

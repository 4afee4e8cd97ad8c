"""Video generation tasks as data: what is given, how it is padded, which latents it covers (thesis 6.4.2).

A task is made by a factory of `TASKS` from its settings. A new task is a new factory and a new entry there.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.typing import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class LatentGrid:
    """Shape of a clip's latent tokens, and how its frames map to them.

    Attributes:
        frames, height, width: t, h, w.
        temporal_stride: s, the pixel frames of one latent frame.
        causal: True where 1 + s*k pixel frames give 1 + k latent frames, each seeing only its past
            (MAGVIT-v2); False where s*k frames give k (MAGVIT).
    """

    frames: int
    height: int
    width: int
    temporal_stride: int
    causal: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width

    @property
    def num_tokens(self) -> int:
        return self.frames * self.height * self.width

    @property
    def pixel_frames(self) -> int:
        """T, the length of the clip in frames."""
        if self.causal:
            return 1 + self.temporal_stride * (self.frames - 1)
        return self.temporal_stride * self.frames

    def latent_frames_of(self, pixel_frames: int) -> int:
        """Latent frames that hold at least one of the first `pixel_frames` frames."""
        if self.causal and pixel_frames > 0:
            return 1 + -(-(pixel_frames - 1) // self.temporal_stride)
        return -(-pixel_frames // self.temporal_stride)

    def fills_latent_frames(self, pixel_frames: int) -> bool:
        """Whether the first `pixel_frames` frames end where a latent frame ends."""
        return (pixel_frames - (1 if self.causal and pixel_frames > 0 else 0)) % self.temporal_stride == 0


@dataclasses.dataclass(frozen=True)
class Task:
    """One generation task.

    Attributes:
        name: its key in `TASKS`, and the name of its prompt.
        uses_class: whether the class label is part of the condition.
        given_frames: number of pixel frames at the start that are given whole.
        region: LatentGrid -> bool [t, h, w], the latents whose supervoxel holds a given pixel. Analytic:
            never found from pixels, so that it is a constant of the compiled step.
        pad: video_BTHWC -> video_BTHWC with every pixel that is not given replaced by padding; any float
            type.
        exact: LatentGrid -> whether the tokens of the padded clip, inside the region, are the tokens of the
            clip itself, so that the clip need not be tokenized a second time.
    """

    name: str
    uses_class: bool
    given_frames: int
    region: Callable[[LatentGrid], np.ndarray]
    pad: Callable[[Array], Array]
    exact: Callable[[LatentGrid], bool]


def frame_prediction(*, frames: int) -> Task:
    """FP: the first `frames` frames are given; padding repeats the last of them.

    The region is the latent frames that hold a given frame: with a causal tokenizer of stride s, 1 +
    ceil((n-1)/s), so 2 for five frames at s=4. Of a causal tokenizer the condition tokens are exact where n =
    1 + s*k.
    """
    if frames < 1:
        raise UserError(f"frame_prediction: {frames} given frames, expected 1 or more")

    def region(grid: LatentGrid) -> np.ndarray:
        _require_longer(grid.pixel_frames)
        given_thw = np.zeros(grid.shape, bool)
        given_thw[: grid.latent_frames_of(frames)] = True
        return given_thw

    def pad(video_BTHWC: Array) -> Array:
        total = video_BTHWC.shape[1]
        _require_longer(total)
        last = jnp.repeat(video_BTHWC[:, frames - 1 : frames], total - frames, axis=1)
        return jnp.concatenate([video_BTHWC[:, :frames], last], axis=1)

    def _require_longer(total: int) -> None:
        if total <= frames:
            raise UserError(f"frame_prediction: {frames} frames given of {total}: none is left to predict")

    return Task(
        name="frame_prediction",
        uses_class=False,
        given_frames=frames,
        region=region,
        pad=pad,
        exact=lambda grid: grid.causal and grid.fills_latent_frames(frames),
    )


def class_conditional() -> Task:
    """CG: only the class label is given; no pixel is."""
    return Task(
        name="class_conditional",
        uses_class=True,
        given_frames=0,
        region=lambda grid: np.zeros(grid.shape, bool),
        pad=jnp.zeros_like,
        exact=lambda grid: True,  # an empty region holds no wrong token
    )


TASKS: Mapping[str, Callable[..., Task]] = {
    "frame_prediction": frame_prediction,
    "class_conditional": class_conditional,
}


def build_task(name: str, settings: Mapping[str, object] | None = None) -> Task:
    """The task of that name with its settings. UserError for an unknown name or setting."""
    if name not in TASKS:
        raise UserError(f"task {name!r} is unknown; known are: {', '.join(TASKS)}")
    settings = dict(settings or {})
    expected = list(inspect.signature(TASKS[name]).parameters)
    if sorted(settings) != sorted(expected):
        raise UserError(f"task {name!r}: settings {sorted(settings)}, expected {sorted(expected)}")
    return TASKS[name](**settings)


@dataclasses.dataclass(frozen=True)
class TaskMixture:
    """Tasks trained together, drawn by weight for each example (thesis 6.4.1).

    Attributes:
        tasks: the tasks; their order is that of the prompts in the vocabulary.
        weights: a positive number for each, of any sum.
        grid: the tokenizer's latent grid.
    """

    tasks: tuple[Task, ...]
    weights: tuple[float, ...]
    grid: LatentGrid

    def __post_init__(self):
        if not self.tasks or len(self.tasks) != len(self.weights):
            raise UserError(f"task mixture: {len(self.tasks)} tasks and {len(self.weights)} weights")
        if min(self.weights) <= 0:
            raise UserError(f"task mixture: weights {list(self.weights)}, expected all above 0")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def exact(self) -> bool:
        """Whether every task's condition tokens are the clip's own, so no padded clip has to be tokenized."""
        return all(task.exact(self.grid) for task in self.tasks)

    def draw(self, keys_B: PRNGKey) -> Array:
        """A task for each example from that example's own key -> int32 [B], positions in `tasks`."""
        upper_M = np.cumsum(self.weights, dtype=np.float64) / np.sum(self.weights)
        uniform_B = jax.vmap(jax.random.uniform)(keys_B)
        index_B = jnp.searchsorted(jnp.asarray(upper_M, jnp.float32), uniform_B, side="right")
        return jnp.minimum(index_B, len(self.tasks) - 1).astype(jnp.int32)

    def region(self, task_B: Array) -> Array:
        """Condition region of each example's task -> bool [B, t, h, w]."""
        regions_Mthw = np.stack([task.region(self.grid) for task in self.tasks])
        return jnp.asarray(regions_Mthw)[task_B]

    def labels(self, task_B: Array, label_B: Array) -> Array:
        """The labels where the task uses them, -1 elsewhere -> int32 [B]."""
        uses_M = np.asarray([task.uses_class for task in self.tasks])
        return jnp.where(jnp.asarray(uses_M)[task_B], label_B.astype(jnp.int32), -1)

    def pad(self, video_BTHWC: Array, task_B: Array) -> Array:
        """Each example padded by its own task; left as it is where the task is exact: same tokens."""
        padded_BTHWC = video_BTHWC
        for index, task in enumerate(self.tasks):
            if not task.exact(self.grid):
                chosen = (task_B == index).reshape(-1, 1, 1, 1, 1)
                padded_BTHWC = jnp.where(chosen, task.pad(video_BTHWC), padded_BTHWC)
        return padded_BTHWC

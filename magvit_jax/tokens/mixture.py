"""Tasks that are trained together, drawn by weight for each example (thesis 6.4.1)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens import padding
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.tasks import Task
from magvit_jax.typing import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class TaskMixture:
    """Several tasks on clips of one size.

    Attributes:
        tasks: the tasks; their order is that of the prompts in the vocabulary.
        weights: a positive number for each, of any sum.
        grid: the tokenizer's latent grid. Each task is tried on it: a clip too short or too small for one is
            an error at once.
    """

    tasks: tuple[Task, ...]
    weights: tuple[float, ...]
    grid: LatentGrid

    def __post_init__(self):
        if not self.tasks or len(self.tasks) != len(self.weights):
            raise UserError(f"task mixture: {len(self.tasks)} tasks and {len(self.weights)} weights")
        if not all(0 < weight < float("inf") for weight in self.weights):
            raise UserError(f"task mixture: weights {list(self.weights)}, expected all above 0 and finite")
        for task in self.tasks:
            task.given(self.grid.pixel_shape)
            task.region(self.grid)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    @property
    def exact(self) -> bool:
        """Whether every task's condition tokens are the clip's own, so no padded clip has to be tokenized."""
        return all(task.exact(self.grid) for task in self.tasks)

    def exact_of(self, task_B: Array) -> Array:
        """Whether each example's task is exact -> bool [B]."""
        return jnp.asarray([task.exact(self.grid) for task in self.tasks])[task_B]

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
        shape = video_BTHWC.shape[1:4]
        each = [
            padding.identity(shape)
            if task.exact(self.grid)
            else padding.sources(task.given(shape), task.padding)
            for task in self.tasks
        ]
        stacked = padding.Sources(*(np.stack(parts) for parts in zip(*each, strict=True)))
        # One gather for the batch, however many tasks there are; a second one only where a task interpolates.
        chosen = padding.Sources(*(jnp.asarray(part_MP)[task_B] for part_MP in stacked))
        if not stacked.second_share_P.any():
            chosen = chosen._replace(second_share_P=stacked.second_share_P)
        return padding.apply(video_BTHWC, chosen)

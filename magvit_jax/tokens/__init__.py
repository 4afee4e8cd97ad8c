"""Vocabularies, mask schedules and COMMIT tasks: pure integer functions (thesis chapter 6 and 5.3.2)."""

from magvit_jax.tokens.factorize import join, split, sub_codes
from magvit_jax.tokens.grid import LatentGrid, latent_grid
from magvit_jax.tokens.masking import Corrupted, corrupt
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.schedules import mask_ratio, remask_table
from magvit_jax.tokens.tasks import TASKS, Task, build_task
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary

__all__ = [
    "PREFIX_LENGTH",
    "TASKS",
    "Corrupted",
    "LatentGrid",
    "Task",
    "TaskMixture",
    "Vocabulary",
    "build_task",
    "corrupt",
    "join",
    "latent_grid",
    "mask_ratio",
    "remask_table",
    "split",
    "sub_codes",
]

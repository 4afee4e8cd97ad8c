"""The one layout of token ids, shared by transformer, sampling and systems (thesis 6.4.1; the authors'
order).

    [0, K)            visual codes of the tokenizer
    [K, K+C)          class labels
    K+C               the unconditional class (no label known, or dropped for guidance)
    K+C+1             [MASK]
    K+C+2 ...         one prompt per task, in the order of `tasks`
"""

import dataclasses

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

PREFIX_LENGTH = 2  # [task prompt][class token], always both: one sequence length for every task


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Sizes of the vocabulary; every id follows from them.

    Attributes:
        codes: K, the size of the tokenizer's codebook.
        num_classes: C, the number of class labels (0 for data without labels).
        tasks: names of the tasks, each of which owns a prompt id.
    """

    codes: int
    num_classes: int
    tasks: tuple[str, ...]

    def __post_init__(self):
        if self.codes < 2:
            raise UserError(f"vocabulary: {self.codes} codes, expected at least 2")
        if self.num_classes < 0:
            raise UserError(f"vocabulary: {self.num_classes} classes, expected 0 or more")
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise UserError(f"vocabulary: tasks {list(self.tasks)}, expected one or more different names")

    @property
    def unconditional_id(self) -> int:
        return self.codes + self.num_classes

    @property
    def mask_id(self) -> int:
        return self.codes + self.num_classes + 1

    @property
    def num_special(self) -> int:
        """Number of ids that are not visual codes."""
        return self.num_classes + 2 + len(self.tasks)

    @property
    def size(self) -> int:
        return self.codes + self.num_special

    def class_id(self, label: int | None) -> int:
        """Id of one class label; None is the unconditional class. UserError when the label does not exist."""
        if label is None:
            return self.unconditional_id
        if not 0 <= label < self.num_classes:
            raise UserError(f"label {label}: the model knows {self.num_classes} classes, numbered from 0")
        return self.codes + label

    def prompt_id(self, task: str) -> int:
        """Id of a task's prompt. UserError naming the known tasks when there is no such task."""
        if task not in self.tasks:
            raise UserError(f"task {task!r} is unknown to this model, which knows: {', '.join(self.tasks)}")
        return self.mask_id + 1 + self.tasks.index(task)

    def prefix(self, task_B: Array, label_B: Array) -> Array:
        """Prefix tokens of a batch, for use inside a jitted step.

        Args:
            task_B: position of each example's task in `tasks`, int32.
            label_B: class labels, int32; a negative label is the unconditional class.

        Returns:
            int32 [B, 2], the columns being task prompt and class token.
        """
        task_B, label_B = jnp.asarray(task_B, jnp.int32), jnp.asarray(label_B, jnp.int32)
        class_B = jnp.where(label_B < 0, self.unconditional_id, self.codes + label_B)
        return jnp.stack([self.mask_id + 1 + task_B, class_B], axis=-1)

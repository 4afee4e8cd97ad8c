"""A user's own mask, beside the ten tasks: any pixels of a clip are given, any other missing (thesis 6.4.2).

Masks are bool, True where a pixel is given. They are padded as a task's clips are, by `padding.pad`; the
model was trained on none of them, so the prompt is that of the task that comes nearest, or one that the user
names.
"""

from collections.abc import Sequence

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.padding import pad

__all__ = ["from_box", "nearest_task", "pad", "region_of"]


def region_of(given_BTHW: np.ndarray, grid: LatentGrid) -> np.ndarray:
    """The latents that hold the condition, as in Eq. 6.2: those whose supervoxel holds a given pixel.

    Args:
        given_BTHW: bool, of the grid's clip size.

    Returns:
        bool [B, t, h, w].

    Raises:
        UserError: the mask has another size.
    """
    return grid.holding(given_BTHW)


def nearest_task(mixture: TaskMixture, region_thw: np.ndarray) -> str:
    """Name of the task whose region is most like this one: the greatest intersection over union.

    Of equals the one without a class comes first, then the first in the mixture's order.
    """

    def overlap(name: str) -> tuple[float, bool]:
        task = mixture.tasks[mixture.names.index(name)]
        other_thw = task.region(mixture.grid)
        union = np.sum(region_thw | other_thw)
        return (float(np.sum(region_thw & other_thw) / union) if union else 1.0), not task.uses_class

    return max(mixture.names, key=overlap)


def from_box(box: Sequence[int], shape: tuple[int, int, int], given_inside: bool = True) -> np.ndarray:
    """The mask of a box -> bool [T, H, W].

    Args:
        box: (top, left, bottom, right) in pixels for every frame, or (first, top, left, end, bottom, right)
            with frames; bottom, right and end are not in it.
        shape: (T, H, W) of the clip.
        given_inside: the pixels in the box are given, and what is around it is made; False the other way
            round.

    Raises:
        UserError: the box is empty, reaches out of the clip, or is all of it.
    """
    numbers = [int(number) for number in box]
    wanted = (
        f"box {tuple(box)}: expected (top, left, bottom, right) or (first, top, left, end, bottom, right)"
    )
    if len(numbers) not in (4, 6) or numbers != list(box):
        raise UserError(f"{wanted}, whole pixels")
    if len(numbers) == 4:
        numbers = [0, *numbers[:2], shape[0], *numbers[2:]]
    ranges = list(zip(numbers[:3], numbers[3:], shape, strict=True))
    if not all(0 <= low < high <= size for low, high, size in ranges):
        raise UserError(f"{wanted} inside the clip of {'x'.join(map(str, shape))}, and not empty")
    mask_THW = np.full(shape, not given_inside)
    mask_THW[tuple(slice(low, high) for low, high, _ in ranges)] = given_inside
    if mask_THW.all() or not mask_THW.any():
        raise UserError(f"box {tuple(box)} is the whole clip: expected some pixels given and some missing")
    return mask_THW

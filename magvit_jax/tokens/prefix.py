"""Condition tokens in front of the sequence: the prefix condition of Tab. 6.8 (thesis 6.5.5).

"The commonly-used prefix condition prepends cropped condition tokens to the input sequence":

    [c_1 ... c_M] [task] [class] [z_1 ... z_N]

A task gives between none of the N tokens and most of them (768 of 1,024 in inpainting, hence the 1,024 to 1,792 of the
table), so that the sequence would be as long as its task says. Here it has one length for a mixture: M slots, as
many as its largest region; those that an example leaves unused are hidden from attention.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.typing import Array


class Condition(NamedTuple):
    """Condition tokens in M slots, in the order of their places in the clip, the unused slots last.

    Attributes:
        ids_BM: int32 codes of the padded clip.
        place_BM: int32 in [0, N), where in the clip's tokens each belongs.
        used_BM: bool; what an unused slot holds means nothing.
    """

    ids_BM: Array
    place_BM: Array
    used_BM: Array


def condition_length(mixture: TaskMixture) -> int:
    """M: the number of tokens in the largest region of the mixture's tasks, 0 if none gives any."""
    return max(int(np.sum(task.region(mixture.grid))) for task in mixture.tasks)


def pack(condition_BN: Array, region_BN: Array, length: int) -> Condition:
    """The tokens inside each example's region, in `length` slots.

    Args:
        condition_BN: int ids of the padded clips.
        region_BN: bool; may differ between examples, and may be known at run time only. `require_room` says whether
            a region fits; of one that does not, the last tokens would be lost.
        length: M, 0 or more.
    """
    order_BN = jnp.argsort(~region_BN, axis=-1, stable=True).astype(jnp.int32)
    place_BM = order_BN[:, :length]
    ids_BM = jnp.take_along_axis(condition_BN.astype(jnp.int32), place_BM, axis=1)
    return Condition(ids_BM, place_BM, jnp.take_along_axis(region_BN, place_BM, axis=1))


def require_room(region_BN: np.ndarray, length: int) -> None:
    """UserError for a region of more tokens than the model has slots: one that none of its tasks gives as much as."""
    most = int(np.max(np.sum(region_BN, axis=-1)))
    if most > length:
        raise UserError(
            f"{most} condition tokens: expected at most {length}, as many as the largest task of this model gives"
        )

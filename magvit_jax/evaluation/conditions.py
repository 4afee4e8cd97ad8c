"""Whether what was made shows the condition that it was made from: nearer to its own real clips than to others."""

import numpy as np

from magvit_jax.errors import UserError


def condition_distances(made_NF, real_MF, own_NM) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance of each made clip to the real clips of its condition, and to those of all other conditions.

    A model that ignores its condition makes both alike on average: swapping the conditions of two made clips swaps
    their own clips with others. So the second is what a shuffled condition would reach.

    Args:
      made_NF: features of made clips, float [N, F].
      real_MF: of real ones, float [M, F].
      own_NM: bool, which real clips have the condition of a made one: one or more, and not all.

    Returns:
      Two float64 [N].

    Raises:
      UserError: a made clip without a real one of its condition, or without one of another.
    """
    made_NF, real_MF = np.asarray(made_NF, np.float64), np.asarray(real_MF, np.float64)
    own_NM = np.asarray(own_NM, bool)
    for name, count_N in (("its", own_NM.sum(axis=1)), ("another", (~own_NM).sum(axis=1))):
        if not count_N.all():
            clip = int(np.argmin(count_N))
            raise UserError(f"made clip {clip}: no real clip of {name} condition; expected 1 or more")
    distance_NM = np.sqrt(np.square(made_NF[:, None] - real_MF[None]).sum(axis=-1))
    return tuple((distance_NM * mask).sum(axis=1) / mask.sum(axis=1) for mask in (own_NM, ~own_NM))

"""The two papers' grids, and regions written as boxes."""

import numpy as np

from magvit_jax.tokens import LatentGrid

#: 16x128x128 pixels to 4x16x16 tokens (ch. 6), and 17x128x128 to 5x16x16 (5.4.2).
MAGVIT = LatentGrid(4, 16, 16, strides=(4, 8, 8), leading_frame=False, causal=False)
MAGVIT2 = LatentGrid(5, 16, 16, strides=(4, 8, 8), leading_frame=True, causal=True)


def boxes(shape, each, inside=True):
    """A mask of one box (top, left, bottom, right) a frame; None is no box."""
    mask = np.full(shape, not inside)
    for frame, box in zip(mask, each, strict=True):
        if box is not None:
            top, left, bottom, right = box
            frame[top:bottom, left:right] = inside
    return mask

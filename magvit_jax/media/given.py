"""Which pixels of a clip are given: the others are hatched."""

import numpy as np

from magvit_jax.media.pixels import check_video, colour

_PAPER, _STRIPE = "#f1f5f9", "#cbd5e1"
_STRIPES = 8  # across the shorter side of a frame


def given_only(video_THWC: np.ndarray, given_THW: np.ndarray) -> np.ndarray:
    """The clip where it is given, diagonal stripes where it is not.

    Args:
        video_THWC: uint8 [T, H, W, 3].
        given_THW: bool [T, H, W], or [H, W] for all frames.

    Returns:
        uint8 [T, H, W, 3]; given pixels are as they were.
    """
    video_THWC = check_video(video_THWC)
    given_THW = np.broadcast_to(np.asarray(given_THW, bool), video_THWC.shape[:3])
    return np.where(given_THW[..., None], video_THWC, _hatched(*video_THWC.shape[1:3]))


def _hatched(height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3]; stripes stand still, so that a moving window is seen to move."""
    thickness = max(1, round(min(height, width) / (2 * _STRIPES)))
    diagonal_HW = np.arange(height)[:, None] + np.arange(width)
    striped_HW = diagonal_HW // thickness % 2 == 0
    return np.where(striped_HW[..., None], colour(_STRIPE), colour(_PAPER))

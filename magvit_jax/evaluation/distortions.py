"""Distortions of a known strength, to show what a measure of video sees. Seeded; strength 0 changes nothing.

Each takes (video, strength, seed) with floats in [0, 1], [N, T, H, W, 3], and gives the same shape.
"""

import numpy as np
from scipy import ndimage


def blur(video_NTHWC: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Gaussian blur of every frame; the strength is sigma in pixels. Frames go on as their edges."""
    del seed  # nothing here is random
    return ndimage.gaussian_filter(video_NTHWC, (0, 0, strength, strength, 0), mode="nearest")


def noise(video_NTHWC: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """White noise on every value, cut at 0 and 1; the strength is its standard deviation."""
    rng = np.random.default_rng(seed)
    return np.clip(video_NTHWC + strength * rng.standard_normal(video_NTHWC.shape), 0.0, 1.0)


def shuffle_frames(video_NTHWC: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Frames in a wrong order: sorted by their time plus a uniform random number up to `strength`, in frames.

    So frames change places with neighbours nearer than `strength`; far beyond the clip's length any order is
    as likely as any other. Up to 1 nothing changes.
    """
    rng, frames = np.random.default_rng(seed), video_NTHWC.shape[1]
    times_NT = np.arange(frames) + strength * rng.uniform(size=video_NTHWC.shape[:2])
    return np.take_along_axis(video_NTHWC, times_NT.argsort(axis=1)[:, :, None, None, None], axis=1)


DISTORTIONS = {"blur": blur, "noise": noise, "shuffle": shuffle_frames}

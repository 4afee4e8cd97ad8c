"""PSNR of videos, and the two baselines that a video model is held against. NumPy in float64."""

import numpy as np

from magvit_jax.errors import UserError


def as_unit_float(video) -> np.ndarray:
    """uint8 [0, 255] or float [0, 1] of any shape -> float64 [0, 1]. UserError for any other type."""
    video = np.asarray(video)
    if video.dtype == np.uint8:
        return video.astype(np.float64) / 255.0
    if video.dtype.kind != "f" and video.dtype.name != "bfloat16":
        raise UserError(f"pixels of type {video.dtype}: expected uint8 in [0, 255] or float in [0, 1]")
    return video.astype(np.float64)


def psnr(video_a, video_b) -> np.ndarray:
    """Peak signal-to-noise ratio of each clip in dB: 10 log10(1 / MSE), the MSE over the clip's whole volume.

    Args:
        video_a, video_b: [..., T, H, W, C], uint8 or float in [0, 1]; both of one shape.

    Returns:
        float64 of the leading shape; infinite where the clips are equal.
    """
    error = _mean_over_clip((pair(video_a, video_b, 4)[2]) ** 2, 4)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def psnr_per_frame(video_a, video_b) -> np.ndarray:
    """PSNR of each frame in dB, float64 [..., T]; its mean over frames is the other convention for videos."""
    error = _mean_over_clip((pair(video_a, video_b, 4)[2]) ** 2, 3)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def psnr_where(video_a, video_b, where_THW: np.ndarray) -> np.ndarray:
    """`psnr` over some of the pixels only.

    Args:
        video_a, video_b: as of `psnr`.
        where_THW: bool, the pixels that count, in all channels; at least one.
    """
    difference = pair(video_a, video_b, 4)[2]
    if where_THW.shape != difference.shape[-4:-1] or not where_THW.any():
        raise UserError(
            f"psnr over {int(where_THW.sum())} pixels of {where_THW.shape}: expected one or more "
            f"of {difference.shape[-4:-1]}"
        )
    error = _mean_over_clip(difference[..., where_THW, :] ** 2, 2)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def repeat_frame(video_BTHWC: np.ndarray, index: int) -> np.ndarray:
    """Every frame replaced by frame `index`: the baseline of frame prediction."""
    video_BTHWC = np.asarray(video_BTHWC)
    return np.repeat(video_BTHWC[:, index : index + 1], video_BTHWC.shape[1], axis=1)


def mean_frame(video_BTHWC: np.ndarray) -> np.ndarray:
    """Every frame replaced by the clip's mean frame, float64 in [0, 1]: the baseline of reconstruction."""
    video_BTHWC = as_unit_float(video_BTHWC)
    return np.broadcast_to(video_BTHWC.mean(axis=1, keepdims=True), video_BTHWC.shape).copy()


def pair(video_a, video_b, dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as float64 in [0, 1], and their difference. UserError for two shapes, or fewer than `dims` dimensions."""
    a, b = as_unit_float(video_a), as_unit_float(video_b)
    if a.shape != b.shape or a.ndim < dims:
        raise UserError(f"videos of shapes {a.shape} and {b.shape}: expected one shape [..., T, H, W, C]")
    return a, b, a - b


def _mean_over_clip(values: np.ndarray, dims: int) -> np.ndarray:
    return values.mean(axis=tuple(range(-dims, 0)))

"""PSNR and SSIM of videos, and the two baselines that a video model is held against. NumPy in float64."""

import functools

import numpy as np

from magvit_jax.errors import UserError

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5  # truncated at 3.5 sigma: a window of 11, as scikit-image and Wang et al. (2004)
SSIM_WINDOW = 2 * SSIM_RADIUS + 1
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2


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
    error = _mean_over_clip((_pair(video_a, video_b, 4)[2]) ** 2, 4)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def psnr_per_frame(video_a, video_b) -> np.ndarray:
    """PSNR of each frame in dB, float64 [..., T]; its mean over frames is the other convention for videos."""
    error = _mean_over_clip((_pair(video_a, video_b, 4)[2]) ** 2, 3)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def psnr_where(video_a, video_b, where_THW: np.ndarray) -> np.ndarray:
    """`psnr` over some of the pixels only.

    Args:
        video_a, video_b: as of `psnr`.
        where_THW: bool, the pixels that count, in all channels; at least one.
    """
    difference = _pair(video_a, video_b, 4)[2]
    if where_THW.shape != difference.shape[-4:-1] or not where_THW.any():
        raise UserError(
            f"psnr over {int(where_THW.sum())} pixels of {where_THW.shape}: expected one or more "
            f"of {difference.shape[-4:-1]}"
        )
    error = _mean_over_clip(difference[..., where_THW, :] ** 2, 2)
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def ssim(video_a, video_b) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of each clip: the mean over frames, channels and pixels.

    Convention: Gaussian window of sigma 1.5 cut at 11x11, population covariance, data range 1, each colour
    channel by itself; only windows that lie wholly in the frame count, so borders are never padded. It is
    scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1, channel_axis=-1)` of each frame.

    Args:
        video_a, video_b: [..., T, H, W, C], uint8 or float in [0, 1]; both of one shape, H and W at least 11.

    Returns:
        float64 of the leading shape.
    """
    a, b, _ = _pair(video_a, video_b, 4)
    if min(a.shape[-3:-1]) < SSIM_WINDOW:
        raise UserError(f"ssim: frames of {a.shape[-3:-1]} pixels, expected {SSIM_WINDOW} or more each way")
    lead, frame = a.shape[:-4], a.shape[-4:]
    clips = zip(a.reshape(-1, *frame), b.reshape(-1, *frame), strict=True)
    # A clip at a time bounds the memory.
    values = [_ssim_map(clip_a, clip_b).mean() for clip_a, clip_b in clips]
    return np.asarray(values, np.float64).reshape(lead)


def repeat_frame(video_BTHWC: np.ndarray, index: int) -> np.ndarray:
    """Every frame replaced by frame `index`: the baseline of frame prediction."""
    video_BTHWC = np.asarray(video_BTHWC)
    return np.repeat(video_BTHWC[:, index : index + 1], video_BTHWC.shape[1], axis=1)


def mean_frame(video_BTHWC: np.ndarray) -> np.ndarray:
    """Every frame replaced by the clip's mean frame, float64 in [0, 1]: the baseline of reconstruction."""
    video_BTHWC = as_unit_float(video_BTHWC)
    return np.broadcast_to(video_BTHWC.mean(axis=1, keepdims=True), video_BTHWC.shape).copy()


def _pair(video_a, video_b, dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = as_unit_float(video_a), as_unit_float(video_b)
    if a.shape != b.shape or a.ndim < dims:
        raise UserError(f"videos of shapes {a.shape} and {b.shape}: expected one shape [..., T, H, W, C]")
    return a, b, a - b


def _mean_over_clip(values: np.ndarray, dims: int) -> np.ndarray:
    return values.mean(axis=tuple(range(-dims, 0)))


def _ssim_map(a_THWC: np.ndarray, b_THWC: np.ndarray) -> np.ndarray:
    a, b = np.moveaxis(a_THWC, -1, 1), np.moveaxis(b_THWC, -1, 1)
    rows, columns = _window_matrix(a.shape[-2]), _window_matrix(a.shape[-1]).T

    def smooth(x: np.ndarray) -> np.ndarray:
        return rows @ x @ columns

    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + SSIM_C1) * (2 * covariance + SSIM_C2)
    return numerator / ((mean_a**2 + mean_b**2 + SSIM_C1) * (var_a + var_b + SSIM_C2))


@functools.lru_cache(maxsize=16)
def _window_matrix(size: int) -> np.ndarray:
    """[size - 10, size]: row i is the Gaussian window starting at pixel i, so smoothing is a matmul."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    window /= window.sum()
    matrix = np.zeros((size - SSIM_WINDOW + 1, size))
    for row in range(matrix.shape[0]):
        matrix[row, row : row + SSIM_WINDOW] = window
    return matrix

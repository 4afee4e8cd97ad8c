"""SSIM and MS-SSIM of videos, each by a named convention. NumPy in float64."""

import functools
from typing import Literal

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.metrics.pixels import pair

#: Goes into every result: two packages' SSIM of one pair of frames differ by 0.01 where borders are padded.
SSIM_CONVENTION = "Gaussian 11x11 of sigma 1.5, population covariance, whole windows only, channels averaged"
SIGMA = 1.5
RADIUS = 5  # truncated at 3.5 sigma: a window of 11, as scikit-image and Wang et al. (2004)
WINDOW = 2 * RADIUS + 1
C1 = 0.01**2
C2 = 0.03**2
#: Exponents of the scales, finest first (Wang, Simoncelli & Bovik 2003, section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ssim(video_a, video_b) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) of each clip: the mean over frames, channels and pixels.

    Convention: Gaussian window of sigma 1.5 cut at 11x11, population covariance, data range 1, each colour
    channel by itself; only windows that lie wholly in the frame count, so borders are never padded. It is
    scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1, channel_axis=-1)` of each frame, TensorFlow's `tf.image.ssim` and pytorch-msssim's `ssim`.

    Args:
        video_a, video_b: [..., T, H, W, C], uint8 or float in [0, 1]; both of one shape, H and W at least 11.

    Returns:
        float64 of the leading shape.
    """
    return _each_clip(video_a, video_b, "ssim", WINDOW, lambda a, b: np.prod(_maps(a, b), axis=0).mean())


def ms_ssim(video_a, video_b, odd: Literal["repeat", "zeros"] = "repeat") -> np.ndarray:
    """Multi-scale structural similarity (Wang, Simoncelli & Bovik 2003) of each clip.

    Five scales, each half of the one before by 2x2 means. Of each frame and channel: the mean contrast and
    structure of every scale and the luminance of the last, negative ones as 0, to the powers `SCALE_WEIGHTS`,
    multiplied; then the mean over channels and frames. Windows as of `ssim`.

    Args:
        video_a, video_b: [..., T, H, W, C], uint8 or float in [0, 1]; both of one shape, H and W above 160.
        odd: what a side of odd length gets before it is halved: its last row once more ("repeat", as
            TensorFlow), or a row of zeros on both sides ("zeros", as pytorch-msssim). No difference where
            sides divide by 16.

    Returns:
        float64 of the leading shape, in [0, 1].
    """
    if odd not in ("repeat", "zeros"):
        raise UserError(f"ms_ssim: odd sides {odd!r}; expected 'repeat' or 'zeros'")
    least = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1
    return _each_clip(video_a, video_b, "ms_ssim", least, lambda a, b: _ms_ssim_of_clip(a, b, odd))


def _each_clip(video_a, video_b, name: str, least: int, measure) -> np.ndarray:
    """`measure` of each clip, one at a time, which bounds the memory; frames as [T, C, H, W]."""
    a, b, _ = pair(video_a, video_b, 4)
    if min(a.shape[-3:-1]) < least:
        raise UserError(f"{name}: frames of {a.shape[-3:-1]} pixels, expected {least} or more each way")
    lead, clip = a.shape[:-4], a.shape[-4:]
    clips = zip(a.reshape(-1, *clip), b.reshape(-1, *clip), strict=True)
    values = [measure(np.moveaxis(clip_a, -1, 1), np.moveaxis(clip_b, -1, 1)) for clip_a, clip_b in clips]
    return np.asarray(values, np.float64).reshape(lead)


def _ms_ssim_of_clip(a_TCHW: np.ndarray, b_TCHW: np.ndarray, odd: str) -> float:
    product_TC = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        luminance, structure = _maps(a_TCHW, b_TCHW)
        last = scale == len(SCALE_WEIGHTS) - 1
        mean_TC = (luminance * structure if last else structure).mean(axis=(-2, -1))
        product_TC = product_TC * np.maximum(mean_TC, 0.0) ** weight
        if not last:
            a_TCHW, b_TCHW = _halved(a_TCHW, odd), _halved(b_TCHW, odd)
    return float(np.mean(product_TC))


def _halved(x_TCHW: np.ndarray, odd: str) -> np.ndarray:
    rows, columns = (size % 2 for size in x_TCHW.shape[-2:])
    if odd == "repeat":
        x_TCHW = np.pad(x_TCHW, ((0, 0), (0, 0), (0, rows), (0, columns)), mode="edge")
    else:
        x_TCHW = np.pad(x_TCHW, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
        x_TCHW = x_TCHW[..., : x_TCHW.shape[-2] // 2 * 2, : x_TCHW.shape[-1] // 2 * 2]
    shape = (*x_TCHW.shape[:2], x_TCHW.shape[-2] // 2, 2, x_TCHW.shape[-1] // 2, 2)
    return x_TCHW.reshape(shape).mean(axis=(-3, -1))


def _maps(a_TCHW: np.ndarray, b_TCHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, of every window: SSIM is their product."""
    rows, columns = _window_matrix(a_TCHW.shape[-2]), _window_matrix(a_TCHW.shape[-1]).T

    def smooth(x: np.ndarray) -> np.ndarray:
        return rows @ x @ columns

    mean_a, mean_b = smooth(a_TCHW), smooth(b_TCHW)
    var_a, var_b = smooth(a_TCHW * a_TCHW) - mean_a**2, smooth(b_TCHW * b_TCHW) - mean_b**2
    covariance = smooth(a_TCHW * b_TCHW) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (var_a + var_b + C2)


@functools.lru_cache(maxsize=16)
def _window_matrix(size: int) -> np.ndarray:
    """[size - 10, size]: row i is the Gaussian window starting at pixel i, so smoothing is a matmul."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    window /= window.sum()
    matrix = np.zeros((size - WINDOW + 1, size))
    for row in range(matrix.shape[0]):
        matrix[row, row : row + WINDOW] = window
    return matrix

"""Arrays of pixels: the checks, the conversion to uint8 and the enlargement that every writer shares."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_video(video_THWC: Any) -> np.ndarray:
    """Returns the clip as a numpy array, or raises `ValueError`.

    Args:
        video_THWC: uint8 [T, H, W, 3] in 0..255, at least one frame and one pixel.
    """
    array = np.asarray(video_THWC)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(f"expected uint8 [T,H,W,3] with T,H,W >= 1, got {array.dtype} {list(array.shape)}")
    return array


def check_image(image_HWC: Any) -> np.ndarray:
    """Returns the picture as a numpy array, or raises `ValueError`.

    Args:
        image_HWC: uint8 [H, W, 3] RGB, or [H, W, 4] with alpha, in 0..255, at least one pixel.
    """
    array = np.asarray(image_HWC)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] not in (3, 4) or 0 in array.shape:
        raise ValueError(
            f"expected uint8 [H,W,3] or [H,W,4] with H,W >= 1, got {array.dtype} {list(array.shape)}"
        )
    return array


def to_uint8(pixels: Any) -> np.ndarray:
    """Float pixels in [0, 1], of any shape, to uint8 in 0..255: clipped, then rounded to nearest.

    uint8 passes through unchanged. NaN has no colour and raises `ValueError`, as do other integer types,
    whose range nobody can guess.
    """
    array = np.asarray(pixels)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind in "iub":
        raise ValueError(f"expected float pixels in [0,1] or uint8, got {array.dtype}")
    array = array.astype(np.float32)  # also bfloat16, whose numpy kind is not "f"
    if np.isnan(array).any():
        raise ValueError("pixels contain NaN")
    return np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)


def upscale(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Repeats every pixel `scale` times in both directions (nearest neighbour).

    Args:
        pixels: [..., H, W, C].
        scale: whole number >= 1.

    Returns:
        [..., scale * H, scale * W, C], same dtype.
    """
    if scale != int(scale) or scale < 1:
        raise ValueError(f"scale must be a whole number >= 1, got {scale!r}")
    if scale == 1:
        return pixels
    return pixels.repeat(int(scale), axis=-3).repeat(int(scale), axis=-2)


def viewing_scale(height: int, width: int, target: int = 192) -> int:
    """The whole factor that brings a small clip's longer side to about `target` pixels; 1 for a big one."""
    return max(1, round(target / max(height, width)))


def check_fps(fps: float) -> float:
    """Returns `fps`, or raises `ValueError` unless it is a finite number above 0."""
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, got {fps!r}")
    return fps


def colour(value: str | Sequence[int], channels: int = 3) -> np.ndarray:
    """'#rrggbb', '#rrggbbaa' or numbers in 0..255 -> uint8 [channels]; a missing alpha is opaque."""
    numbers = bytes.fromhex(value.removeprefix("#")) if isinstance(value, str) else tuple(value)
    if len(numbers) not in (3, 4) or len(numbers) > channels:
        raise ValueError(f"expected a colour of 3 to {channels} components, got {value!r}")
    return np.array([*numbers, 255][:channels], np.uint8)

"""From a decoded picture to an RGB array of the asked size: modes, antialiased resizing, cropping."""

import numpy as np
from PIL import Image, ImageOps


def rgb_from_image(image: Image.Image) -> np.ndarray:
    """Any PIL image as uint8 [H, W, 3]: upright by its EXIF tag, 16 bits to 8, alpha over white."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        grey = _eight_bits(np.asarray(image), sixteen=image.mode.startswith("I;16"))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        return over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _eight_bits(grey: np.ndarray, sixteen: bool) -> np.ndarray:
    """Grey values of 16 bits as uint8, which PIL would clip; other wide modes may end at 255."""
    grey = grey.astype(np.float64)
    return np.clip(grey / 257 + 0.5 if sixteen or grey.max() > 255 else grey, 0, 255).astype(np.uint8)


def over_white(rgba: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 4] laid over a white background: uint8 [H, W, 3]."""
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def cover_size(size: tuple[float, float], window: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of a picture's proportions that covers the window, in whole pixels."""
    scale = max(window[0] / size[0], window[1] / size[1])
    return max(window[0], round(size[0] * scale)), max(window[1], round(size[1] * scale))


def resize(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [H, W, 3] at another (height, width), bicubic, antialiased when smaller."""
    if rgb.shape[:2] == size:
        return rgb
    image = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=2.0))


def centre_corner(size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int]:
    """Top left corner (y, x) of the window in the middle of a picture."""
    return (size[0] - window[0]) // 2, (size[1] - window[1]) // 2


def random_corner(
    rng: np.random.Generator, size: tuple[int, int], window: tuple[int, int]
) -> tuple[int, int]:
    """Top left corner (y, x) of a window anywhere in a picture."""
    return int(rng.integers(size[0] - window[0] + 1)), int(rng.integers(size[1] - window[1] + 1))


def random_cover(rng: np.random.Generator, window: tuple[int, int], smallest: float) -> tuple[int, int]:
    """(height, width) that a picture is resized to cover before the window is cut out: the window's sides are a share
    of it in [smallest, 1], drawn evenly. Nothing is drawn where there is no choice."""
    if smallest == 1:
        return window
    share = rng.uniform(smallest, 1)
    return round(window[0] / share), round(window[1] / share)


def crop(video_THWC: np.ndarray, corner: tuple[int, int], window: tuple[int, int]) -> np.ndarray:
    """The window of every frame."""
    return video_THWC[:, corner[0] : corner[0] + window[0], corner[1] : corner[1] + window[1]]

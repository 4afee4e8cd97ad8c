"""Reading one image file."""

import os
import struct

import numpy as np
from PIL import Image

from magvit_jax.data.decode import Unreadable
from magvit_jax.data.pixels import rgb_from_image

_FAILURES = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def read_image(path: str) -> np.ndarray:
    """An image file, or the first frame of an animated one, as uint8 [H, W, 3]. Raises Unreadable."""
    try:
        if os.path.getsize(path) == 0:
            raise Unreadable("empty file (0 bytes)")
        with Image.open(path) as image:
            return rgb_from_image(image)
    except _FAILURES as error:
        raise Unreadable(_reason(path, error)) from error


def check_image(path: str) -> None:
    """Opens an image and reads its header only. Raises Unreadable."""
    try:
        if os.path.getsize(path) == 0:
            raise Unreadable("empty file (0 bytes)")
        with Image.open(path):
            pass
    except _FAILURES as error:
        raise Unreadable(_reason(path, error)) from error


def _reason(path: str, error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a readable image"
    return f"damaged image ({error.strerror or error if isinstance(error, OSError) else error})"

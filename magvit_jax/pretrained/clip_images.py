"""Pictures as CLIP sees them."""

import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def clip_images(image_NHWC: Array, size: int) -> Array:
    """The middle square of every picture, normalised; can be traced.

    As the authors' code: the shorter side is made `size` by Pillow's bicubic filter, then the middle of the
    longer side is cut out. That filter is antialiased, goes over width and then height, and rounds to whole
    numbers after each.

    Args:
      image_NHWC: [N, H, W, 3], uint8, or float in [0, 1], which is rounded to uint8's steps first.
      size: pixels on a side, 224 of the released networks.

    Returns:
      float32 [N, size, size, 3].

    Raises:
      UserError: another shape or type.
    """
    if image_NHWC.ndim != 4 or image_NHWC.shape[-1] != 3 or 0 in image_NHWC.shape:
        raise UserError(
            f"CLIP of images of shape {list(image_NHWC.shape)}: expected [N, H, W, 3], none of them 0"
        )
    x_NHWC = _whole_numbers(image_NHWC)
    height, width = x_NHWC.shape[1:3]
    short = min(height, width)
    height, width = int(size * height / short), int(size * width / short)
    x_NHWC = _resized(_resized(x_NHWC, 2, width), 1, height)
    top, left = round((height - size) / 2), round((width - size) / 2)
    x_NHWC = x_NHWC[:, top : top + size, left : left + size] / 255
    mean_111C, std_111C = (jnp.asarray(values, jnp.float32)[None, None, None] for values in (MEAN, STD))
    return (x_NHWC - mean_111C) / std_111C


def _whole_numbers(image_NHWC: Array) -> Array:
    """float32 of whole numbers, 0 to 255."""
    if image_NHWC.dtype == jnp.uint8:
        return image_NHWC.astype(jnp.float32)
    if not jnp.issubdtype(image_NHWC.dtype, jnp.floating):
        raise UserError(f"CLIP of images of type {image_NHWC.dtype}: expected uint8, or float in [0, 1]")
    return _rounded(image_NHWC.astype(jnp.float32) * 255)


def _resized(x_NHWC: Array, axis: int, length: int) -> Array:
    if x_NHWC.shape[axis] == length:
        return x_NHWC
    shape = (*x_NHWC.shape[:axis], length, *x_NHWC.shape[axis + 1 :])
    return _rounded(jax.image.resize(x_NHWC, shape, "cubic", antialias=True))


def _rounded(x_NHWC: Array) -> Array:
    """Half goes up, as in Pillow."""
    return jnp.clip(jnp.floor(x_NHWC + 0.5), 0, 255)

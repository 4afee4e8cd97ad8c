"""Bilinear resizing as the networks' publishers do it: without antialiasing, in one of three conventions.

Features depend on it: the same picture resized in two of these conventions gives two Frechet distances.
"""

from typing import Literal

import jax.numpy as jnp

from magvit_jax.pretrained.layers import PRECISION
from magvit_jax.typing import Array

#: Which input position output pixel i of n, of an input of m pixels, looks at:
#: "corner": i * m / n, as TensorFlow 1's resize_bilinear by default (FVD, the graph of FID);
#: "centre": (i + 1/2) * m / n - 1/2, as PyTorch's interpolate (pytorch-fid);
#: "aligned": i * (m - 1) / (n - 1), as Chainer's resize_images (C3D).
Convention = Literal["corner", "centre", "aligned"]


def resize(x_NHWC: Array, size: tuple[int, int], convention: Convention) -> Array:
    """Frames of another size, each side by itself; frames of that size already are returned as they are.

    Args:
      x_NHWC: floats [..., H, W, C].
      size: (height, width) of the output.

    Returns:
      [..., height, width, C] of x's dtype.
    """
    for axis, length in zip((-3, -2), size, strict=True):
        if x_NHWC.shape[axis] != length:
            weights_IO = interpolation(x_NHWC.shape[axis], length, convention).astype(x_NHWC.dtype)
            axes = ([axis % x_NHWC.ndim], [0])
            x_NHWC = jnp.moveaxis(jnp.tensordot(x_NHWC, weights_IO, axes, precision=PRECISION), -1, axis)
    return x_NHWC


def interpolation(length: int, wanted: int, convention: Convention) -> Array:
    """Weights [length, wanted] float32 of the inputs in each output; positions outside repeat the border."""
    places = jnp.arange(wanted, dtype=jnp.float32)
    if convention == "aligned":
        places = places * (max(length - 1, 0) / max(wanted - 1, 1))
    elif convention == "centre":
        places = (places + 0.5) * (length / wanted) - 0.5
    else:
        places = places * (length / wanted)
    places = jnp.clip(places, 0, length - 1)
    distance = jnp.abs(places[None, :] - jnp.arange(length, dtype=jnp.float32)[:, None])
    return jnp.maximum(0, 1 - distance)

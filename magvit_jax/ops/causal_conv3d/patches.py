"""A convolution as one matrix product over patches that lie with their pixels along the minor dimension.

A TPU holds arrays in registers of 8 x 128. Three channels as the minor dimension fill 3 of 128 lanes, so the stem of an
RGB video moves many times its bytes. Here channels stand first and the width last, and all taps of all channels are
stacked before the product: 81 rows for a 3x3x3 stem.
"""

import itertools

import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding, spatial_padding
from magvit_jax.typing import Array


def stacked_patches(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    """Lays all that an output sees side by side, then multiplies. Pays where a pixel has few channels."""
    taps, features = kernel_THWIO.shape[:3], kernel_THWIO.shape[4]
    pads = tuple(map(spatial_padding, taps[1:])) if pads is None else pads
    x_CBTHW = jnp.pad(x_BTHWC.transpose(4, 0, 1, 2, 3), ((0, 0), (0, 0), (zero_frames, 0), *pads))
    spans = [
        (length - count) // stride * stride + 1  # from an output's first element to the last output's
        for length, count, stride in zip(x_CBTHW.shape[2:], taps, strides, strict=True)
    ]
    met = [
        lax.slice(
            x_CBTHW,
            (0, 0, *first),
            (*x_CBTHW.shape[:2], *(tap + span for tap, span in zip(first, spans, strict=True))),
            (1, 1, *strides),
        )
        for first in itertools.product(*map(range, taps))
    ]
    patches_SBTHW = jnp.concatenate(met, axis=0)
    return jnp.einsum("sbthw,so->bthwo", patches_SBTHW, kernel_THWIO.reshape(-1, features))

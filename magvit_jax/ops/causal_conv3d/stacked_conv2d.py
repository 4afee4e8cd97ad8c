"""A causal convolution as one wide 2D convolution: the taps stacked in its input channels, or in its outputs."""

import functools
import operator

import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.causal_conv3d.conv2d import conv2d_frames
from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding, output_length
from magvit_jax.ops.causal_conv3d.precision import in_float32
from magvit_jax.typing import Array


def _pad_time(x_BTHWC: Array, zero_frames: int) -> Array:
    return jnp.pad(x_BTHWC, ((0, 0), (zero_frames, 0), (0, 0), (0, 0), (0, 0)))


def _met_by(tap: int, x_BTHWC: Array, taps: int, stride: int) -> Array:
    """The frames that meet `tap`, one an output, of a stretch that is padded already."""
    outputs = output_length(x_BTHWC.shape[1] - taps + 1, stride)
    return lax.slice_in_dim(x_BTHWC, tap, tap + (outputs - 1) * stride + 1, stride, axis=1)


@in_float32
def stacked_conv2d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    """Lays the frames that an output sees side by side in channels. Pays where a single frame has few channels."""
    taps, height, width, channels, features = kernel_THWIO.shape
    x_BTHWC = _pad_time(x_BTHWC, zero_frames)
    met_BTHWS = jnp.concatenate([_met_by(tap, x_BTHWC, taps, strides[0]) for tap in range(taps)], axis=-1)
    kernel_HWSO = kernel_THWIO.transpose(1, 2, 0, 3, 4).reshape(height, width, taps * channels, features)
    return conv2d_frames(met_BTHWS, kernel_HWSO, strides[1:], pads)


@in_float32
def stacked_outputs(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    """Computes what every frame gives to every tap, then adds up each output's. Pays where there are few outputs."""
    taps, height, width, channels, features = kernel_THWIO.shape
    kernel_HWIS = kernel_THWIO.transpose(1, 2, 3, 0, 4).reshape(height, width, channels, taps * features)
    y_BTHWS = _pad_time(conv2d_frames(x_BTHWC, kernel_HWIS, strides[1:], pads), zero_frames)
    parts = [
        _met_by(tap, y_BTHWS, taps, strides[0])[..., tap * features : (tap + 1) * features]
        for tap in range(taps)
    ]
    return functools.reduce(operator.add, parts)

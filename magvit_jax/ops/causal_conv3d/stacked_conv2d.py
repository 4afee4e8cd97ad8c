"""A causal convolution as one 2D convolution: all taps' frames stacked in its input channels, or in its outputs."""

import jax.numpy as jnp
from jax import lax

from magvit_jax.ops.causal_conv3d.conv2d import conv2d
from magvit_jax.ops.causal_conv3d.geometry import output_length
from magvit_jax.typing import Array


def _pad_time(x_BTHWC: Array, zero_frames: int) -> Array:
    return jnp.pad(x_BTHWC, ((0, 0), (zero_frames, 0), (0, 0), (0, 0), (0, 0)))


def _window(x_BTHWC: Array, tap: int, outputs: int, stride: int) -> Array:
    return lax.slice_in_dim(x_BTHWC, tap, tap + (outputs - 1) * stride + 1, stride, 1)


def stacked_conv2d(
    x_BTHWC: Array, kernel_THWIO: Array, strides: tuple[int, int, int], zero_frames: int
) -> Array:
    """Stacks the frames that an output sees in channels: one wide convolution, worth the copy when C is small."""
    taps, height, width, channels, features = kernel_THWIO.shape
    x_BTHWC = _pad_time(x_BTHWC, zero_frames)
    outputs = output_length(x_BTHWC.shape[1] - taps + 1, strides[0])
    x_BTHWS = jnp.concatenate([_window(x_BTHWC, tap, outputs, strides[0]) for tap in range(taps)], axis=-1)
    kernel_HWSO = kernel_THWIO.transpose(1, 2, 0, 3, 4).reshape(height, width, taps * channels, features)
    y_NHWC = conv2d(x_BTHWS.reshape(-1, *x_BTHWS.shape[2:]), kernel_HWSO, strides[1:])
    return y_NHWC.reshape(-1, outputs, *y_NHWC.shape[1:])


def stacked_outputs(
    x_BTHWC: Array, kernel_THWIO: Array, strides: tuple[int, int, int], zero_frames: int
) -> Array:
    """Computes every tap of every frame as one output channel more, then adds each output's taps."""
    taps, height, width, channels, features = kernel_THWIO.shape
    kernel_HWIS = kernel_THWIO.transpose(1, 2, 3, 0, 4).reshape(height, width, channels, taps * features)
    y_NHWS = conv2d(x_BTHWC.reshape(-1, *x_BTHWC.shape[2:]), kernel_HWIS, strides[1:])
    y_BTHWS = _pad_time(y_NHWS.reshape(*x_BTHWC.shape[:2], *y_NHWS.shape[1:]), zero_frames)
    outputs = output_length(y_BTHWS.shape[1] - taps + 1, strides[0])
    return sum(
        _window(y_BTHWS, tap, outputs, strides[0])[..., tap * features : (tap + 1) * features] for tap in range(taps)
    )

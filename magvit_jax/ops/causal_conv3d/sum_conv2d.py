"""A causal convolution as a sum of 2D convolutions, one a temporal tap, over only those frames that meet the tap."""

import functools

import jax
from jax import lax

from magvit_jax.ops.causal_conv3d import conv2d
from magvit_jax.ops.causal_conv3d.geometry import frames_of_tap, output_length
from magvit_jax.typing import Array

Strides = tuple[int, int, int]


def _take(x_BTHWC: Array, first: int, count: int, stride: int, axis: int = 1) -> Array:
    return lax.slice_in_dim(x_BTHWC, first, first + (count - 1) * stride + 1, stride, axis)


def _place(x_BTHWC: Array, first: int, length: int, stride: int) -> Array:
    """Inverse of `_take`: `length` frames of which every stride-th from `first` on comes from x and the rest is zero."""
    count = x_BTHWC.shape[1]
    after = length - first - (count - 1) * stride - 1
    time = (first, after, stride - 1)
    return lax.pad(x_BTHWC, jax.numpy.zeros((), x_BTHWC.dtype), ((0, 0, 0), time, (0, 0, 0), (0, 0, 0), (0, 0, 0)))


def _each_frame(function, x_BTHWC: Array) -> Array:
    y_NHWC = function(x_BTHWC.reshape(-1, *x_BTHWC.shape[2:]))
    return y_NHWC.reshape(*x_BTHWC.shape[:2], *y_NHWC.shape[1:])


def _taps(x_shape, kernel_shape, strides: Strides, zero_frames: int):
    """(tap, first output, first input, count) of the taps that meet any frame."""
    for tap in range(kernel_shape[0]):
        first_output, first_input, count = frames_of_tap(tap, x_shape[1], zero_frames, kernel_shape[0], strides[0])
        if count > 0:
            yield tap, first_output, first_input, count


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def sum_conv2d(x_BTHWC: Array, kernel_THWIO: Array, strides: Strides, zero_frames: int) -> Array:
    frames = output_length(x_BTHWC.shape[1] + zero_frames - kernel_THWIO.shape[0] + 1, strides[0])
    y_BTHWC = None
    for tap, first_output, first_input, count in _taps(x_BTHWC.shape, kernel_THWIO.shape, strides, zero_frames):
        met_BTHWC = _take(x_BTHWC, first_input, count, strides[0])
        part_BTHWC = _each_frame(lambda x, k=kernel_THWIO[tap]: conv2d.forward(x, k, strides[1:]), met_BTHWC)
        part_BTHWC = _place(part_BTHWC, first_output, frames, 1)
        y_BTHWC = part_BTHWC if y_BTHWC is None else y_BTHWC + part_BTHWC
    return y_BTHWC


def _fwd(x_BTHWC, kernel_THWIO, strides, zero_frames):
    return sum_conv2d(x_BTHWC, kernel_THWIO, strides, zero_frames), (x_BTHWC, kernel_THWIO)


def _bwd(strides, zero_frames, residuals, g_BTHWC):
    x_BTHWC, kernel_THWIO = residuals
    batch, frames, height, width, _ = x_BTHWC.shape
    x_CHWBT, g_HWBTC = x_BTHWC.transpose(4, 2, 3, 0, 1), g_BTHWC.transpose(2, 3, 0, 1, 4)  # once for all taps
    dx_BTHWC, dk_HWIO = None, [jax.numpy.zeros_like(kernel_THWIO[0])] * kernel_THWIO.shape[0]
    for tap, first_output, first_input, count in _taps(x_BTHWC.shape, kernel_THWIO.shape, strides, zero_frames):
        part_BTHWC = _each_frame(
            lambda g, k=kernel_THWIO[tap]: conv2d.input_gradient(g, k, strides[1:], (height, width)),
            _take(g_BTHWC, first_output, count, 1),
        )
        part_BTHWC = _place(part_BTHWC, first_input, frames, strides[0])
        dx_BTHWC = part_BTHWC if dx_BTHWC is None else dx_BTHWC + part_BTHWC

        x_CHWN = _take(x_CHWBT, first_input, count, strides[0], axis=4)
        g_HWNC = _take(g_HWBTC, first_output, count, 1, axis=3)
        dk_HWIO[tap] = conv2d.kernel_gradient(
            x_CHWN.reshape(*x_CHWN.shape[:3], batch * count),
            g_HWNC.reshape(*g_HWNC.shape[:2], batch * count, -1),
            strides[1:],
            kernel_THWIO.shape[1:3],
        )
    return dx_BTHWC, jax.numpy.stack(dk_HWIO)


sum_conv2d.defvjp(_fwd, _bwd)

"""A zero-padded 2D convolution whose gradients are written in the one layout that XLA:CPU runs fast.

XLA:CPU has a fast convolution for operands in the order NHWC, HWIO -> NHWC. JAX's own gradient rules permute
the dimension numbers instead of the operands, and XLA:CPU rewrites those into the fast order in a program's entry
computation only. In the body of a `lax.scan` (micro-batches, layers) the input gradient then runs 40 times slower
than the forward pass and the kernel gradient 150 times slower. Here the operands are transposed by hand, so both
are fast everywhere.

Reverse mode only (any number of times): a custom VJP has no forward mode.
"""

import functools

import jax
from jax import lax

from magvit_jax.ops.causal_conv3d.geometry import output_length, spatial_padding
from magvit_jax.typing import Array

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _forward(x_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int]) -> Array:
    padding = [spatial_padding(size) for size in kernel_HWIO.shape[:2]]
    return lax.conv_general_dilated(x_NHWC, kernel_HWIO, strides, padding, dimension_numbers=_LAYOUT)


def _input_gradient(
    g_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int], size: tuple[int, int]
) -> Array:
    """Gradient of an input of height and width `size`: g, spread out by the strides, under the kernel turned round."""
    padding = []
    for length, taps, stride in zip(size, kernel_HWIO.shape[:2], strides, strict=True):
        before, _ = spatial_padding(taps)
        after = length - 1 + before - (output_length(length, stride) - 1) * stride
        padding.append((taps - 1 - before, after))
    turned_HWOI = lax.rev(kernel_HWIO, (0, 1)).swapaxes(2, 3)
    return lax.conv_general_dilated(
        g_NHWC, turned_HWOI, (1, 1), padding, lhs_dilation=strides, dimension_numbers=_LAYOUT
    )


def _kernel_gradient(x_NHWC: Array, g_NHWC: Array, strides: tuple[int, int], size: tuple[int, int]) -> Array:
    """Gradient of a kernel of height and width `size`: x's channels are the batch, g is the kernel, N is summed."""
    padding = []
    for length, outputs, taps, stride in zip(
        x_NHWC.shape[1:3], g_NHWC.shape[1:3], size, strides, strict=True
    ):
        before, _ = spatial_padding(taps)
        padding.append((before, taps + (outputs - 1) * stride - length - before))
    x_IHWN, g_HWNO = x_NHWC.transpose(3, 1, 2, 0), g_NHWC.transpose(1, 2, 0, 3)
    dk_IHWO = lax.conv_general_dilated(
        x_IHWN, g_HWNO, (1, 1), padding, rhs_dilation=strides, dimension_numbers=_LAYOUT
    )
    return dk_IHWO.transpose(1, 2, 0, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(x_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int]) -> Array:
    """Output (i, j) is centred on input (strides[0] * i, strides[1] * j); see `geometry.spatial_padding`."""
    return _forward(x_NHWC, kernel_HWIO, strides)


def _conv2d_fwd(x_NHWC, kernel_HWIO, strides):
    return _forward(x_NHWC, kernel_HWIO, strides), (x_NHWC, kernel_HWIO)


def _conv2d_bwd(strides, residuals, g_NHWC):
    x_NHWC, kernel_HWIO = residuals
    dx_NHWC = _input_gradient(g_NHWC, kernel_HWIO, strides, x_NHWC.shape[1:3])
    return dx_NHWC, _kernel_gradient(x_NHWC, g_NHWC, strides, kernel_HWIO.shape[:2])


conv2d.defvjp(_conv2d_fwd, _conv2d_bwd)


def conv2d_frames(x_BTHWC: Array, kernel_HWIO: Array, strides: tuple[int, int]) -> Array:
    """`conv2d` of every frame."""
    y_NHWC = conv2d(x_BTHWC.reshape(-1, *x_BTHWC.shape[2:]), kernel_HWIO, strides)
    return y_NHWC.reshape(*x_BTHWC.shape[:2], *y_NHWC.shape[1:])

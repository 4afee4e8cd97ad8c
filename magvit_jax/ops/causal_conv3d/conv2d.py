"""A zero-padded 2D convolution whose gradients are written in the one layout that XLA:CPU runs fast.

XLA:CPU has a fast convolution for operands in the order NHWC, HWIO -> NHWC. JAX's own gradient rules permute the
dimension numbers instead of the operands, and XLA rewrites those into the fast order in the entry computation only: in
the body of a `lax.scan` (micro-batches, layers, decoding steps) the input gradient ran 40 times slower than the forward
pass and the kernel gradient 150 times slower. Here the operands are transposed by hand, so both are fast everywhere.

Reverse-mode only, any number of times: a custom VJP has no forward mode.
"""

import functools

import jax
from jax import lax

from magvit_jax.ops.causal_conv3d.geometry import output_length, spatial_padding
from magvit_jax.typing import Array

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(x_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int]) -> Array:
    padding = [spatial_padding(size) for size in kernel_HWIO.shape[:2]]
    return lax.conv_general_dilated(x_NHWC, kernel_HWIO, strides, padding, dimension_numbers=_LAYOUT)


def input_gradient(g_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int], size: tuple[int, int]) -> Array:
    """Gradient with respect to an input of height and width `size`: g spread by the strides meets the turned kernel."""
    padding = []
    for length, taps, stride in zip(size, kernel_HWIO.shape[:2], strides, strict=True):
        before, _ = spatial_padding(taps)
        padding.append((taps - 1 - before, length - 1 + before - (output_length(length, stride) - 1) * stride))
    turned_HWOI = lax.rev(kernel_HWIO, (0, 1)).swapaxes(2, 3)
    return lax.conv_general_dilated(
        g_NHWC, turned_HWOI, (1, 1), padding, lhs_dilation=strides, dimension_numbers=_LAYOUT
    )


def kernel_gradient(x_CHWN: Array, g_HWNC: Array, strides: tuple[int, int], taps: tuple[int, int]) -> Array:
    """Gradient [H, W, I, O] of a kernel of `taps`: channels are the batch, g is the kernel, and N is summed over."""
    padding = []
    for length, outputs, count, stride in zip(x_CHWN.shape[1:3], g_HWNC.shape[:2], taps, strides, strict=True):
        before, _ = spatial_padding(count)
        padding.append((before, count + (outputs - 1) * stride - length - before))
    dk_IHWO = lax.conv_general_dilated(
        x_CHWN, g_HWNC, (1, 1), padding, rhs_dilation=strides, dimension_numbers=_LAYOUT
    )
    return dk_IHWO.transpose(1, 2, 0, 3)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(x_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int]) -> Array:
    return forward(x_NHWC, kernel_HWIO, strides)


def _conv2d_fwd(x_NHWC, kernel_HWIO, strides):
    return forward(x_NHWC, kernel_HWIO, strides), (x_NHWC, kernel_HWIO)


def _conv2d_bwd(strides, residuals, g_NHWC):
    x_NHWC, kernel_HWIO = residuals
    dx_NHWC = input_gradient(g_NHWC, kernel_HWIO, strides, x_NHWC.shape[1:3])
    x_CHWN, g_HWNC = x_NHWC.transpose(3, 1, 2, 0), g_NHWC.transpose(1, 2, 0, 3)
    return dx_NHWC, kernel_gradient(x_CHWN, g_HWNC, strides, kernel_HWIO.shape[:2])


conv2d.defvjp(_conv2d_fwd, _conv2d_bwd)

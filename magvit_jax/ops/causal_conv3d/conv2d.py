"""A zero-padded 2D convolution whose gradients, of any order, are written in the one layout that XLA:CPU runs fast.

XLA:CPU has a fast convolution for operands in the order NHWC, HWIO -> NHWC. JAX's own gradient rules permute
the dimension numbers instead of the operands, and XLA:CPU rewrites those into the fast order in a program's entry
computation only. In the body of a `lax.scan` (micro-batches, layers) or a branch of a `lax.cond` the input gradient
then runs 40 times slower than the forward pass and the kernel gradient 150 times slower. Here the operands are
transposed by hand, so both are fast everywhere. Either gradient is a convolution of the same family, so gradients of
gradients (a penalty on the slope of a discriminator) come out in the fast layout too.

Reverse mode only (any number of times): a custom VJP has no forward mode.
"""

import functools
from typing import NamedTuple

import jax
from jax import lax

from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding, spatial_padding
from magvit_jax.typing import Array

_LAYOUT = ("NHWC", "HWIO", "NHWC")


class _Axis(NamedTuple):
    """How a kernel moves along one axis: output i meets, at tap j, entry stride * i + kernel_step * j - before of the
    input, whose own entries lie input_step apart with zeros between them."""

    stride: int
    input_step: int
    kernel_step: int
    before: int
    outputs: int

    def after(self, length: int, taps: int) -> int:
        """Zeros after the input (fewer than none cuts it) for exactly `outputs` outputs."""
        needed = (self.outputs - 1) * self.stride + (taps - 1) * self.kernel_step + 1
        return needed - (length - 1) * self.input_step - 1 - self.before

    def of_input_gradient(self, length: int, taps: int) -> "_Axis":
        """The output's gradient under the kernel turned round, which gives the gradient of `length` inputs."""
        before = (taps - 1) * self.kernel_step - self.before
        return _Axis(self.input_step, self.stride, self.kernel_step, before, length)

    def of_kernel_gradient(self, taps: int) -> "_Axis":
        """The input under the output's gradient as a kernel, which gives the gradient of `taps` taps."""
        return _Axis(self.kernel_step, self.input_step, self.stride, self.before, taps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x_NHWC: Array, kernel_HWIO: Array, axes: tuple[_Axis, _Axis]) -> Array:
    lengths, taps = x_NHWC.shape[1:3], kernel_HWIO.shape[:2]
    return lax.conv_general_dilated(
        x_NHWC,
        kernel_HWIO,
        window_strides=[axis.stride for axis in axes],
        padding=[
            (axis.before, axis.after(*sizes)) for axis, *sizes in zip(axes, lengths, taps, strict=True)
        ],
        lhs_dilation=[axis.input_step for axis in axes],
        rhs_dilation=[axis.kernel_step for axis in axes],
        dimension_numbers=_LAYOUT,
    )


def _convolve_fwd(x_NHWC, kernel_HWIO, axes):
    return _convolve(x_NHWC, kernel_HWIO, axes), (x_NHWC, kernel_HWIO)


def _convolve_bwd(axes, residuals, g_NHWC):
    x_NHWC, kernel_HWIO = residuals
    lengths, taps = x_NHWC.shape[1:3], kernel_HWIO.shape[:2]
    turned_HWOI = lax.rev(kernel_HWIO, (0, 1)).swapaxes(2, 3)
    input_axes = tuple(
        axis.of_input_gradient(*sizes) for axis, *sizes in zip(axes, lengths, taps, strict=True)
    )
    # x's channels are the batch, g is the kernel, and the examples are summed over.
    x_IHWN, g_HWNO = x_NHWC.transpose(3, 1, 2, 0), g_NHWC.transpose(1, 2, 0, 3)
    kernel_axes = tuple(axis.of_kernel_gradient(count) for axis, count in zip(axes, taps, strict=True))
    dk_IHWO = _convolve(x_IHWN, g_HWNO, kernel_axes)
    return _convolve(g_NHWC, turned_HWOI, input_axes), dk_IHWO.transpose(1, 2, 0, 3)


_convolve.defvjp(_convolve_fwd, _convolve_bwd)


def conv2d(
    x_NHWC: Array, kernel_HWIO: Array, strides: tuple[int, int], pads: SpatialPadding | None = None
) -> Array:
    """A convolution under `pads`, zeros (before, after) height and width.

    By default output (i, j) is centred on input (strides[0] * i, strides[1] * j); see `geometry.spatial_padding`.
    """
    pads = tuple(map(spatial_padding, kernel_HWIO.shape[:2])) if pads is None else pads
    axes = tuple(
        _Axis(stride, 1, 1, before, (length + before + after - taps) // stride + 1)
        for stride, (before, after), taps, length in zip(
            strides, pads, kernel_HWIO.shape[:2], x_NHWC.shape[1:3], strict=True
        )
    )
    return _convolve(x_NHWC, kernel_HWIO, axes)


def conv2d_frames(
    x_BTHWC: Array, kernel_HWIO: Array, strides: tuple[int, int], pads: SpatialPadding | None = None
) -> Array:
    """`conv2d` of every frame."""
    y_NHWC = conv2d(x_BTHWC.reshape(-1, *x_BTHWC.shape[2:]), kernel_HWIO, strides, pads)
    return y_NHWC.reshape(*x_BTHWC.shape[:2], *y_NHWC.shape[1:])

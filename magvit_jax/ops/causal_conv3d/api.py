"""Checks the arguments of a causal convolution and picks the implementation."""

import jax.numpy as jnp
from jax import lax

from magvit_jax.errors import UserError
from magvit_jax.ops.backend import target_backend
from magvit_jax.ops.causal_conv3d.geometry import output_length
from magvit_jax.ops.causal_conv3d.matmul import matmul
from magvit_jax.ops.causal_conv3d.patches import stacked_patches
from magvit_jax.ops.causal_conv3d.reference import xla_conv3d
from magvit_jax.ops.causal_conv3d.stacked_conv2d import stacked_conv2d, stacked_outputs
from magvit_jax.ops.causal_conv3d.sum_conv2d import sum_conv2d
from magvit_jax.typing import Array

IMPLEMENTATIONS = {  # all run on every backend; `default_implementation` says which is fast where
    "xla_conv3d": xla_conv3d,
    "sum_conv2d": sum_conv2d,
    "stacked_conv2d": stacked_conv2d,
    "stacked_outputs": stacked_outputs,
    "stacked_patches": stacked_patches,
    "matmul": matmul,
}


def default_implementation(backend: str, kernel_shape: tuple[int, ...], strides: tuple[int, int, int]) -> str:
    """The fastest known for forward + backward; depends on shapes only, never on values.

    A 1x1x1 kernel is "matmul" everywhere. Beyond that, by backend:

    cpu: as measured (`tools/bench_ops.py`). XLA:CPU has a fast 2D convolution only: its 3D one is 3 to 5 times
      slower than "sum_conv2d", 20 times with strides. "stacked_conv2d" wins where a tap has few channels,
      "stacked_outputs" where it has few outputs or steps over pixels but not over frames.
    tpu: as the compiler estimates (`tools/bench_aot.py`, v5e, bfloat16), not measured. XLA's 3D convolution,
      but "stacked_patches" for an RGB stem and "stacked_outputs" for an RGB head, at stride 1.
    gpu: XLA's 3D convolution, which is cuDNN's; nothing else was compared.
    """
    taps, height, width, channels, features = kernel_shape
    if (taps, height, width) == (1, 1, 1):
        return "matmul"
    if backend == "tpu" and taps > 1 and strides == (1, 1, 1):
        if channels <= 4:
            return "stacked_patches"
        if features <= 4:
            return "stacked_outputs"
    if backend != "cpu":
        return "xla_conv3d"
    if taps == 1:
        return "sum_conv2d"
    if 4 * features <= channels:
        return "stacked_outputs"
    if channels <= 16:
        return "stacked_conv2d"
    if strides[0] == 1 and strides[1] * strides[2] > 1 and features <= channels:
        return "stacked_outputs"
    return "sum_conv2d"


def causal_conv3d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int] = (1, 1, 1),
    implementation: str | None = None,
    *,
    bias: Array | None = None,
    history: Array | None = None,
) -> Array:
    """3D convolution that is causal in time: output frame i sees input frames up to strides[0] * i and no later one.

    Padding. Time: kernel_T - 1 frames before the first (zeros, or `history`) and none after, so 1 + s * t
    frames give 1 + t at stride s. Space: zeros, (k - 1) // 2 before and k // 2 after, whatever the stride and
    size: output i is centred on input s * i, and ceil(H / s) outputs come of H inputs. That is PyTorch's
    `padding=k // 2` for odd k; it is not the "SAME" of TensorFlow and JAX, which at stride 2 pads even sizes
    by (0, 1).

    Args:
      x_BTHWC: floats [B, T, H, W, C].
      kernel_THWIO: [kernel_T, kernel_H, kernel_W, C, C_out] of x's dtype. No flip: cross-correlation.
      strides: (time, height, width), each at least 1.
      implementation: None for `default_implementation`, or a name of `IMPLEMENTATIONS`: used or refused, never
        replaced. "sum_conv2d", "stacked_conv2d" and "stacked_outputs" have custom VJPs: reverse mode only.
      bias: optional [C_out] of x's dtype.
      history: optional [B, kernel_T - 1, H, W, C], the frames just before x, for a stream cut into chunks. Chunks whose
        lengths are multiples of strides[0] then give, one after another, the outputs of the whole stream. The
        next chunk's history is the last kernel_T - 1 frames of `concatenate([history, x], axis=1)`.

    Returns:
      [B, ceil(T / s_T), ceil(H / s_H), ceil(W / s_W), C_out] of x's dtype; sums are float32 for narrower floats.

    Raises:
      UserError: shapes or dtypes that do not fit, or an implementation that is unknown or unfit.

    Source: thesis chapter 5.3 (causal 3D convolutions of MAGVIT-v2).
    """
    strides = tuple(int(stride) for stride in strides)
    check("causal_conv3d", x_BTHWC, kernel_THWIO, strides, bias, history)
    taps = kernel_THWIO.shape[0]
    if history is not None:
        x_BTHWC, zero_frames = jnp.concatenate([history, x_BTHWC], axis=1), 0
    else:
        # Taps that would only ever meet zeros are dropped: an image costs a 2D convolution, not three.
        last_input = (output_length(x_BTHWC.shape[1], strides[0]) - 1) * strides[0]
        zero_frames = min(taps - 1, last_input)
        kernel_THWIO = kernel_THWIO[taps - 1 - zero_frames :]
    function = pick("causal_conv3d", implementation, kernel_THWIO.shape, strides)
    y_BTHWC = function(x_BTHWC, kernel_THWIO, strides, zero_frames)
    if bias is not None:
        y_BTHWC = y_BTHWC + lax.broadcast_in_dim(bias, y_BTHWC.shape, (4,))
    return y_BTHWC


def pick(op: str, implementation: str | None, kernel_shape: tuple[int, ...], strides: tuple[int, int, int]):
    """The function of `IMPLEMENTATIONS` that was asked for, or the default; `op` is who asks."""
    backend = target_backend()
    name = (
        default_implementation(backend, kernel_shape, strides) if implementation is None else implementation
    )
    if name not in IMPLEMENTATIONS:
        known = ", ".join(sorted(IMPLEMENTATIONS))
        raise UserError(f"{op}: implementation {name!r} is unknown; available on {backend}: {known}")
    return IMPLEMENTATIONS[name]


def check(op: str, x_BTHWC, kernel_THWIO, strides, bias=None, history=None) -> None:
    """UserError, in the name of `op`, where shapes or dtypes do not fit."""
    if x_BTHWC.ndim != 5 or kernel_THWIO.ndim != 5 or 0 in x_BTHWC.shape or 0 in kernel_THWIO.shape:
        raise UserError(
            f"{op}: x {x_BTHWC.shape} and kernel {kernel_THWIO.shape} must be [B, T, H, W, C] and"
            " [T, H, W, C, C_out], none of them empty"
        )
    if x_BTHWC.shape[4] != kernel_THWIO.shape[3]:
        raise UserError(
            f"{op}: x has {x_BTHWC.shape[4]} channels, the kernel expects {kernel_THWIO.shape[3]}"
        )
    if len(strides) != 3 or min(strides) < 1:
        raise UserError(f"{op}: strides {strides} must be three numbers of at least 1")
    dtypes = {array.dtype for array in (x_BTHWC, kernel_THWIO, bias, history) if array is not None}
    if len(dtypes) > 1 or not jnp.issubdtype(x_BTHWC.dtype, jnp.floating):
        raise UserError(f"{op}: expected one float dtype for all, got {sorted(map(str, dtypes))}")
    if bias is not None and bias.shape != kernel_THWIO.shape[4:]:
        raise UserError(f"{op}: bias has shape {bias.shape}, expected {kernel_THWIO.shape[4:]}")
    past = (x_BTHWC.shape[0], kernel_THWIO.shape[0] - 1, *x_BTHWC.shape[2:])
    if history is not None and history.shape != past:
        raise UserError(f"{op}: history has shape {history.shape}, expected {past}")

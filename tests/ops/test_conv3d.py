"""The convolution that looks both ways in time, against a float64 sum over taps, forward and backward."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from magvit_jax.errors import UserError
from magvit_jax.ops import conv3d
from magvit_jax.ops.causal_conv3d.api import IMPLEMENTATIONS
from magvit_jax.ops.conv3d.api import PADDINGS

pytestmark = pytest.mark.usefixtures("quick_compilation")
GENERAL = [name for name in IMPLEMENTATIONS if name != "matmul"]
CASES = {  # (x shape, kernel shape)
    "plain": ((2, 4, 5, 6, 3), (3, 3, 3, 3, 4)),
    "uneven_kernel": ((1, 5, 4, 6, 2), (2, 1, 5, 2, 3)),
    "one_frame_one_row": ((2, 1, 1, 5, 4), (3, 3, 3, 4, 2)),
    "two_frames_five_taps": ((1, 2, 4, 4, 3), (5, 3, 3, 3, 3)),
    "flat": ((2, 3, 4, 4, 3), (1, 3, 3, 3, 4)),
    "pointwise": ((2, 2, 3, 4, 5), (1, 1, 1, 5, 2)),
}
RUNS = [(name, case, jnp.float32) for case in ("plain", "uneven_kernel") for name in GENERAL]
RUNS += [("sum_conv2d", case, jnp.float32) for case in ("one_frame_one_row", "two_frames_five_taps", "flat")]
RUNS += [("stacked_conv2d", "plain", jnp.bfloat16), ("matmul", "pointwise", jnp.float32)]


def inputs(case, dtype=jnp.float32):
    x_shape, kernel_shape = CASES[case]
    keys = jax.random.split(jax.random.key(len(case)), 3)
    shapes = (x_shape, kernel_shape, (*x_shape[:4], kernel_shape[4]))
    return [jax.random.normal(key, shape, dtype) for key, shape in zip(keys, shapes, strict=True)]


def naive(x, kernel, g, padding):
    """Output and both gradients in float64. A cell of the padded input is an index of it, or -1 for zero."""
    x, kernel, g = (np.asarray(array, np.float64) for array in (x, kernel, g))
    mode = dict(mode="reflect") if padding == "reflect" else dict(constant_values=-1)
    cells = [
        np.pad(np.arange(n), ((k - 1) // 2, k // 2), **mode)
        for n, k in zip(x.shape[1:4], kernel.shape[:3], strict=True)
    ]
    y, dx, dk = np.zeros(g.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    for t, i, j in np.ndindex(*x.shape[1:4]):
        for tap in np.ndindex(*kernel.shape[:3]):
            cell = tuple(axis[at + k] for axis, at, k in zip(cells, (t, i, j), tap, strict=True))
            if min(cell) < 0:
                continue
            read = (slice(None), *cell)
            y[:, t, i, j] += x[read] @ kernel[tap]
            dx[read] += g[:, t, i, j] @ kernel[tap].T
            dk[tap] += x[read].T @ g[:, t, i, j]
    return y, dx, dk


def assert_close(actual, expected, dtype):
    """Relative L2 distance: a few roundings of the dtype; a mirrored input adds up to eight gradients."""
    assert actual.dtype == dtype and actual.shape == expected.shape
    distance = np.linalg.norm(np.asarray(actual, np.float64) - expected)
    assert distance <= 8 * float(jnp.finfo(dtype).eps) * np.linalg.norm(expected) + 1e-30


@pytest.mark.parametrize(("implementation", "case", "dtype"), RUNS)
def test_value_and_gradients(implementation, case, dtype):
    x, kernel, g = inputs(case, dtype)

    def run(x, kernel, g, padding):
        y, pullback = jax.vjp(lambda x, k: conv3d(x, k, padding, implementation), x, kernel)
        return y, *pullback(g)

    @jax.jit
    def both(x, kernel, g):
        return {padding: run(x, kernel, g, padding) for padding in PADDINGS}

    for padding, results in both(x, kernel, g).items():
        for actual, expected in zip(results, naive(x, kernel, g, padding), strict=True):
            assert_close(actual, expected, dtype)


def test_time_by_hand():
    """Frames 1, 2, 3 under weights 1, 10, 100: zeros or the second frame stand before the first."""
    frames = jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1, 1)
    kernel = jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1, 1)
    assert conv3d(frames, kernel, "zeros").ravel().tolist() == [210.0, 321.0, 32.0]
    assert conv3d(frames, kernel, "reflect").ravel().tolist() == [212.0, 321.0, 232.0]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("implementation", ["sum_conv2d", "stacked_conv2d", "stacked_outputs"])
def test_gradients_stay_in_the_fast_layout_inside_a_scan(implementation, padding):
    """XLA:CPU runs a convolution in any other layout 40 to 150 times slower once it is in a loop's body."""
    x, kernel, _ = inputs("plain")

    def loss(kernel, x):
        return (conv3d(x, kernel, padding, implementation) ** 2).sum()

    def run(x, kernel):
        step = jax.grad(loss, (0, 1))
        return lax.scan(lambda total, x: (total + step(total, x)[0], step(total, x)[1]), kernel, x)

    text = jax.jit(run).lower(jnp.stack([x, x]), kernel).compile().as_text()
    layouts = re.findall(r" convolution\(.*dim_labels=(\S+?),? ", text)
    assert len(layouts) >= 3 and set(layouts) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("padding", PADDINGS)
def test_second_derivatives(padding):
    """A gradient penalty differentiates the custom backward pass once more."""
    x, kernel, _ = inputs("plain")

    def penalty(x, kernel, name):
        slopes = jax.grad(lambda x, k: jnp.tanh(conv3d(x, k, padding, name)).sum(), (0, 1))(x, kernel)
        return sum((slope**2).sum() for slope in slopes)

    grad = jax.jit(jax.grad(penalty, (0, 1)), static_argnums=2)
    for actual, expected in zip(grad(x, kernel, "sum_conv2d"), grad(x, kernel, "xla_conv3d"), strict=True):
        assert jnp.linalg.norm((actual - expected).ravel()) < 1e-5 * jnp.linalg.norm(expected.ravel())


def test_a_single_frame_costs_one_tap():
    """Taps that could only meet the zeros around the clip are left out."""
    x, kernel = jnp.zeros((2, 1, 8, 8, 4)), jnp.zeros((3, 3, 3, 4, 4))
    jaxpr = str(jax.make_jaxpr(lambda x, k: conv3d(x, k, implementation="xla_conv3d"))(x, kernel))
    assert "f32[1,3,3,4,4] = slice" in jaxpr


def test_bias():
    x, kernel, _ = inputs("plain")
    bias = jnp.arange(4.0)
    plain = conv3d(x, kernel)
    np.testing.assert_array_equal(conv3d(x, kernel, bias=bias), plain + bias[None, None, None, None, :])


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("conv3d: padding 'same'; expected one of zeros, reflect", {"padding": "same"}),
        ("^conv3d: implementation 'cudnn' is unknown", {"implementation": "cudnn"}),
        (r"'matmul' needs a 1x1x1 kernel, got \(3, 3, 3\)", {"implementation": "matmul"}),
        ("^conv3d: bias has shape", {"bias": jnp.zeros((3,))}),
    ],
)
def test_bad_arguments(message, arguments):
    x, kernel, _ = inputs("plain")
    with pytest.raises(UserError, match=message):
        conv3d(x, kernel, **arguments)
    with pytest.raises(UserError, match="^conv3d: x has 2 channels, the kernel expects 3"):
        conv3d(x[..., :2], kernel)

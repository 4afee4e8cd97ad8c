"""Every implementation of the causal convolution against a float64 sum over taps, forward and backward."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from magvit_jax.errors import UserError
from magvit_jax.ops import causal_conv3d
from magvit_jax.ops.causal_conv3d.api import IMPLEMENTATIONS, default_implementation

pytestmark = pytest.mark.usefixtures("quick_compilation")
GENERAL = [name for name in IMPLEMENTATIONS if name != "matmul"]
CASES = {  # (x shape, kernel shape, strides)
    "plain": ((2, 5, 6, 8, 3), (3, 3, 3, 3, 4), (1, 1, 1)),
    "halves_even_sizes": ((2, 5, 6, 8, 4), (3, 3, 3, 4, 6), (2, 2, 2)),
    "halves_space_odd_sizes": ((1, 4, 7, 5, 8), (3, 3, 3, 8, 2), (1, 2, 2)),
    "uneven_kernel": ((1, 9, 6, 5, 2), (4, 2, 5, 2, 3), (3, 1, 2)),
    "two_frames": ((2, 2, 4, 4, 4), (5, 1, 3, 4, 4), (1, 1, 1)),
    "pointwise": ((2, 4, 5, 6, 7), (1, 1, 1, 7, 3), (2, 2, 1)),
}
RUNS = [(name, case, jnp.float32) for case in CASES if case != "pointwise" for name in GENERAL]
RUNS += [(name, "two_frames", jnp.bfloat16) for name in GENERAL]
RUNS += [("matmul", "pointwise", jnp.float32), ("matmul", "pointwise", jnp.bfloat16)]


def naive(x, kernel, strides, g=None):
    """Output, and for a cotangent g both gradients, in float64: for each tap a strided window of the padded input."""
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    before = [kernel.shape[0] - 1, (kernel.shape[1] - 1) // 2, (kernel.shape[2] - 1) // 2]
    after = [0, kernel.shape[1] // 2, kernel.shape[2] // 2]
    padded = np.pad(x, [(0, 0), *zip(before, after, strict=True), (0, 0)])
    sizes = [-(-length // stride) for length, stride in zip(x.shape[1:4], strides, strict=True)]
    y = np.zeros((x.shape[0], *sizes, kernel.shape[4]))
    d_padded, d_kernel = np.zeros_like(padded), np.zeros_like(kernel)
    for tap in np.ndindex(*kernel.shape[:3]):
        window = (
            slice(None),
            *(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, sizes, strides, strict=True)),
        )
        y += padded[window] @ kernel[tap]
        if g is not None:
            d_padded[window] += np.asarray(g, np.float64) @ kernel[tap].T
            d_kernel[tap] = np.einsum("bthwi,bthwo->io", padded[window], np.asarray(g, np.float64))
    inner = tuple(slice(b, b + n) for b, n in zip(before, x.shape[1:4], strict=True))
    return y, d_padded[(slice(None), *inner)], d_kernel


def inputs(case, dtype=jnp.float32):
    x_shape, kernel_shape, strides = CASES[case]
    x_key, kernel_key, g_key = jax.random.split(jax.random.key(len(case)), 3)
    x = jax.random.normal(x_key, x_shape, dtype)
    kernel = jax.random.normal(kernel_key, kernel_shape, dtype)
    sizes = [-(-length // stride) for length, stride in zip(x_shape[1:4], strides, strict=True)]
    return x, kernel, strides, jax.random.normal(g_key, (x_shape[0], *sizes, kernel_shape[4]), dtype)


def assert_close(actual, expected, dtype):
    """Relative L2 distance: a few roundings of the dtype (sums are float32 or wider, so it does not grow)."""
    assert actual.dtype == dtype and actual.shape == expected.shape
    distance = np.linalg.norm(np.asarray(actual, np.float64) - expected)
    assert distance <= 4 * float(jnp.finfo(dtype).eps) * np.linalg.norm(expected) + 1e-30


class TestEveryImplementation:
    @pytest.mark.parametrize(("implementation", "case", "dtype"), RUNS)
    def test_value_and_gradients(self, implementation, case, dtype):
        x, kernel, strides, g = inputs(case, dtype)

        @jax.jit
        def run(x, kernel, g):
            y, pullback = jax.vjp(lambda x, k: causal_conv3d(x, k, strides, implementation), x, kernel)
            return y, *pullback(g)

        for actual, expected in zip(run(x, kernel, g), naive(x, kernel, strides, g), strict=True):
            assert_close(actual, expected, dtype)

    @pytest.mark.parametrize("implementation", GENERAL)
    @pytest.mark.parametrize("stride", [1, 2])
    def test_gradients_to_later_frames_are_exactly_zero(self, implementation, stride):
        x = jax.random.normal(jax.random.key(0), (1, 7, 4, 4, 3))
        kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 3, 4))
        grads = jax.jit(
            jax.jacrev(
                lambda x: jnp.abs(causal_conv3d(x, kernel, (stride, 1, 1), implementation)).sum((0, 2, 3, 4))
            )
        )(x)
        sees = np.abs(np.asarray(grads)).sum((1, 3, 4, 5)) > 0  # [output frame, input frame]
        outputs, frames = np.indices(sees.shape)
        np.testing.assert_array_equal(sees, (frames <= stride * outputs) & (frames >= stride * outputs - 2))

    @pytest.mark.parametrize("implementation", GENERAL)
    def test_later_frames_change_nothing_exactly(self, implementation):
        x, kernel, strides, _ = inputs("halves_even_sizes")
        run = jax.jit(lambda x: causal_conv3d(x, kernel, strides, implementation))
        y, changed = run(x), run(x.at[:, 3:].set(1e3))
        np.testing.assert_array_equal(y[:, :2], changed[:, :2])
        assert not np.array_equal(y[:, 2], changed[:, 2])

    @pytest.mark.parametrize("implementation", GENERAL)
    def test_an_image_is_the_first_frame_of_a_video(self, implementation):
        x, kernel, strides, _ = inputs("plain")
        video = causal_conv3d(x, kernel, strides, implementation)
        image = causal_conv3d(x[:, :1], kernel, strides, implementation)
        np.testing.assert_allclose(image, video[:, :1], atol=1e-5)

    @pytest.mark.parametrize("implementation", GENERAL)
    @pytest.mark.parametrize("stride", [1, 2])
    def test_chunks_with_history_give_the_whole(self, implementation, stride):
        x = jax.random.normal(jax.random.key(0), (2, 9, 4, 4, 3))
        kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 3, 4))

        @jax.jit
        def run(x, kernel):
            history, outputs = jnp.zeros_like(x[:, :2]), []
            for chunk in (x[:, :4], x[:, 4:6], x[:, 6:]):
                outputs.append(causal_conv3d(chunk, kernel, (stride, 1, 1), implementation, history=history))
                history = jnp.concatenate([history, chunk], axis=1)[:, -2:]
            return jnp.concatenate(outputs, axis=1), causal_conv3d(x, kernel, (stride, 1, 1), implementation)

        chunks, whole = run(x, kernel)
        np.testing.assert_allclose(chunks, whole, atol=1e-4)

    @pytest.mark.parametrize("implementation", GENERAL)
    def test_sharded_over_the_batch(self, implementation):
        x = jax.random.normal(jax.random.key(0), (8, 3, 4, 4, 3))
        kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 3, 4))

        def loss(x, kernel):
            return (causal_conv3d(x, kernel, (1, 2, 2), implementation) ** 2).sum()

        mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        x_sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
        run = jax.jit(jax.grad(loss, (0, 1)))
        dx, dk = run(x_sharded, kernel)
        expected_dx, expected_dk = run(x, kernel)
        assert_close(dx, np.asarray(expected_dx, np.float64), jnp.float32)
        assert_close(dk, np.asarray(expected_dk, np.float64), jnp.float32)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("implementation", ["sum_conv2d", "stacked_conv2d", "stacked_outputs"])
def test_gradients_stay_in_the_fast_layout_inside_a_scan(implementation, order):
    """XLA:CPU runs a convolution in any other layout 40 to 150 times slower once it is in a loop's body."""
    x, kernel, strides, _ = inputs("plain")

    def loss(kernel, x):
        return (causal_conv3d(x, kernel, strides, implementation) ** 2).sum()

    def penalty(kernel, x):
        return (jax.grad(loss, 1)(kernel, x) ** 2).sum()

    def run(x, kernel):
        return lax.scan(
            lambda total, x: (total + jax.grad(loss if order == 1 else penalty)(kernel, x), None),
            jnp.zeros_like(kernel),
            x,
        )[0]

    text = jax.jit(run).lower(jnp.stack([x, x]), kernel).compile().as_text()
    layouts = re.findall(r" convolution\(.*dim_labels=(\S+?),? ", text)
    assert len(layouts) >= 2 * order and set(layouts) == {"b01f_01io->b01f"}


def test_second_derivatives():
    """A gradient penalty differentiates the custom backward pass once more."""
    x, kernel, strides, _ = inputs("plain")

    def penalty(x, kernel, name):
        slopes = jax.grad(lambda x, k: jnp.tanh(causal_conv3d(x, k, strides, name)).sum(), (0, 1))(x, kernel)
        return sum((slope**2).sum() for slope in slopes)

    grad = jax.jit(jax.grad(penalty, (0, 1)), static_argnums=2)
    for actual, expected in zip(grad(x, kernel, "sum_conv2d"), grad(x, kernel, "xla_conv3d"), strict=True):
        assert jnp.linalg.norm((actual - expected).ravel()) < 1e-5 * jnp.linalg.norm(expected.ravel())


def test_an_image_costs_one_tap():
    """Taps that could only meet the zeros before the first frame are left out, in every implementation."""
    x, kernel = jnp.zeros((2, 1, 8, 8, 4)), jnp.zeros((3, 3, 3, 4, 4))
    for name in GENERAL:
        jaxpr = str(
            jax.make_jaxpr(lambda x, k, name=name: causal_conv3d(x, k, implementation=name))(x, kernel)
        )
        if name == "stacked_patches":
            assert "f32[36,2,1,8,8] = concatenate" in jaxpr  # 3 x 3 x 4 rows, not three times as many
            continue
        assert jaxpr.count("conv_general_dilated[") == 1
        shape = re.search(r"f32\[[\d,]*\] = conv_general_dilated", jaxpr).group()
        assert shape in ("f32[2,1,8,8,4] = conv_general_dilated", "f32[2,8,8,4] = conv_general_dilated")
        assert "f32[3,3,3,4,4]" in jaxpr and "f32[1,3,3,4,4] = slice" in jaxpr


@pytest.mark.parametrize("implementation", GENERAL)
def test_stride_two_is_centred_as_in_pytorch(implementation):
    """By hand: 1, 2, 3, 4 are padded to 0, 1, 2, 3, 4, 0; windows (0, 1, 2) and (2, 3, 4) under weights 1, 10, 100."""
    row = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4, 1)
    kernel = jnp.array([1.0, 10.0, 100.0]).reshape(1, 1, 3, 1, 1)
    assert causal_conv3d(row, kernel, (1, 1, 2), implementation).ravel().tolist() == [210.0, 432.0]
    # The same numbers in time: frames before the first are zero, and the window ends at frame 2 i.
    frames, kernel = row.reshape(1, 4, 1, 1, 1), kernel.reshape(3, 1, 1, 1, 1)
    assert causal_conv3d(frames, kernel, (2, 1, 1), implementation).ravel().tolist() == [100.0, 321.0]


def test_bias():
    x, kernel, strides, _ = inputs("plain")
    bias = jnp.arange(4.0)
    np.testing.assert_array_equal(
        causal_conv3d(x, kernel, strides, bias=bias),
        causal_conv3d(x, kernel, strides) + bias[None, None, None, None, :],
    )


@pytest.mark.parametrize(
    ("backend", "kernel_shape", "strides", "name"),
    [
        ("tpu", (3, 3, 3, 64, 64), (1, 1, 1), "xla_conv3d"),
        ("gpu", (3, 3, 3, 3, 64), (2, 2, 2), "xla_conv3d"),
        ("tpu", (3, 3, 3, 3, 128), (1, 1, 1), "stacked_patches"),
        ("tpu", (3, 3, 3, 3, 128), (2, 2, 2), "xla_conv3d"),
        ("tpu", (1, 3, 3, 3, 128), (1, 1, 1), "xla_conv3d"),
        ("tpu", (3, 3, 3, 128, 3), (1, 1, 1), "stacked_outputs"),
        ("gpu", (3, 3, 3, 3, 64), (1, 1, 1), "xla_conv3d"),
        ("tpu", (1, 1, 1, 64, 64), (1, 1, 1), "matmul"),
        ("cpu", (1, 1, 1, 64, 64), (1, 2, 2), "matmul"),
        ("cpu", (3, 3, 3, 64, 64), (2, 2, 2), "sum_conv2d"),
        ("cpu", (3, 3, 3, 3, 64), (1, 1, 1), "stacked_conv2d"),
        ("cpu", (3, 3, 3, 64, 3), (1, 1, 1), "stacked_outputs"),
        ("cpu", (3, 3, 3, 64, 64), (1, 2, 2), "stacked_outputs"),
        ("cpu", (1, 3, 3, 3, 64), (1, 1, 1), "sum_conv2d"),
    ],
)
def test_default_implementation(backend, kernel_shape, strides, name):
    assert default_implementation(backend, kernel_shape, strides) == name


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("'cudnn' is unknown; available on cpu: matmul, stacked", {"implementation": "cudnn"}),
        ("'matmul' needs a 1x1x1 kernel, got \\(3, 3, 3\\)", {"implementation": "matmul"}),
        ("three numbers", {"strides": (1, 2)}),
        ("three numbers", {"strides": (1, 0, 1)}),
        ("history has shape", {"history": jnp.zeros((2, 1, 6, 8, 3))}),
        ("bias has shape", {"bias": jnp.zeros((3,))}),
        ("one float dtype", {"bias": jnp.zeros((4,), jnp.bfloat16)}),
    ],
)
def test_bad_arguments(message, arguments):
    x, kernel, _, _ = inputs("plain")
    with pytest.raises(UserError, match=message):
        causal_conv3d(x, kernel, **arguments)


def test_bad_shapes():
    x, kernel, _, _ = inputs("plain")
    with pytest.raises(UserError, match="x has 2 channels, the kernel expects 3"):
        causal_conv3d(x[..., :2], kernel)
    with pytest.raises(UserError, match="must be"):
        causal_conv3d(x[0], kernel)
    with pytest.raises(UserError, match="none of them empty"):
        causal_conv3d(x[:, :0], kernel)

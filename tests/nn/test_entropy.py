"""LFQ's entropies over a mesh: equal to those of one device, value and gradient, in the kernel too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.tpu import InterpretParams

from magvit_jax import ops
from magvit_jax.nn.entropy import lfq_entropy
from magvit_jax.ops.lfq_entropy.pallas_tpu import pallas_tpu
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer

TEMPERATURE = 0.1
MESHES = {
    "data": {"data": 8},
    "data_fsdp": {"data": 2, "fsdp": 4},
    "all_axes": {"data": 2, "fsdp": 2, "tensor": 2},
}


@pytest.fixture(scope="module")
def rows():
    """64 rows whose mean drifts from device to device."""
    return 0.1 * jax.random.normal(jax.random.key(0), (64, 8)) + jnp.linspace(-0.2, 0.2, 64)[:, None]


def interpreted(z, temperature, mask=None, axis_name=None, implementation=None):
    """The TPU's kernel in place of the op."""
    exact = jax.lax.Precision.HIGHEST
    return pallas_tpu(z, jnp.float32(temperature), mask, axis_name, None, exact, interpret=InterpretParams())


def penalty(z, function):
    """A sum in which the two gradients cannot cancel, and the two values."""
    sample, mean = function(z, TEMPERATURE)
    return 2.0 * sample - mean, (sample, mean)


def gradient_and_values(z, function):
    return jax.jit(jax.grad(functools.partial(penalty, function=function), has_aux=True))(z)


def on_mesh(shape, z, function):
    mesh = make_mesh(shape)
    with logical_context(mesh):
        return gradient_and_values(jax.device_put(z, batch_sharding(mesh)), function)


def assert_same(actual, expected):
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-6)
    assert np.linalg.norm(actual[0] - expected[0]) < 1e-5 * np.linalg.norm(expected[0])


@pytest.mark.parametrize("shape", MESHES)
def test_a_mesh_changes_nothing(rows, shape):
    assert_same(on_mesh(MESHES[shape], rows, lfq_entropy), gradient_and_values(rows, ops.lfq_entropy))


def test_a_mesh_changes_nothing_in_the_kernel(rows, monkeypatch):
    expected = gradient_and_values(rows, ops.lfq_entropy)
    monkeypatch.setattr(ops, "lfq_entropy", interpreted)
    assert_same(on_mesh(MESHES["all_axes"], rows, lfq_entropy), expected)


def test_rows_that_the_mesh_does_not_divide(rows):
    with logical_context(make_mesh({"data": 8})):
        actual = gradient_and_values(rows[:61], lfq_entropy)
    assert_same(actual, gradient_and_values(rows[:61], ops.lfq_entropy))


def test_per_device_is_the_mean_of_each_devices_own(rows):
    def mean_of_own(z, temperature):
        own = [ops.lfq_entropy(part, temperature) for part in jnp.split(z, 8)]
        return tuple(sum(terms) / 8 for terms in zip(*own, strict=True))

    actual = on_mesh({"data": 8}, rows, functools.partial(lfq_entropy, per_device=True))
    assert_same(actual, gradient_and_values(rows, mean_of_own))
    assert actual[1][1] < gradient_and_values(rows, ops.lfq_entropy)[1][1] - 0.1


def test_one_all_reduce_of_the_table_and_no_gather(rows):
    mesh = make_mesh({"data": 8})
    with logical_context(mesh):
        z = jax.device_put(rows, batch_sharding(mesh))
        text = jax.jit(lambda z: lfq_entropy(z, TEMPERATURE)).lower(z).compile().as_text()
    assert "f32[16,16]" in "".join(line for line in text.splitlines() if "all-reduce(" in line)
    assert "all-gather(" not in text and "all-to-all(" not in text


@pytest.mark.parametrize("groups", [1, 2])
def test_quantizer_losses_on_a_mesh(groups):
    """The tokenizer's own call, in both forms of its entropy."""
    quantizer = LookupFreeQuantizer(bits=6, entropy_groups=groups)
    z = 0.1 * jax.random.normal(jax.random.key(0), (8, 2, 3, 3, 6))

    def total(z):
        losses = quantizer.losses(z, TEMPERATURE)
        return losses.sample_entropy - losses.mean_entropy, losses

    expected_gradient, expected = jax.jit(jax.grad(total, has_aux=True))(z)
    mesh = make_mesh({"data": 4, "fsdp": 2})
    with logical_context(mesh):
        gradient, losses = jax.jit(jax.grad(total, has_aux=True))(jax.device_put(z, batch_sharding(mesh)))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-7)

"""Operations that a model needs, against products worked out by hand."""

import jax
import jax.numpy as jnp
import pytest

from magvit_jax.aot.model_flops import model_flops

X, W = jnp.zeros((8, 16)), jnp.zeros((16, 32))


def test_a_product_and_its_gradients():
    assert model_flops(lambda x, w: x @ w, X, W) == 2 * 8 * 16 * 32
    # Both operands' gradients cost as much again as the product; its own value is not needed for them.
    assert model_flops(jax.grad(lambda x, w: jnp.sum(x @ w), argnums=(0, 1)), X, W) == 2 * 2 * 8 * 16 * 32


def test_scans_run_as_often_as_they_are_long_and_what_is_not_used_is_not_counted():
    def scanned(x, w):
        y, _ = jax.lax.scan(lambda h, _: (jnp.tanh(h @ w @ w.T), None), x, None, length=7)
        unused = x @ w
        del unused
        return y

    assert model_flops(scanned, X, W) == 7 * 2 * 2 * 8 * 16 * 32


@pytest.mark.parametrize(("stride", "pairs"), [(1, 3 * 8 - 2), (2, 3 * 4 - 1)])
def test_a_convolution_and_its_gradients_cost_the_same_each(stride, pairs):
    def conv(x, w):
        return jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, w = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 16))
    once = 2 * 2 * pairs**2 * 4 * 16  # of output and tap, along each axis, less those in the padding
    assert model_flops(conv, x, w) == once
    assert model_flops(jax.grad(lambda x, w: jnp.sum(conv(x, w)), argnums=(0, 1)), x, w) == 2 * once


def test_recomputation_counts_so_that_configs_have_to_be_without_it():
    def layer(x, w):
        return jnp.sum(jnp.sin(jnp.sin(x @ w) @ w.T))

    kept = model_flops(jax.value_and_grad(layer, argnums=1), X, W)
    again = model_flops(jax.value_and_grad(jax.checkpoint(layer), argnums=1), X, W)
    assert again > kept

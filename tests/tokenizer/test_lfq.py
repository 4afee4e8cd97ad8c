"""Lookup-free quantization: signs, indices, and the straight-through estimator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.tokenizer import lfq


def test_zero_is_minus_one():
    z = jnp.asarray([-2.0, -0.0, 0.0, 1e-30, 3.0])
    assert lfq.quantize(z).tolist() == [-1, -1, -1, 1, 1]


def test_the_first_channel_is_the_least_significant_bit():
    codes = jnp.asarray([[1, -1, -1, -1], [-1, -1, -1, 1], [1, -1, 1, -1], [1, 1, 1, 1], [-1, -1, -1, -1]])
    codes = codes.astype(jnp.float32)
    assert lfq.codes_to_ids(codes).tolist() == [1, 8, 5, 15, 0]
    np.testing.assert_array_equal(lfq.ids_to_codes(jnp.asarray([1, 8, 5, 15, 0]), 4), codes)


@pytest.mark.parametrize("bits", [1, 4, 10, 18])
def test_ids_and_codes_are_each_others_inverse(bits):
    ids = np.unique(np.linspace(0, 2**bits - 1, 4096).astype(np.int32)).reshape(1, 1, 1, -1)
    codes = lfq.ids_to_codes(jnp.asarray(ids), bits)
    assert codes.shape == (*ids.shape, bits)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    np.testing.assert_array_equal(lfq.codes_to_ids(codes), ids)


def test_straight_through_is_the_sign_forward_and_the_identity_backward():
    z = jax.random.normal(jax.random.key(0), (2, 3, 1, 1, 5))
    weight = jax.random.normal(jax.random.key(1), z.shape)
    np.testing.assert_allclose(lfq.straight_through(z), lfq.quantize(z), atol=1e-6)
    slope = jax.grad(lambda z: (lfq.straight_through(z) * weight).sum())(z)
    np.testing.assert_array_equal(slope, weight)

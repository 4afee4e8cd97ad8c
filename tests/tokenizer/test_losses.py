"""Loss terms against written-out values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.tokenizer import losses


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.3), (25, 0.25), (50, 0.2), (75, 0.15), (100, 0.1), (500, 0.1)]
)
def test_the_entropy_weight_falls_linearly_and_stays(step, expected):
    weight = losses.annealed_weight(jnp.asarray(step), weight=0.1, factor=3.0, steps=100)
    assert float(weight) == pytest.approx(expected)


def test_without_annealing_steps_the_weight_is_constant_after_the_first_update():
    assert float(losses.annealed_weight(jnp.asarray(1), 0.1, 3.0, 0)) == pytest.approx(0.1)


def test_commitment_pulls_latents_to_their_codes():
    z = jnp.asarray([0.5, -2.0, 0.0, 1.0]).reshape(1, 1, 1, 2, 2)
    assert float(losses.commitment(z)) == pytest.approx((0.25 + 1.0 + 1.0 + 0.0) / 4)
    slope = jax.grad(losses.commitment)(z)
    np.testing.assert_allclose(slope.reshape(-1), np.array([-0.5, -1.0, 1.0, 0.0]) * 2 / 4, atol=1e-7)


def test_reconstruction_is_the_mean_squared_error():
    video = jnp.zeros((1, 1, 2, 2, 1))
    output = jnp.asarray([0.1, 0.2, 0.0, 0.3]).reshape(video.shape)
    assert float(losses.reconstruction(video, output)) == pytest.approx((0.01 + 0.04 + 0.09) / 4)


def test_entropies_are_those_of_the_code_distribution():
    """Naive, in float64: every code's probability is a softmax over minus squared distances (Eq. 5.5)."""
    z = np.random.default_rng(0).normal(size=(2, 1, 2, 1, 3))
    temperature = 0.7
    codes = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    logits = 2.0 * z.reshape(-1, 3) @ codes.T / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = -(p * np.log(p)).sum(1).mean(), -(p.mean(0) * np.log(p.mean(0))).sum()
    found = losses.entropy(jnp.asarray(z, jnp.float32), temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

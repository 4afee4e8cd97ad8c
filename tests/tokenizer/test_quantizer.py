"""Quantizers as modules: nearest codes, gradients, and the terms of the loss against written-out values."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer

CODEBOOK = {"params": {"codebook": jnp.asarray([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])}}
VQ = VectorQuantizer(size=3, width=2)


def latents(*rows):
    return jnp.asarray(rows, jnp.float32).reshape(1, 1, 1, len(rows), -1)


def test_commitment_pulls_latents_to_their_codes():
    z = jnp.asarray([0.5, -2.0, 0.0, 1.0]).reshape(1, 1, 1, 2, 2)
    commitment = lambda z: LookupFreeQuantizer(2).apply({}, z, 1.0, method="losses").commitment  # noqa: E731
    assert float(commitment(z)) == pytest.approx((0.25 + 1.0 + 1.0 + 0.0) / 4)
    slope = jax.grad(commitment)(z)
    np.testing.assert_allclose(slope.reshape(-1), np.array([-0.5, -1.0, 1.0, 0.0]) * 2 / 4, atol=1e-7)


def test_entropies_are_those_of_the_code_distribution():
    """Naive, in float64: every code's probability is a softmax over minus squared distances (Eq. 5.5)."""
    z = np.random.default_rng(0).normal(size=(2, 1, 2, 1, 3))
    temperature = 0.7
    codes = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    logits = 2.0 * z.reshape(-1, 3) @ codes.T / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    expected = -(p * np.log(p)).sum(1).mean(), -(p.mean(0) * np.log(p.mean(0))).sum()
    found = LookupFreeQuantizer(3).apply({}, jnp.asarray(z, jnp.float32), temperature, method="losses")
    np.testing.assert_allclose((found.sample_entropy, found.mean_entropy), expected, rtol=1e-5)


def test_entropies_of_groups_add_up_to_an_upper_bound():
    z = jnp.asarray(np.random.default_rng(1).normal(size=(1, 1, 4, 4, 6)), jnp.float32)
    exact = LookupFreeQuantizer(6).apply({}, z, 0.5, method="losses")
    grouped = LookupFreeQuantizer(6, entropy_groups=3).apply({}, z, 0.5, method="losses")
    assert float(grouped.sample_entropy) == pytest.approx(float(exact.sample_entropy), rel=1e-5)
    assert float(grouped.mean_entropy) > float(exact.mean_entropy) + 0.01


def test_vq_takes_the_nearest_code_and_the_first_of_a_tie():
    z = latents([0.1, 0.1], [0.9, -0.3], [-3.0, 1.6], [0.5, 0.0])
    assert VQ.apply(CODEBOOK, z, method="to_ids").ravel().tolist() == [0, 1, 2, 0]
    codes = VQ.apply(CODEBOOK, jnp.asarray([[[[2, 0]]]]), method="to_codes")
    assert codes.reshape(2, 2).tolist() == [[0.0, 2.0], [0.0, 0.0]]


def test_vq_passes_gradients_straight_through():
    z, weight = latents([0.8, 0.1]), jnp.asarray([3.0, -2.0])
    np.testing.assert_allclose(VQ.apply(CODEBOOK, z).ravel(), [1.0, 0.0], atol=1e-6)
    slope = jax.grad(lambda z: (VQ.apply(CODEBOOK, z) * weight.reshape(1, 1, 1, 1, 2)).sum())(z)
    assert slope.ravel().tolist() == [3.0, -2.0]


def test_vq_losses_move_codes_and_latents_apart_from_each_other():
    z = latents([0.8, 0.1], [0.2, 1.5])

    def term(name):
        return lambda params, z: getattr(VQ.apply(params, z, 0.5, method="losses"), name)

    expected = (0.2**2 + 0.1**2 + 0.2**2 + 0.5**2) / 4
    for name in ("commitment", "codebook"):
        assert float(term(name)(CODEBOOK, z)) == pytest.approx(expected)
    codebook_slope = jax.grad(term("codebook"))(CODEBOOK, z)["params"]["codebook"]
    np.testing.assert_allclose(codebook_slope, np.array([[0, 0], [0.2, -0.1], [-0.2, 0.5]]) / 2, atol=1e-6)
    assert not jax.grad(term("codebook"), argnums=1)(CODEBOOK, z).any()
    np.testing.assert_allclose(
        jax.grad(term("commitment"), argnums=1)(CODEBOOK, z).reshape(2, 2),
        np.array([[-0.2, 0.1], [0.2, -0.5]]) / 2,
        atol=1e-6,
    )
    assert not jax.grad(term("commitment"))(CODEBOOK, z)["params"]["codebook"].any()


def test_vq_entropies_against_naive_float64():
    rng = np.random.default_rng(4)
    z, codebook, temperature = rng.normal(size=(5, 2)), rng.normal(size=(3, 2)), 0.3
    logits = -np.square(z[:, None] - codebook[None]).sum(-1) / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    found = VQ.apply(
        {"params": {"codebook": jnp.asarray(codebook, jnp.float32)}},
        jnp.asarray(z, jnp.float32).reshape(1, 1, 1, 5, 2),
        temperature,
        method="losses",
    )
    expected = -(p * np.log(p)).sum(1).mean(), -(p.mean(0) * np.log(p.mean(0))).sum()
    np.testing.assert_allclose((found.sample_entropy, found.mean_entropy), expected, rtol=1e-5)


def test_vq_entropy_stays_finite_where_a_code_is_never_used():
    far = {"params": {"codebook": jnp.asarray([[0.0, 0.0], [1.0, 0.0], [1e3, 1e3]])}}

    def penalty(params, z):
        losses = VQ.apply(params, z, 0.01, method="losses")
        return losses.sample_entropy - losses.mean_entropy

    value, slope = jax.value_and_grad(penalty)(far, latents([0.1, 0.1], [0.7, 0.2]))
    assert np.isfinite(value)
    assert np.isfinite(slope["params"]["codebook"]).all()


@pytest.mark.parametrize(
    ("fields", "what"),
    [(dict(bits=0), "bits"), (dict(bits=31), "bits"), (dict(bits=6, entropy_groups=4), "entropy_groups")],
)
def test_bad_fields_are_named(fields, what):
    with pytest.raises(UserError, match=what):
        LookupFreeQuantizer(**fields)

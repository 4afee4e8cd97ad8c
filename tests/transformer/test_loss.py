import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.tokens.masking import apply_mask
from magvit_jax.transformer import PartWeights, commit_loss, token_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(0, 2, (2, 6, 2, 4)), jnp.float32)
TARGET = jnp.asarray(RNG.integers(0, 16, (2, 6)), jnp.int32)
HIT = jnp.array([[1, 1, 0, 1, 0, 0], [1, 0, 0, 1, 1, 1]], bool)
REGION = jnp.broadcast_to(jnp.arange(6) < 2, (2, 6))
CORRUPTED = apply_mask(HIT, TARGET, TARGET, REGION, mask_id=99)


def naive(smoothing):
    """-sum over factors and sub-ids of the smoothed target times log p, in float64."""
    log_p = np.asarray(jax.nn.log_softmax(LOGITS), np.float64)
    out = np.zeros((2, 6))
    for b, n in np.ndindex(2, 6):
        for factor, sub_id in enumerate((int(TARGET[b, n]) % 4, int(TARGET[b, n]) // 4)):
            q = np.full(4, smoothing / 4)
            q[sub_id] += 1 - smoothing
            out[b, n] -= np.sum(q * log_p[b, n, factor])
    return out


@pytest.mark.parametrize("smoothing", [0.0, 1e-4, 0.3])
def test_cross_entropy_equals_its_definition(smoothing):
    np.testing.assert_allclose(token_cross_entropy(LOGITS, TARGET, smoothing), naive(smoothing), rtol=2e-6, atol=1e-6)


def test_parts_are_the_means_over_their_positions():
    loss, scalars = commit_loss(LOGITS, TARGET, CORRUPTED, PartWeights(), label_smoothing=0.0)
    per_token, hit, region = naive(0.0), np.asarray(HIT), np.asarray(REGION)
    np.testing.assert_allclose(loss, per_token.mean(), rtol=1e-6)
    for name, flag in (("refine", hit & region), ("mask", hit & ~region), ("reconstruct", ~hit)):
        np.testing.assert_allclose(scalars[f"loss_{name}"], per_token[flag].mean(), rtol=1e-6)
    best = np.asarray(LOGITS).argmax(-1)
    right = best[..., 0] + 4 * best[..., 1] == np.asarray(TARGET)
    np.testing.assert_allclose(scalars["accuracy_mask"], right[hit & ~region].mean())
    np.testing.assert_allclose(scalars["masked_share"], 7 / 12)


def test_weights_choose_parts_and_a_part_of_weight_zero_gets_no_gradient():
    weights = PartWeights(refine=2.0, mask=1.0, reconstruct=0.0)
    loss, gradient = jax.value_and_grad(lambda x: commit_loss(x, TARGET, CORRUPTED, weights, 0.0)[0])(LOGITS)
    per_token, hit, region = naive(0.0), np.asarray(HIT), np.asarray(REGION)
    weight = 2.0 * (hit & region) + 1.0 * (hit & ~region)
    np.testing.assert_allclose(loss, np.sum(weight * per_token) / weight.sum(), rtol=1e-6)
    assert not np.any(np.asarray(gradient)[~hit]) and np.all(np.any(np.asarray(gradient)[hit] != 0, axis=(-1, -2)))


def test_accuracy_is_one_when_every_factor_is_right_and_not_when_one_is_wrong():
    sure = 50.0 * jax.nn.one_hot(jnp.stack([TARGET % 4, TARGET // 4], -1), 4)
    assert float(commit_loss(sure, TARGET, CORRUPTED)[1]["accuracy_mask"]) == 1.0
    half = sure.at[:, :, 1].set(jnp.roll(sure[:, :, 1], 1, axis=-1))
    assert float(commit_loss(half, TARGET, CORRUPTED)[1]["accuracy_mask"]) == 0.0


def test_an_absent_part_is_zero_and_finite():
    corrupted = apply_mask(HIT, TARGET, TARGET, jnp.zeros_like(REGION), mask_id=99)
    loss, scalars = commit_loss(LOGITS, TARGET, corrupted)
    assert float(scalars["loss_refine"]) == 0.0 and np.isfinite(float(loss))

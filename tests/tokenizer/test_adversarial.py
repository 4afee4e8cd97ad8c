"""Adversarial losses against written-out values, and the slope penalty on functions whose slope is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.tokenizer.adversarial import (
    LOSSES,
    LecamAverages,
    lecam_fake,
    lecam_real,
    logits_and_slope,
)

LOGITS = np.array([-120.0, -3.0, -0.5, 0.0, 0.25, 1.0, 4.0, 90.0])


def test_non_saturating_is_the_log_likelihood():
    """-log p and -log (1 - p) with p = sigmoid(logit), in float64."""
    loss = LOSSES["non_saturating"]
    logits = jnp.asarray(LOGITS, jnp.float32)
    as_real, as_fake = np.logaddexp(0, -LOGITS).mean(), np.logaddexp(0, LOGITS).mean()
    assert float(loss.generator(logits)) == pytest.approx(as_real, rel=1e-6)
    assert float(loss.real(logits)) == pytest.approx(as_real, rel=1e-6)
    assert float(loss.fake(logits)) == pytest.approx(as_fake, rel=1e-6)


def test_non_saturating_still_pulls_where_the_discriminator_is_sure():
    """Its slope by the logit is p - 1: -1 on the fakes that are seen through, 0 on those that pass."""
    slope = jax.grad(LOSSES["non_saturating"].generator)(jnp.array([-100.0, 100.0]))
    np.testing.assert_allclose(slope * 2, [-1.0, 0.0], atol=1e-6)


def test_hinge_by_hand():
    loss, logits = LOSSES["hinge"], jnp.array([-2.0, -0.5, 0.5, 3.0])
    assert float(loss.generator(logits)) == pytest.approx(-0.25)
    assert float(loss.real(logits)) == pytest.approx((3 + 1.5 + 0.5 + 0) / 4)
    assert float(loss.fake(logits)) == pytest.approx((0 + 0.5 + 1.5 + 4) / 4)
    np.testing.assert_array_equal(jax.grad(loss.real)(logits) * 4, [-1, -1, -1, 0])
    np.testing.assert_array_equal(jax.grad(loss.fake)(logits) * 4, [0, 1, 1, 1])


def test_lecam_by_hand():
    averages = LecamAverages(real=jnp.float32(1.5), fake=jnp.float32(-1.0))
    assert float(lecam_real(jnp.float32(2.0), averages)) == pytest.approx(9.0)
    assert float(lecam_real(jnp.float32(-1.5), averages)) == 0.0
    assert float(lecam_fake(jnp.float32(-0.5), averages)) == pytest.approx(4.0)
    assert float(lecam_fake(jnp.float32(2.0), averages)) == 0.0
    # It holds the players back: real logits are pushed down, fake ones up.
    assert jax.grad(lecam_real)(jnp.float32(2.0), averages) == pytest.approx(6.0)
    assert jax.grad(lecam_fake)(jnp.float32(-0.5), averages) == pytest.approx(-4.0)


def test_lecam_averages_start_at_zero():
    averages = LecamAverages.create()
    for mean_real, mean_fake in ((2.0, -4.0), (3.0, 1.0)):
        averages = averages.update(jnp.float32(mean_real), jnp.float32(mean_fake), 0.9)
    assert float(averages.real) == pytest.approx(0.9 * 0.2 + 0.1 * 3.0)
    assert float(averages.fake) == pytest.approx(0.9 * -0.4 + 0.1 * 1.0)


def quadratic(a, x_BTHWC):
    """Logit x^T a x / 2 of each clip, flattened; its slope is (a + a^T) x / 2."""
    x_BF = x_BTHWC.reshape(x_BTHWC.shape[0], -1)
    return 0.5 * jnp.einsum("bf,fg,bg->b", x_BF, a, x_BF)


def test_slope_of_a_quadratic_and_its_derivative():
    """penalty = mean_b |S x_b|^2 with S = (a + a^T) / 2, so d penalty / d a = mean_b sym(2 S x_b x_b^T)."""
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(6, 6)), rng.normal(size=(4, 6))
    video = jnp.asarray(x.reshape(4, 1, 1, 2, 3), jnp.float32)

    def penalty(a):
        return logits_and_slope(lambda x: quadratic(a, x), video)[1]

    logits, slope = logits_and_slope(lambda x: quadratic(jnp.asarray(a, jnp.float32), x), video)
    symmetric = 0.5 * (a + a.T)
    np.testing.assert_allclose(logits, 0.5 * np.einsum("bf,fg,bg->b", x, a, x), rtol=1e-5)
    assert float(slope) == pytest.approx(np.square(x @ symmetric).sum(-1).mean(), rel=1e-6)
    moment = x.T @ x / 4
    expected = symmetric @ moment + moment @ symmetric
    np.testing.assert_allclose(
        jax.jit(jax.grad(penalty))(jnp.asarray(a, jnp.float32)), expected, rtol=1e-5, atol=1e-5
    )


def test_slope_does_not_depend_on_the_batch_but_by_the_mean():
    def logits(x):
        return jnp.sin(3 * x).sum((1, 2, 3, 4))

    video = jax.random.uniform(jax.random.key(0), (3, 1, 2, 2, 3))
    alone = [float(logits_and_slope(logits, video[i : i + 1])[1]) for i in range(3)]
    assert float(logits_and_slope(logits, video)[1]) == pytest.approx(np.mean(alone), rel=1e-6)
    assert alone[0] == pytest.approx(np.square(3 * np.cos(3 * np.asarray(video[0], np.float64))).sum(), rel=1e-5)

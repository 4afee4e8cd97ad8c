"""Loss terms against written-out values."""

import jax.numpy as jnp
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


def test_reconstruction_is_the_mean_squared_error():
    video = jnp.zeros((1, 1, 2, 2, 1))
    output = jnp.asarray([0.1, 0.2, 0.0, 0.3]).reshape(video.shape)
    assert float(losses.reconstruction(video, output)) == pytest.approx((0.01 + 0.04 + 0.09) / 4)

"""Schedules and updates against hand-computed values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_toys import toy_config

from magvit_jax.errors import UserError
from magvit_jax.training.optimizers import make_optimizer, make_schedule
from magvit_jax.training.state import TrainState


def optimizer_config(**fields):
    return toy_config(**{f"optimizer__{name}": value for name, value in fields.items()}).optimizer


def one_update(config, params, grads, steps=100):
    optimizer = make_optimizer(config, steps)
    return TrainState.create(params, optimizer).apply_gradients(grads, optimizer).params


class TestSchedule:
    def rates(self, at, total=100, **fields):
        schedule = make_schedule(optimizer_config(learning_rate=2.0, **fields), total)
        return [float(schedule(step)) for step in at]

    def test_warm_up_reaches_the_peak_and_cosine_the_final_fraction(self):
        rates = self.rates([0, 4, 9, 10, 55, 100, 500], warmup_steps=10, final_fraction=0.1)
        np.testing.assert_allclose(rates, [0.2, 1.0, 2.0, 2.0, 2.0 * 0.55, 0.2, 0.2], rtol=1e-6)

    def test_linear_and_constant(self):
        fields = dict(warmup_steps=0, final_fraction=0.5)
        np.testing.assert_allclose(self.rates([0, 50, 100], schedule="linear", **fields), [2, 1.5, 1])
        np.testing.assert_allclose(self.rates([0, 50, 900], schedule="constant", **fields), [2, 2, 2])

    def test_warm_up_of_one_step_changes_nothing(self):
        fields = dict(schedule="constant", final_fraction=0.5)
        assert self.rates([0, 1, 2], warmup_steps=1, **fields) == [2, 2, 2]

    def test_works_on_a_traced_count(self):
        schedule = make_schedule(optimizer_config(warmup_steps=10), 100)
        np.testing.assert_allclose(jax.jit(schedule)(jnp.int32(30)), schedule(30), rtol=1e-6)


class TestOptimizer:
    params = {"layer": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "embedding": jnp.ones((3, 2))}

    def grads(self, value=1.0):
        return jax.tree.map(lambda x: jnp.full_like(x, value), self.params)

    def test_first_update_of_adamw_by_hand(self):
        config = optimizer_config(
            learning_rate=0.1, warmup_steps=0, weight_decay=0.5, decay_kernels_only=False, clip_norm=0.0
        )
        # The bias-corrected first moments give a step of size 1; decay is added before the rate.
        new = one_update(config, self.params, self.grads(3.0))
        np.testing.assert_allclose(new["layer"]["bias"], 1 - 0.1 * (1 + 0.5), rtol=1e-6)

    def test_decay_of_kernels_only(self):
        config = optimizer_config(learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
        new = one_update(config, self.params, self.grads(0.0))
        np.testing.assert_allclose(new["layer"]["kernel"], 1 - 0.1 * 0.5, rtol=1e-6)
        np.testing.assert_array_equal(new["layer"]["bias"], 1.0)
        np.testing.assert_array_equal(new["embedding"], 1.0)

    def test_clipping_bounds_what_adam_sees(self):
        # With eps as large as the clipped gradient, Adam's step is g / (g + eps) = 1/2.
        clipped = 0.25  # 16 equal entries of norm 1
        config = optimizer_config(learning_rate=0.1, warmup_steps=0, weight_decay=0.0, eps=clipped)
        params = {"kernel": jnp.zeros((4, 4))}
        new = one_update(config, params, {"kernel": jnp.full((4, 4), 1e6)})
        np.testing.assert_allclose(new["kernel"], -0.05, rtol=1e-5)

    @pytest.mark.parametrize(
        "fields, words",
        [
            (dict(name="sgd"), "optimizer.name: 'sgd'; expected one of adam, adamw"),
            (dict(name="adam"), "optimizer.weight_decay: 0.01 with adam"),
            (dict(schedule="step"), "optimizer.schedule: 'step'"),
            (dict(warmup_steps=100), "optimizer.warmup_steps: 100"),
            (dict(final_fraction=1.5), "optimizer.final_fraction: 1.5"),
            (dict(learning_rate=0.0), "optimizer.learning_rate: 0.0"),
            (dict(clip_norm=-1.0), "optimizer.clip_norm: -1.0"),
        ],
    )
    def test_bad_fields_are_named(self, fields, words):
        with pytest.raises(UserError) as error:
            make_optimizer(optimizer_config(**fields), 100)
        assert words in str(error.value)

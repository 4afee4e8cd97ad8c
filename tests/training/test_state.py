"""Moving average and boxes of the state."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.core import meta

from magvit_jax.training.state import TrainState, ema


def test_average_by_hand():
    average, decay = {"a": jnp.array([0.0])}, 0.5
    for n, value in enumerate([1.0, 1.0, 3.0]):
        average = ema(average, {"a": jnp.array([value])}, decay, jnp.int32(n))
    first = 0.9 * 1.0
    second = first + (1 - 2 / 11) * (1.0 - first)
    third = second + (1 - 3 / 12) * (3.0 - second)
    np.testing.assert_allclose(average["a"], third, rtol=1e-6)
    late = ema({"a": jnp.array([0.0])}, {"a": jnp.array([1.0])}, decay, jnp.int32(1000))
    np.testing.assert_allclose(late["a"], 0.5, rtol=1e-6)


def test_average_keeps_its_dtype():
    average = ema({"a": jnp.zeros(2, jnp.bfloat16)}, {"a": jnp.ones(2, jnp.bfloat16)}, 0.5, jnp.int32(9))
    assert average["a"].dtype == jnp.bfloat16


def test_boxes_are_inherited_by_moments_and_average():
    params = {"kernel": nn.LogicallyPartitioned(jnp.ones((2, 3)), ("embed", "mlp"))}
    state = TrainState.create(params, optax.adam(0.1), ema_decay=0.9)
    boxes = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, meta.AxisMetadata))
    boxes = [box for box in boxes if isinstance(box, meta.AxisMetadata)]
    assert [box.names for box in boxes] == [("embed", "mlp")] * 4  # parameters, two moments, average


def test_without_decay_the_parameters_themselves_are_evaluated():
    optimizer = optax.sgd(1.0)
    state = TrainState.create({"a": jnp.ones(2)}, optimizer)
    state = state.apply_gradients({"a": jnp.ones(2)}, optimizer)
    assert state.ema_params is None and state.updates == 1
    np.testing.assert_array_equal(state.eval_params["a"], 0.0)


def test_average_follows_the_updated_parameters():
    optimizer = optax.sgd(1.0)
    state = TrainState.create({"a": jnp.ones(2)}, optimizer, ema_decay=0.99)
    state = state.apply_gradients({"a": jnp.ones(2)}, optimizer, ema_decay=0.99)
    np.testing.assert_allclose(state.eval_params["a"], 0.1, rtol=1e-6)

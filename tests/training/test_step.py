"""One step: microbatches, randomness, and updates that are not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_toys import BATCH, Gan, Regression, toy_batches, toy_config

from magvit_jax.partitioning import unbox
from magvit_jax.training.state import LoopState, TrainState
from magvit_jax.training.step import make_train_step

KEY = jax.random.key(11)


class Probe:
    """A system whose gradient, state and metrics are whatever the batch says."""

    def __init__(self, metric="loss"):
        self.optimizer, self.metric = optax.adam(0.1), metric

    def init(self):
        return TrainState.create({"a": jnp.ones(2)}, self.optimizer, 0.9)

    def gradients(self, state, microbatch, rng):
        aux = {
            "value": microbatch["value"].mean(),
            "draw": jax.random.uniform(rng),
            "examples": microbatch["value"],
            "count": jnp.sum(microbatch["value"] > 1).astype(jnp.int32),
        }
        return {"a": jnp.full(2, microbatch["gradient"].mean())}, aux

    def apply(self, state, grads, aux):
        state = state.apply_gradients(grads, self.optimizer, 0.9)
        return state, {self.metric: aux["value"], "draw": aux["draw"], "count": aux["count"]}


def probe_batch(value=1.0, gradient=1.0):
    return {"value": jnp.full(4, value), "gradient": jnp.full(4, gradient)}


def run(system, batches, microbatches=1):
    step = jax.jit(make_train_step(system, microbatches))
    state, seen = LoopState.create(system.init()), []
    for batch in batches:
        state, metrics = step(state, batch, KEY)
        seen.append({name: np.asarray(x).item() for name, x in metrics.items()})
    return state, seen


class TestMicrobatches:
    def regression(self, microbatches, dropout=0.0):
        system = Regression(toy_config(model__dropout=dropout))
        state = jax.jit(lambda key: unbox(LoopState.create(system.init(key))))(jax.random.key(0))
        batch = {key: jnp.asarray(x) for key, x in next(toy_batches()(0, 0, 1)).items()}
        return jax.jit(make_train_step(system, microbatches))(state, batch, KEY)

    def test_mean_gradients_are_those_of_the_whole_batch(self):
        (whole, whole_metrics), (parts, parts_metrics) = self.regression(1), self.regression(4)
        np.testing.assert_allclose(whole_metrics["loss"], parts_metrics["loss"], rtol=1e-5)
        np.testing.assert_allclose(whole_metrics["grad_norm"], parts_metrics["grad_norm"], rtol=1e-5)
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
            assert a.dtype == b.dtype
        whole_mu, parts_mu = (state.system.opt_state[1].mu["kernel"] for state in (whole, parts))
        np.testing.assert_allclose(whole_mu, parts_mu, rtol=1e-4, atol=1e-7)

    def test_microbatches_interleave(self):
        class Order(Probe):
            def apply(self, state, grads, aux):
                return state, {"first": aux["examples"][0], "second": aux["examples"][1]}

        batch = {"value": jnp.array([0.0, 10.0, 100.0, 1000.0]), "gradient": jnp.ones(4)}
        _, (metrics,) = run(Order(), [batch], microbatches=2)
        assert metrics["first"] == (0 + 10) / 2 and metrics["second"] == (100 + 1000) / 2

    def test_counts_become_mean_counts(self):
        batch = {"value": jnp.array([5.0, 0.0, 5.0, 5.0]), "gradient": jnp.ones(4)}
        _, (metrics,) = run(Probe(), [batch], microbatches=2)
        assert metrics["count"] == 1.5

    def test_randomness_is_of_the_step_and_the_microbatch(self):
        def draw(step, part):
            return float(jax.random.uniform(jax.random.fold_in(jax.random.fold_in(KEY, step), part)))

        _, seen = run(Probe(), [probe_batch()] * 2, microbatches=2)
        expected = [(draw(step, 0) + draw(step, 1)) / 2 for step in range(2)]
        np.testing.assert_allclose([m["draw"] for m in seen], expected, rtol=1e-6)
        _, seen = run(Probe(), [probe_batch()] * 2)
        np.testing.assert_allclose([m["draw"] for m in seen], [draw(0, 0), draw(1, 0)], rtol=1e-6)


class TestNotFinite:
    @pytest.mark.parametrize("bad", [dict(gradient=np.nan), dict(gradient=np.inf), dict(value=np.nan)])
    @pytest.mark.parametrize("microbatches", [1, 2])
    def test_the_update_is_dropped_whole(self, bad, microbatches):
        good, bad = probe_batch(), probe_batch(**bad)
        state, seen = run(Probe(), [good, bad, bad, good, bad], microbatches)
        expected, _ = run(Probe(), [good, good], microbatches)
        for a, b in zip(jax.tree.leaves(state.system), jax.tree.leaves(expected.system), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [m["skipped"] for m in seen] == [0, 1, 1, 0, 1]
        assert [m["skipped_in_row"] for m in seen] == [0, 1, 2, 0, 1]
        assert (state.step, state.skipped, state.last_skipped) == (5, 3, 5)
        assert state.system.updates == 2

    def test_finite_gradients_may_still_overflow_the_state(self):
        # The square of the gradient, Adam's second moment, is infinite.
        state, seen = run(Probe(), [probe_batch(gradient=1e30)])
        assert seen[0]["skipped"] == 1
        np.testing.assert_array_equal(state.system.params["a"], 1.0)

    def test_a_metric_that_is_not_a_loss_may_be_infinite(self):
        _, seen = run(Probe(metric="psnr"), [probe_batch(value=np.inf)])
        assert seen[0]["skipped"] == 0 and seen[0]["psnr"] == np.inf


class TestTwoPlayers:
    def setup_method(self):
        self.system = Gan(toy_config(training__steps=300, optimizer__learning_rate=0.05))
        self.batch = {"x": jax.random.normal(jax.random.key(1), (BATCH, 8)) + 2.0}

    def test_one_forward_pass_gives_each_player_its_own_gradient(self):
        state = self.system.init(jax.random.key(0))
        grads, _ = self.system.gradients(state, self.batch, KEY)
        assert self.system.forward_passes == 1
        for player in grads:
            def loss(params, player=player):
                both = {name: state[name].params for name in state} | {player: params}
                scores = self.system.scores(both["generator"], both["discriminator"], self.batch["x"], KEY)
                return self.system.losses(*scores)[player]

            expected = jax.grad(loss)(state[player].params)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), grads[player], expected)

    def test_both_players_learn(self):
        step = jax.jit(make_train_step(self.system, 2))
        state = LoopState.create(self.system.init(jax.random.key(0)))
        for _ in range(150):
            state, _ = step(state, self.batch, KEY)
        shift = state.system["generator"].params["shift"]
        mean = self.batch["x"].mean(axis=0)
        assert float(jnp.abs(shift - mean).mean()) < 0.5 * float(jnp.abs(mean).mean())
        assert state.system["generator"].updates == state.system["discriminator"].updates == 150
        assert float(jnp.abs(state.system["discriminator"].params["kernel"]).max()) > 0

    def test_neither_player_moves_where_one_fails(self):
        step = jax.jit(make_train_step(self.system, 1))
        state = LoopState.create(self.system.init(jax.random.key(0)))
        broken = {"x": self.batch["x"].at[0, 0].set(jnp.nan)}  # reaches the discriminator's gradient only
        new, metrics = step(state, broken, KEY)
        assert metrics["skipped"] == 1
        jax.tree.map(np.testing.assert_array_equal, new.system, state.system)

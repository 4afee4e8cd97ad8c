"""Parameters, optimizer state and their moving average, for a system or for one player of it."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from magvit_jax.typing import Array, PyTree


class TrainState(flax.struct.PyTreeNode):
    """One optimizer and what it trains.

    Fields:
      updates: int32 [], the updates applied so far (the optimizer's own clock: skipped steps do not count).
      params: parameters.
      opt_state: state of the optimizer.
      ema_params: exponential moving average of the parameters, or None where it is not kept.
    """

    updates: Array
    params: PyTree
    opt_state: Any
    ema_params: PyTree

    @classmethod
    def create(
        cls, params: PyTree, optimizer: optax.GradientTransformation, ema_decay: float = 0.0
    ) -> "TrainState":
        """State before the first update.

        Args:
          params: parameters, boxed or not; moments and average inherit the boxes.
          ema_decay: 0 keeps no moving average.
        """
        return cls(
            updates=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),
            ema_params=jax.tree.map(jnp.copy, params) if ema_decay else None,
        )

    def apply_gradients(
        self, grads: PyTree, optimizer: optax.GradientTransformation, ema_decay: float = 0.0
    ) -> "TrainState":
        """State after one update; `optimizer` and `ema_decay` are those of `create`."""
        # optax counts in int32 and raises floats to that power, which strict promotion forbids.
        with jax.numpy_dtype_promotion("standard"):
            changes, opt_state = optimizer.update(grads, self.opt_state, self.params)
        params = optax.apply_updates(self.params, changes)
        average = self.ema_params
        if ema_decay:
            average = ema(self.ema_params, params, ema_decay, self.updates)
        return TrainState(self.updates + 1, params, opt_state, average)

    def with_params(self, params: PyTree) -> "TrainState":
        """The state with other parameters of the same shapes, in the moving average too."""
        return self.replace(params=params, ema_params=None if self.ema_params is None else params)

    @property
    def eval_params(self) -> PyTree:
        """The parameters to evaluate and to ship: the moving average where one is kept."""
        return self.params if self.ema_params is None else self.ema_params


def ema(average: PyTree, params: PyTree, decay: float, updates: Array) -> PyTree:
    """Moving average, in the dtype of `average`, after the update number `updates` (from 0).

    The decay starts at 0.1 and grows to `decay` in [0, 1), so that a short run does not average its
    initialisation: min(decay, (1 + n) / (10 + n)).
    """
    n = updates.astype(jnp.float32)
    rate = 1.0 - jnp.minimum(decay, (1.0 + n) / (10.0 + n))


    def mix(a: Array, p: Array) -> Array:
        old, new = a.astype(jnp.float32), p.astype(jnp.float32)
        return (old + rate * (new - old)).astype(a.dtype)

    return jax.tree.map(mix, average, params)


class LoopState(flax.struct.PyTreeNode):
    """What the loop carries from step to step and saves.

    Fields:
      step: int32 [], batches seen so far, also those whose update was skipped.
      system: the system's own state.
      skipped: int32 [], updates that were not finite and were dropped.
      skipped_in_row: int32 [], how many of them up to now without a good one in between.
      last_skipped: int32 [], the step (from 1) of the last one; 0 if there was none.
    """

    step: Array
    system: PyTree
    skipped: Array
    skipped_in_row: Array
    last_skipped: Array

    @classmethod
    def create(cls, system: PyTree) -> "LoopState":
        """State before the first step."""
        return cls(system=system, **{name: jnp.zeros((), jnp.int32) for name in _COUNTERS})


_COUNTERS = ("step", "skipped", "skipped_in_row", "last_skipped")

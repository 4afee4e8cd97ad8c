"""One training step as a pure function: microbatches, mean gradients, update, and the guard against NaN."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from magvit_jax.partitioning import constrain
from magvit_jax.training.state import LoopState
from magvit_jax.training.system import System
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

TrainStep = Callable[[LoopState, Batch, PRNGKey], tuple[LoopState, dict[str, Array]]]


def make_train_step(system: System, microbatches: int = 1) -> TrainStep:
    """The step (state, batch [B, ...], key) -> (state, metrics), to be jitted by the caller.

    The randomness of microbatch i of a step is fold_in(fold_in(key, step), i), so it depends on neither the
    mesh nor where a run was resumed. Example b of the batch belongs to microbatch b % microbatches: such a
    microbatch is spread over the devices as the batch is, and none has to move.

    Besides the system's metrics, "skipped" is 1 where the update was not finite and was dropped, and
    "skipped_in_row" counts the drops since the last good update.

    Args:
      microbatches: into how many parts the batch is split; must divide B.
    """

    def train_step(state: LoopState, batch: Batch, key: PRNGKey) -> tuple[LoopState, dict[str, Array]]:
        rng = jax.random.fold_in(key, state.step)
        grads, aux = _mean_gradients(system, microbatches, state.system, batch, rng)
        new_system, metrics = system.apply(state.system, grads, aux)
        losses = [value for name, value in metrics.items() if "loss" in name]
        good = all_finite((grads, new_system, losses))
        bad = (~good).astype(jnp.int32)
        step = state.step + 1
        new_state = LoopState(
            step=step,
            system=jax.tree.map(lambda new, old: jnp.where(good, new, old), new_system, state.system),
            skipped=state.skipped + bad,
            skipped_in_row=jnp.where(good, 0, state.skipped_in_row + 1),
            last_skipped=jnp.where(good, state.last_skipped, step),
        )
        return new_state, dict(metrics, skipped=bad, skipped_in_row=new_state.skipped_in_row)

    return train_step


def all_finite(tree: PyTree) -> Array:
    """bool []: no floating-point array of the tree holds a NaN, an infinity, or a sum of squares beyond float32.

    A sum of squares, made by a contraction: XLA:CPU does not fuse producers into one, but would compute the whole
    update anew inside each of several hundred `isfinite` tests, and takes four times as long to compile the step.
    """

    def square_sum(x: Array) -> Array:
        axes = tuple(range(x.ndim))
        return jax.lax.dot_general(x, x, ((axes, axes), ((), ())), preferred_element_type=jnp.float32)

    sums = [square_sum(x) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.isfinite(jnp.stack(sums)).all() if sums else jnp.ones((), bool)


def _mean_gradients(
    system: System, microbatches: int, state: PyTree, batch: Batch, rng: PRNGKey
) -> tuple[PyTree, dict[str, Array]]:
    """The mean over the microbatches of what `system.gradients` returns."""


    def gradients(microbatch: Batch, index: Array | int) -> tuple[PyTree, dict[str, Array]]:
        grads, aux = system.gradients(state, microbatch, jax.random.fold_in(rng, index))
        return grads, _float32(aux)

    if microbatches == 1:
        return gradients(batch, 0)

    def add(total: PyTree, part: tuple[Array, Batch]) -> tuple[PyTree, None]:
        index, microbatch = part
        return jax.tree.map(jnp.add, total, _float32(gradients(microbatch, index))), None

    parts = {name: _split(x, microbatches) for name, x in batch.items()}
    shapes = jax.eval_shape(gradients, {name: x[0] for name, x in parts.items()}, 0)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
    total, _ = jax.lax.scan(add, zeros, (jnp.arange(microbatches), parts))
    return jax.tree.map(lambda x, like: (x / microbatches).astype(like.dtype), total, shapes)


def _split(x: Array, microbatches: int) -> Array:
    """[B, ...] -> [microbatches, B / microbatches, ...], every microbatch spread over the devices."""
    x = x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1)
    return constrain(x, None, "activation_batch", *[None] * (x.ndim - 2))


def _float32(tree: PyTree) -> PyTree:
    """The tree in which sums are kept: bfloat16 would lose the small terms, integers the fractions."""
    return jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.float32), tree)

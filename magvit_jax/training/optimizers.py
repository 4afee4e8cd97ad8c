"""The optimizer of a config: schedule, clipping, Adam, decoupled weight decay."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.typing import Array, PyTree

#: From 1 to 0 as the run goes from 0 to 1.
_SHAPES = {
    "constant": jnp.ones_like,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + jnp.cos(jnp.pi * done)),
}
SCHEDULES = tuple(_SHAPES)
OPTIMIZERS = ("adam", "adamw")


def make_schedule(config: ConfigDict, total_steps: int) -> optax.Schedule:
    """Learning rate by the number of updates so far: linear warm-up, then constant or falling.

    Args:
      config: fields learning_rate (peak, > 0), warmup_steps (>= 0), schedule (one of `SCHEDULES`) and
        final_fraction in [0, 1], the fraction of the peak that is left at `total_steps`.
      total_steps: updates in the whole run; the rate stays at its final value after them.
    """
    peak, warmup, fraction = config.learning_rate, config.warmup_steps, config.final_fraction
    if config.schedule not in SCHEDULES:
        raise UserError(f"optimizer.schedule: {config.schedule!r}; expected one of {', '.join(SCHEDULES)}")
    if not peak > 0:
        raise UserError(f"optimizer.learning_rate: {peak}; expected more than 0")
    if not 0 <= fraction <= 1:
        raise UserError(f"optimizer.final_fraction: {fraction}; expected 0 to 1")
    if warmup < 0 or (config.schedule != "constant" and warmup >= total_steps):
        raise UserError(f"optimizer.warmup_steps: {warmup}; expected 0 or more, below {total_steps} steps")
    shape = _SHAPES[config.schedule]

    def schedule(count: Array) -> Array:
        n = jnp.asarray(count).astype(jnp.float32)
        done = jnp.clip((n - warmup) / max(total_steps - warmup, 1), 0.0, 1.0)
        rate = peak * (fraction + (1.0 - fraction) * shape(done))
        # Counted from 1, so that the first update already moves the parameters.
        return jnp.where(n < warmup, peak * (n + 1.0) / max(warmup, 1), rate)

    return schedule


def make_optimizer(config: ConfigDict, total_steps: int) -> optax.GradientTransformation:
    """Clipping by global norm, then Adam or AdamW under the schedule.

    Args:
      config: fields name (one of `OPTIMIZERS`), b1, b2, eps, weight_decay, decay_kernels_only (decay only
        parameters named "kernel"), clip_norm (0: none), and those of `make_schedule`.
      total_steps: updates in the whole run.

    Raises:
      UserError: names the field, its value, and what was expected.
    """
    if config.name not in OPTIMIZERS:
        raise UserError(f"optimizer.name: {config.name!r}; expected one of {', '.join(OPTIMIZERS)}")
    if config.name == "adam" and config.weight_decay:
        raise UserError(f"optimizer.weight_decay: {config.weight_decay} with adam; expected 0, or adamw")
    if config.clip_norm < 0:
        raise UserError(f"optimizer.clip_norm: {config.clip_norm}; expected a norm above 0, or 0 for none")
    schedule = make_schedule(config, total_steps)
    parts = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    parts.append(optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps))
    if config.weight_decay:
        mask = kernels if config.decay_kernels_only else None
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=mask))
    parts.append(optax.scale_by_learning_rate(schedule))
    return optax.chain(*parts)


def kernels(params: PyTree) -> PyTree:
    """True for parameters named "kernel" or "..._kernel" (boxed or not), False for biases, scales, embeddings."""

    def named_kernel(path, _):
        names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
        return bool(names) and names[-1].endswith("kernel")

    return jax.tree_util.tree_map_with_path(named_kernel, params)

"""The training loop. There is one, for every system."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.partitioning import DEFAULT_RULES, Rules, logical_context, make_mesh, process_shard
from magvit_jax.training.checkpoints import Checkpoints, latest_step, restore
from magvit_jax.training.profile import Profile
from magvit_jax.training.sharded import (
    abstract_state,
    global_batches,
    init_state,
    jit_train_step,
    place_state,
    run_keys,
    whole_batches,
)
from magvit_jax.training.signals import StopRequest
from magvit_jax.training.state import LoopState
from magvit_jax.training.system import System
from magvit_jax.training.windows import Clock, LateMetrics, Window
from magvit_jax.training.workdir import FREE_KEYS, claim, locked
from magvit_jax.training.writers import MetricWriter, SilentWriter
from magvit_jax.typing import Batch, PyTree

SAMPLES = 8  # clips that sample pictures are made of
NumpyBatches = Iterable[Mapping[str, np.ndarray]]


def train(
    system: System,
    config: ConfigDict,
    workdir: str | os.PathLike,
    train_batches_fn: Callable[[int, int, int], Iterator[Mapping[str, np.ndarray]]],
    *,
    eval_batches_fn: Callable[[], NumpyBatches] | None = None,
    warm_start: Callable[[PyTree], PyTree] | None = None,
    on_sample: Callable[[int, dict[str, np.ndarray]], None] | None = None,
    watch: Callable[[int, Mapping[str, float]], Iterable[str]] | None = None,
    extra: Mapping[str, Any] | None = None,
    free_keys: Sequence[str] = FREE_KEYS,
    rules: Rules = DEFAULT_RULES,
    devices: Sequence[Any] | None = None,
    stream: TextIO | None = None,
) -> LoopState:
    """Trains `system` to `config.training.steps`, from the workdir's newest checkpoint if there is one.

    A run that was killed and started again ends with the parameters of a run that never was, bit for bit. On
    SIGTERM it saves and raises SystemExit(0).

    Args:
      config: the run's whole config. Read here: `seed`, `mesh.{data,fsdp,tensor,sequence}`, `profile.{start,steps}`
        and `training.{steps,microbatches,log_every,eval_every,sample_every,checkpoint_every,checkpoint_keep,
        max_nonfinite,tensorboard,rng_impl}`. An eval_every or sample_every of 0 means never, a
        checkpoint_every of 0 at the last step only; all others include the last step.
      workdir: folder of the run, made if absent; see `training.workdir` for what is in it.
      train_batches_fn: (start_step, shard_index, shard_count) -> endless iterator of dicts of arrays, this
        process's rows [shard_index * B / shard_count, (shard_index + 1) * B / shard_count) of the batches
        from number start_step on.
      eval_batches_fn: () -> the batches to evaluate on, the same at every call; every process gives all rows.
      warm_start: (initial state of the system) -> the state to begin with, called once where a run begins anew:
        parameters of another model, frozen networks.
      on_sample: called in process 0 with the step and the system's sample videos by name.
      watch: called with a step and the mean metrics of the window that ends there; what it says becomes an event.
      extra: plain JSON values to keep beside the config, such as class names; part of what the run is.
      free_keys: config keys, or groups of them, that may differ from those the workdir was started with.
      rules: layout, from `partitioning.make_rules`.
      devices: all devices of all processes by default.
      stream: where the progress line goes, standard error by default.

    Returns:
      The state after the last step, on the mesh.

    Raises:
      UserError: bad config, a workdir of another config, data that do not fit, a disk that is full, or
        `training.max_nonfinite` updates in a row that were not finite.
    """
    training, workdir = config.training, Path(workdir)
    main = jax.process_index() == 0
    _require_sane(training, system, eval_batches_fn)
    with contextlib.ExitStack() as stack:
        if main:
            stack.enter_context(locked(workdir))
        claim(workdir, config, extra or {}, free_keys, write=main)

        # ------------------------------------------------------------------ mesh
        mesh = make_mesh(config.mesh.to_dict(), devices)
        init_key, step_key = run_keys(config.seed, training.rng_impl)
        abstract = abstract_state(system, mesh, rules, training.rng_impl)
        stack.enter_context(logical_context(mesh, rules))
        stop = stack.enter_context(StopRequest(mesh))

        # ------------------------------------------------------------------ data
        def train_batches(start: int) -> Iterator[Batch]:
            local = train_batches_fn(start, *process_shard(mesh))
            image_keys = getattr(system, "image_keys", ())
            return global_batches(local, system.data_keys, mesh, training.microbatches, image_keys)

        def eval_batches() -> Iterator[Batch]:
            return whole_batches(eval_batches_fn(), mesh)

        def sample_batch() -> Batch:
            first = next(iter(eval_batches_fn()))
            return next(whole_batches([{name: x[:SAMPLES] for name, x in first.items()}], mesh))

        # ------------------------------------------------------------------ state, restore
        checkpoints = Checkpoints(workdir, training.checkpoint_keep)
        stack.callback(checkpoints.close)
        start, weights = latest_step(workdir), getattr(system, "metric_weights", {})
        if start is None:
            start, window = 0, Window(weights)
            state = init_state(system, init_key, abstract)
            if warm_start is not None:
                state = place_state(state.replace(system=warm_start(state.system)), abstract)
        else:
            state, position = restore(workdir, abstract, start)
            window = Window(weights, **position["window"])

        writer = SilentWriter()
        if main:
            writer = MetricWriter(workdir, training.steps, start, training.tensorboard, stream)
        stack.callback(writer.close)
        for name in checkpoints.removed:
            writer.say(f"removed the half-written checkpoint {name}")
        if start:
            writer.say(f"going on from the checkpoint of step {start}")
        if start >= training.steps:
            return state

        # ------------------------------------------------------------------ step
        train_step = jit_train_step(system, training.microbatches, abstract, mesh)
        batches = train_batches(start)
        late, clock = LateMetrics(), Clock(training.steps)
        profile = Profile(workdir, config.profile, start)
        stack.callback(profile.close)
        stopping = False
        for step in range(start + 1, training.steps + 1):
            state, metrics = train_step(state, _next(batches, step), step_key)
            clock.tick(step)
            if profile.after(step, state):
                writer.say(f"traced steps up to {step}: {profile.folder}")
            stopping = stop.poll()
            last = stopping or step == training.steps
            evaluating, sampling, saving = (
                every and (step % every == 0 or step == training.steps)
                for every in (training.eval_every, training.sample_every, training.checkpoint_every)
            )

            # -------------------------------------------------------------- log
            values = late.drain if last or evaluating or sampling or saving else late.ready
            late.push(step, metrics)
            for done, value in values():
                window.add(value)
                _report_skipped(writer, done, value, training.max_nonfinite)
                if done % training.log_every == 0 or done == training.steps:
                    means = window.flush()
                    writer.train(done, means | clock.speed(), clock.eta())
                    for message in watch(done, means) if watch is not None else ():
                        writer.event(done, message)

            # -------------------------------------------------------------- evaluate
            with clock.paused():
                if evaluating:
                    writer.evaluation(step, _evaluate(system, state, eval_batches))
                if sampling:
                    videos = system.sample(state.system, sample_batch())
                    if main and on_sample is not None:
                        on_sample(step, videos)

            # -------------------------------------------------------------- save
            with clock.paused():
                checkpoints.check()
                if saving or last:
                    checkpoints.save(step, state, {"step": step, "window": window.to_json()})
            if stopping:
                break
        checkpoints.wait()
        if stopping:
            writer.say(f"stopped by SIGTERM; saved step {step}")
    if stopping:
        raise SystemExit(0)
    return state


def _next(batches: Iterator[Batch], step: int) -> Batch:
    batch = next(batches, None)
    if batch is None:
        raise UserError(f"training data: ended before step {step}; expected an endless stream")
    return batch


def _report_skipped(writer: MetricWriter, step: int, values: Mapping[str, float], limit: int) -> None:
    if not values["skipped"]:
        return
    writer.event(step, "the update is not finite and was skipped")
    if values["skipped_in_row"] >= limit:
        raise UserError(
            f"training: {limit} updates in a row were not finite, the last at step {step}; "
            "expected a lower optimizer.learning_rate, or other data (training.max_nonfinite sets the limit)"
        )


def _evaluate(
    system: System, state: LoopState, eval_batches: Callable[[], Iterator[Batch]]
) -> dict[str, float]:
    values = {}
    for name, evaluator in system.evaluators.items():
        for key, value in evaluator(state.system, eval_batches()).items():
            values[f"{name}/{key}"] = float(value)
    return values


def _require_sane(training: ConfigDict, system: System, eval_batches_fn: Callable | None) -> None:
    least = {"steps": 1, "microbatches": 1, "log_every": 1, "max_nonfinite": 1}
    least |= {"eval_every": 0, "sample_every": 0, "checkpoint_every": 0}
    for name, smallest in least.items():
        if training[name] < smallest:
            raise UserError(f"training.{name}: {training[name]}; expected {smallest} or more")
    if (training.eval_every or training.sample_every) and eval_batches_fn is None:
        raise UserError("training.eval_every, training.sample_every: expected 0 without data to evaluate on")

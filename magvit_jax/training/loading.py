"""A training workdir as a model: its state, for those who do not train it on."""

import os

import jax
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.partitioning import DEFAULT_RULES, Rules, make_mesh
from magvit_jax.training import checkpoints
from magvit_jax.training.sharded import abstract_state
from magvit_jax.training.state import LoopState
from magvit_jax.training.system import System


def load_state(
    workdir: str | os.PathLike,
    system: System,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
    step: int | None = None,
) -> LoopState:
    """The state of a checkpoint: `.step`, and `.system`, which the system's functions take.

    Reads only, so it is safe beside a run that is still training.

    Args:
      workdir: folder of a training run.
      system: built from the run's config (`workdir.load_config`).
      mesh: where the state goes, by default the first local device; whatever mesh the run was trained on.
      step: which checkpoint, the newest by default.

    Raises:
      UserError: there is no such checkpoint, it cannot be read, or it is of another model.
    """
    steps = checkpoints.checkpoint_steps(workdir)
    if not steps:
        raise UserError(f"{workdir}: no checkpoint; expected the workdir of a run that has saved one")
    if step is not None and step not in steps:
        raise UserError(f"{workdir}: no checkpoint of step {step}; expected one of {steps}")
    if mesh is None:
        mesh = make_mesh({}, jax.local_devices()[:1])
    abstract = abstract_state(system, mesh, rules)
    return checkpoints.restore(workdir, abstract, steps[-1] if step is None else step)[0]

"""A trace of a few steps, for TensorBoard's profiler, XProf or Perfetto."""

import os
from pathlib import Path

import jax
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.training.workdir import PROFILE
from magvit_jax.typing import PyTree


class Profile:
    """Traces `config.steps` steps of a run, from the one after `config.start` more have been made; 0 steps: none.

    Counted from where the run goes on, so that a resumed run is traced as a fresh one is. Every process writes its
    own host and devices below the workdir's profile/.

    Args:
      config: `config.profile`, with `start` (1 or more: the first step compiles) and `steps`.
      first: step that the run starts after.
    """

    def __init__(self, workdir: str | os.PathLike, config: ConfigDict, first: int):
        for name, least in (("start", 1), ("steps", 0)):
            if config[name] < least:
                raise UserError(f"profile.{name}: {config[name]}; expected {least} or more")
        self.folder = Path(workdir) / PROFILE
        self._begin = first + config.start
        self._end = self._begin + config.steps
        self._tracing = False

    def after(self, step: int, state: PyTree) -> bool:
        """To be called after every step with what it made; True where the trace has just been written."""
        if self._end == self._begin:
            return False
        if step == self._begin:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self.folder)
            self._tracing = True
        elif step == self._end and self._tracing:
            jax.block_until_ready(state)  # steps still under way belong to the trace
            self.close()
            return True
        return False

    def close(self) -> None:
        """Writes what there is of a trace; of a run that ends within it, too."""
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False

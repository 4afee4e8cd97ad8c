"""Joining the processes of one run, one a host or several on one machine."""

import jax

from magvit_jax.errors import UserError

#: Seconds without a sign of life after which a process counts as dead; the others then end with an error, and the
#: scheduler can start all of them again. JAX's own 100 keep a pod waiting.
DEAD_AFTER = 30


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes this process one of several that train together; does nothing for a run in one process.

    Call it before anything else of JAX.

    Args:
      coordinator: "HOST:PORT" of process 0, the same in all; "auto" asks the cluster (SLURM, GKE, Cloud TPU).
      processes: how many there are.
      process: number of this one, from 0.

    Raises:
      UserError: only some of the three are given, or process is out of range.
    """
    if coordinator == "auto":
        jax.distributed.initialize(heartbeat_timeout_seconds=DEAD_AFTER)
        return
    given = (coordinator, processes, process)
    if given == (None, None, None):
        return
    if None in given:
        raise UserError(
            f"--coordinator={coordinator} --processes={processes} --process={process}: expected all three, "
            "or --coordinator=auto on a cluster that JAX knows"
        )
    if not 0 <= process < processes:
        raise UserError(f"--process={process}: expected 0 to {processes - 1} (--processes={processes})")
    jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=DEAD_AFTER)

"""SIGTERM as a request to stop that all processes heed at the same step."""

import signal
import threading
from collections import deque
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from magvit_jax.partitioning import MESH_AXES, replicated

_LAG = 2


class StopRequest:
    """Inside the `with` block, SIGTERM asks for a stop instead of ending the process.

    A scheduler may signal only some processes, or at different steps. So in a run of several processes every
    step carries a vote over the mesh, and is read two steps later, which costs no waiting.
    """

    def __init__(self, mesh: Mesh):
        self._received, self._previous = False, None
        self._several = jax.process_count() > 1
        self._votes: deque[jax.Array] = deque()
        self._sharding = NamedSharding(mesh, PartitionSpec(MESH_AXES))
        self._count = jax.jit(jnp.sum, out_shardings=replicated(mesh))

    def __enter__(self) -> "StopRequest":
        # Python lets only the main thread handle signals; elsewhere the program's own handling stays.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def poll(self) -> bool:
        """Whether to stop now; every process calls it once a step and gets the same answer."""
        if not self._several:
            return self._received
        local = np.full(len(self._sharding.addressable_devices), self._received, np.int32)
        self._votes.append(self._count(jax.make_array_from_process_local_data(self._sharding, local)))
        return len(self._votes) > _LAG and bool(self._votes.popleft())

    def _receive(self, _signal: int, _frame: FrameType | None) -> None:
        self._received = True

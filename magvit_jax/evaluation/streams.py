"""Clips through frozen networks, split over the devices of a mesh, with the time of each part.

    clips -> decode (threads) -> features (devices) -> statistics (host, float64)

Clips arrive in batches of any size and are cut anew into batches that fill the mesh, so that nothing compiles
twice; the last one is filled up and the filling dropped. While the devices work on a batch the host takes care
of the one before.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from magvit_jax import partitioning
from magvit_jax.errors import UserError
from magvit_jax.typing import Array, PyTree

BATCH = 16  # clips at once on all devices together


class Network(Protocol):
    """A frozen network as this part sees it; `pretrained.FrozenNetwork` is one.

    Attributes:
      name: what results call it.
      fingerprint: of its weights.
      params: see `apply`.
    """

    name: str
    fingerprint: str
    params: PyTree

    def apply(self, params: PyTree, *inputs: Array) -> Mapping[str, Array]:
        """Features by name, examples first, of inputs with examples first. Pure."""


@dataclasses.dataclass
class Seconds:
    """Where the time of a measurement went. Decoding runs in threads, so it counts only where it was waited for.

    Attributes:
      decode: waiting for clips to be read.
      model: making clips.
      compile: compiling the networks.
      features: waiting for the networks.
      statistics: adding up, Frechet distances, intervals.
    """

    decode: float = 0.0
    model: float = 0.0
    compile: float = 0.0
    features: float = 0.0
    statistics: float = 0.0

    def time(self, part: str) -> "_Clock":
        """Adds what passes inside a `with` to a part."""
        return _Clock(self, part)

    def line(self) -> str:
        """For people."""
        parts = [f"{name} {value:.1f}" for name, value in vars(self).items() if value]
        return f"seconds: {', '.join(parts)}; together {sum(vars(self).values()):.1f}"


class _Clock:
    def __init__(self, seconds: Seconds, part: str):
        self._seconds, self._part = seconds, part

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_) -> None:
        passed = time.perf_counter() - self._start
        setattr(self._seconds, self._part, getattr(self._seconds, self._part) + passed)


class PlacedNetwork:
    """A network on the devices of a mesh, compiled once for all streams that use it.

    Attributes:
      batch: clips that it takes at once, a multiple of the devices.
    """

    def __init__(self, network: Network, mesh: Mesh | None = None, batch: int = BATCH):
        """Clips are split over the mesh's `data` and `fsdp` axes, parameters are whole everywhere.

        Args:
          mesh: of one over several processes each uses its own devices, for clips of its own. All devices by default.
          batch: made larger until the devices divide it.
        """
        mesh = own_mesh(mesh)
        shards = partitioning.batch_shards(mesh)
        self.batch = -(-batch // shards) * shards
        self._split = partitioning.batch_sharding(mesh)
        self._params = jax.device_put(network.params, partitioning.replicated(mesh))
        self._jitted = jax.jit(network.apply, out_shardings=self._split)
        self._compiled: dict[tuple, Callable[..., Mapping[str, Array]]] = {}

    def start(self, inputs: tuple[np.ndarray, ...], seconds: Seconds) -> Mapping[str, Array]:
        """Features of a batch, possibly not there yet."""
        placed = [jax.device_put(x, self._split) for x in inputs]
        kind = tuple((x.shape, x.dtype) for x in placed)
        if kind not in self._compiled:
            with seconds.time("compile"):
                self._compiled[kind] = self._jitted.lower(self._params, *placed).compile()
        with seconds.time("features"):
            return self._compiled[kind](self._params, *placed)


class FeatureStream:
    """Takes clips, runs a network on them, and hands its features on in order."""

    def __init__(
        self, network: PlacedNetwork, take: Callable[[Mapping[str, np.ndarray]], None], seconds: Seconds
    ):
        """`take` gets the features of a batch, of true clips only."""
        self._network, self._batch = network, network.batch
        self._take, self._seconds = take, seconds
        self._waiting: list[tuple[np.ndarray, ...]] = []
        self._flying: tuple[Mapping[str, Array], int] | None = None
        self._shapes: list[tuple[int, ...]] | None = None
        self.count = 0

    def push(self, *inputs: np.ndarray) -> None:
        """More clips: arrays with examples first, as many in each. UserError where their shape changes."""
        self._check([x.shape[1:] for x in inputs])
        self._waiting.append(inputs)
        self.count += len(inputs[0])
        while sum(len(part[0]) for part in self._waiting) >= self._batch:
            joined = tuple(np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
            self._waiting = [tuple(x[self._batch :] for x in joined)]
            self._start(tuple(x[: self._batch] for x in joined), self._batch)

    def finish(self) -> None:
        """The clips that do not fill a batch, and whatever is still on the devices."""
        left = [parts for parts in self._waiting if len(parts[0])]
        if left:
            joined = tuple(np.concatenate(parts) for parts in zip(*left, strict=True))
            filled = tuple(np.resize(x, (self._batch, *x.shape[1:])) for x in joined)
            self._start(filled, len(joined[0]))
        self._waiting = []
        self._fetch()

    def _check(self, shapes: list[tuple[int, ...]]) -> None:
        self._shapes = self._shapes or shapes
        for found, wanted in zip(shapes, self._shapes, strict=True):
            if found != wanted:
                raise UserError(f"clip {self.count} is {_shape(found)}; expected {_shape(wanted)} as the first one")

    def _start(self, inputs: tuple[np.ndarray, ...], true: int) -> None:
        started = self._network.start(inputs, self._seconds), true
        self._fetch()
        self._flying = started

    def _fetch(self) -> None:
        if self._flying is None:
            return
        (outputs, true), self._flying = self._flying, None
        with self._seconds.time("features"):
            fetched = {name: np.asarray(value)[:true] for name, value in outputs.items()}
        with self._seconds.time("statistics"):
            self._take(fetched)


def feed(clips: Iterable, streams: Iterable[FeatureStream], seconds: Seconds) -> int:
    """All clips through all streams; how many they were. `clips` gives [B, T, H, W, 3], or tuples of arrays."""
    streams, count = list(streams), 0
    for batch in timed(clips, seconds, "decode"):
        inputs = batch if isinstance(batch, tuple) else (batch,)
        for stream in streams:
            stream.push(*inputs)
        count += len(inputs[0])
    for stream in streams:
        stream.finish()
    return count


def timed(items: Iterable, seconds: Seconds, part: str) -> Iterator:
    """The items; the time of waiting for each counts for `part`."""
    iterator = iter(items)
    while True:
        with seconds.time(part):
            item = next(iterator, None)
        if item is None:
            return
        yield item


def own_mesh(mesh: Mesh | None) -> Mesh:
    """This process's devices of a mesh, clips over all of them; of all devices by default."""
    devices = jax.devices() if mesh is None else mesh.devices.flat
    mine = [device for device in devices if device.process_index == jax.process_index()]
    if mesh is not None and len(mine) == mesh.devices.size:
        return mesh
    return partitioning.make_mesh({"data": -1}, devices=mine)


def _shape(shape: tuple[int, ...]) -> str:
    if len(shape) == 4:
        return f"{shape[0]} frames of {shape[1]}x{shape[2]}"
    return str(list(shape))

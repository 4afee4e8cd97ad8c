"""Metrics on their way from the devices to a record: fetched late, averaged over a window of steps."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from magvit_jax.typing import Array


class LateMetrics:
    """Hands out each step's metrics a few steps late, so that the devices never wait for the host.

    It also keeps the host from running further ahead than `lag` steps, which bounds the batches in memory.
    """

    def __init__(self, lag: int = 2):
        self._lag, self._waiting = lag, deque()

    def push(self, step: int, metrics: Mapping[str, Array]) -> None:
        """Takes in a step's metrics."""
        for value in metrics.values():
            value.copy_to_host_async()
        self._waiting.append((step, metrics))

    def ready(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yields (step, values) of the steps that are old enough."""
        yield from self._oldest(self._lag)

    def drain(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yields the rest; waits for the devices."""
        yield from self._oldest(0)

    def _oldest(self, leave: int) -> Iterator[tuple[int, dict[str, float]]]:
        while len(self._waiting) > leave:
            step, metrics = self._waiting.popleft()
            yield step, {name: np.asarray(value).item() for name, value in metrics.items()}


class Window:
    """Means of metrics since the last record. Steps whose update was dropped are counted, not averaged.

    A metric that is itself a mean over a number of things that differs from step to step, or that may be none, is
    averaged by that number: another metric of the step. Where none was seen, the record does not have it.

    Args:
      weights: of such metrics, by name, the name of the number.
      sums, count, skipped, weighed: as `to_json` gives them.
    """

    def __init__(
        self,
        weights: Mapping[str, str] | None = None,
        *,
        sums: Mapping[str, float] | None = None,
        count: int = 0,
        skipped: int = 0,
        weighed: Mapping[str, float] | None = None,
    ):
        self._weights, self._sums, self._weighed = dict(weights or {}), dict(sums or {}), dict(weighed or {})
        self._count, self._skipped = count, skipped

    def add(self, values: Mapping[str, float]) -> None:
        """One step's metrics, with the "skipped" and "skipped_in_row" of the step."""
        if values["skipped"]:
            self._skipped += 1
            return
        self._count += 1
        for name, value in values.items():
            if name in self._weights:
                weight = values[self._weights[name]]
                self._weighed[name] = self._weighed.get(name, 0.0) + weight
                value = value * weight if weight else 0.0
            if name not in ("skipped", "skipped_in_row"):
                self._sums[name] = self._sums.get(name, 0.0) + value

    def flush(self) -> dict[str, float]:
        """The means, and "skipped", the number of dropped updates; starts anew."""
        totals = {name: self._weighed.get(name, self._count) for name in self._sums}
        means = {name: total / totals[name] for name, total in self._sums.items() if totals[name]}
        means["skipped"] = self._skipped
        self.__init__(self._weights)
        return means

    def to_json(self) -> dict[str, Any]:
        """What `Window(weights, **...)` takes, so that a resumed run writes the same record."""
        return {"sums": self._sums, "count": self._count, "skipped": self._skipped, "weighed": self._weighed}


class Clock:
    """Speed and remaining time. Starts when the first step is under way: compiling is not counted."""

    def __init__(self, total_steps: int):
        self._total, self._step = total_steps, 0
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None
        self._paused = 0.0

    def tick(self, step: int) -> None:
        """Call for every step when it is under way; the first call starts the clock."""
        self._step = step
        if self._first is None:
            self._first = self._last = (step, time.perf_counter())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Evaluation and saving do not count as speed; they do count for the remaining time."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - begin

    def speed(self) -> dict[str, float]:
        """{"steps_per_second"} since the last call; empty where no step passed."""
        now, (step, then) = time.perf_counter(), self._last
        busy, self._paused, self._last = now - then - self._paused, 0.0, (self._step, now)
        return {"steps_per_second": (self._step - step) / busy} if self._step > step else {}

    def eta(self) -> float | None:
        """Seconds until the last step, None while not known."""
        step, then = self._first
        if self._step == step:
            return None
        return (time.perf_counter() - then) / (self._step - step) * (self._total - self._step)

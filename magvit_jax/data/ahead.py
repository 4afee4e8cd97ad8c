"""Reading several inputs at once, and giving what they hold in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_AHEAD = 4  # items that a thread may be ahead of who takes them: clips are large
_POLL = 0.1  # seconds after which a thread that waits for room looks whether anybody still wants it


class _Reader(threading.Thread):
    """Runs one iterator, up to a few items ahead."""

    def __init__(self, make: Callable[[], Iterator[Item]]):
        super().__init__(daemon=True)
        self._make, self._queue, self._stopped = make, queue.Queue(_AHEAD), threading.Event()
        self.start()

    def run(self) -> None:
        try:
            for item in self._make():
                if not self._put((item, None)):
                    return
            self._put((None, StopIteration()))
        except BaseException as error:
            self._put((None, error))

    def _put(self, entry: tuple[Item | None, BaseException | None]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False

    def items(self) -> Iterator[Item]:
        while True:
            item, error = self._queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item

    def stop(self) -> None:
        self._stopped.set()


def read_ahead(makers: Iterable[Callable[[], Iterator[Item]]], threads: int) -> Iterator[Item]:
    """The items of all iterators, one iterator after the other, while the next ones are already running.

    Args:
      makers: each makes an iterator, in a thread of its own. What it raises is raised here, in its place.
      threads: how many run at once, at least 1. Each is at most a few items ahead, so memory stays bounded.
    """
    waiting, readers = iter(makers), deque()
    try:
        while True:
            while len(readers) < threads and (make := next(waiting, None)) is not None:
                readers.append(_Reader(make))
            if not readers:
                return
            yield from readers[0].items()
            readers.popleft()
    finally:
        for reader in readers:
            reader.stop()

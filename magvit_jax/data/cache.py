"""A bounded store of decoded frames."""

import threading
from collections.abc import Callable, Hashable

import numpy as np


class FrameCache:
    """Keeps arrays up to a limit and never drops one; what does not fit is made again each time.

    Random access over an epoch would make a least-recently-used cache miss almost always once the data is
    larger than the limit. Safe in threads; an array is made once however many ask for it together.
    """

    def __init__(self, limit_mb: float):
        self._limit = limit_mb * 2**20
        self._used = 0
        self._arrays: dict[Hashable, np.ndarray] = {}
        self._making: dict[Hashable, threading.Lock] = {}
        self._failed: set[Hashable] = set()
        self._lock = threading.Lock()

    def __reduce__(self):
        return FrameCache, (self._limit / 2**20,)  # another process starts with an empty one

    def get(self, key: Hashable, size: int, make: Callable[[], np.ndarray]) -> np.ndarray | None:
        """The array under `key`, made now if its `size` in bytes still fits; None when it does not.

        What `make` raises is passed on once; from then on the answer is None.
        """
        array = self._arrays.get(key)
        if array is not None:
            return array
        with self._lock:
            if key in self._failed or (key not in self._making and self._used + size > self._limit):
                return None
            if key not in self._making:
                self._making[key] = threading.Lock()
                self._used += size
            making = self._making[key]
        with making:
            if key in self._failed:
                return None
            if key not in self._arrays:
                self._arrays[key] = self._made(key, size, make)
            return self._arrays[key]

    def _made(self, key: Hashable, size: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        try:
            array = make()
        except BaseException:
            with self._lock:
                self._used -= size
                self._failed.add(key)
            raise
        array.setflags(write=False)
        return array

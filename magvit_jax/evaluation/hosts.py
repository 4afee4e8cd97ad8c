"""What several processes measured, put together in every one of them; with one process nothing happens."""

import io
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from magvit_jax.metrics import FeatureStatistics, PredictionStatistics

Statistics = TypeVar("Statistics", FeatureStatistics, PredictionStatistics)


def merge_over_hosts(statistics: Statistics) -> Statistics:
    """Statistics of the samples of all processes, the same in each. All of them have to call it."""
    first, *others = [type(statistics).from_arrays(arrays) for arrays in _gather(statistics.to_arrays())]
    for other in others:
        first = first.merge(other)
    return first


def rows_of_hosts(rows: np.ndarray) -> np.ndarray:
    """Rows [N, ...] of all processes, those of process 0 first; each may have its own N. All have to call it."""
    return np.concatenate([arrays["rows"] for arrays in _gather({"rows": np.asarray(rows)})])


def _gather(arrays: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The arrays of every process. They travel as bytes: JAX would make float64 float32."""
    if jax.process_count() == 1:
        return [arrays]
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    mine = np.frombuffer(packed.getvalue(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(mine.size))
    everything = multihost_utils.process_allgather(np.resize(mine, int(sizes.max())))
    return [_unpack(row[:size].tobytes()) for row, size in zip(everything, sizes, strict=True)]


def _unpack(packed: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(packed), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}

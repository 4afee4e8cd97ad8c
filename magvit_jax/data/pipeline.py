"""Batches out of a source, with Grain.

What an example is depends on one number only: its position p in the endless stream of examples. Global step s
with a global batch of B sees positions s*B to s*B + B - 1, the epoch is p // n for a source of n clips, each
epoch has its own permutation, and all random choices of an example (start, crop, flip) come from the
generator (seed, p). So hosts, threads, worker processes and restarts change nothing.
"""

import functools
import os
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import grain
import numpy as np
from absl import flags

from magvit_jax.data.sources import ClipSpec, Source
from magvit_jax.errors import UserError

_ENDLESS = 2**62  # examples; Grain wants a length


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)


def example_at(source: Source, spec: ClipSpec, seed: int, position: int, train: bool) -> Mapping[str, Any]:
    """The example at a position of a source's endless stream, with that position as its "index"."""
    epoch, index = divmod(position, len(source))
    if train:
        index = int(_permutation(seed, epoch, len(source))[index])
    clip = source.clip(index, np.random.default_rng((seed, position)), spec, train)
    return {**clip, "index": np.uint32(position % 2**32)}


class _Stream:
    """Random access to this host's examples from `start_step` on, in the order it will see them."""

    def __init__(self, source, spec, *, batch_size, seed, start_step, shard_index, shard_count, train):
        self.source, self.spec, self.train = source, spec, train
        self.batch_size, self.seed, self.start_step = batch_size, seed, start_step
        self.local_size = batch_size // shard_count
        self.offset = shard_index * self.local_size

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, local_index: int) -> Mapping[str, Any]:
        step, within = divmod(int(local_index), self.local_size)
        position = (self.start_step + step) * self.batch_size + self.offset + within
        return example_at(self.source, self.spec, self.seed, position, self.train)


class _Prefix:
    """Random access to the first `num` test clips."""

    def __init__(self, source: Source, spec: ClipSpec, num: int):
        self.source, self.spec, self.num = source, spec, num

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        clip = self.source.clip(int(index), np.random.default_rng(0), self.spec, False)
        return {**clip, "index": np.uint32(index)}


class BatchIterator(Iterator[Mapping[str, np.ndarray]]):
    """Batches of a Grain dataset; `close()` stops its threads and processes, as does the program's end."""

    def __init__(self, dataset: grain.IterDataset, copy: bool):
        self._open = [iter(dataset)]
        self._copy = copy
        # Grain's own clean-up fails noisily once the interpreter takes modules apart; this runs before that.
        self.close = weakref.finalize(self, _close, self._open)

    def __next__(self) -> Mapping[str, np.ndarray]:
        if not self._open:
            raise StopIteration
        batch = next(self._open[0])
        # Worker processes hand over shared memory, which would stay mapped while a caller keeps the batch.
        return {name: np.array(value) for name, value in batch.items()} if self._copy else batch


def _close(iterators: list[grain.DatasetIterator]) -> None:
    iterators.pop().close()


def _read_options() -> grain.ReadOptions:
    """Two to eight threads, each making a whole batch; few ahead, since batches of video are large."""
    return grain.ReadOptions(num_threads=max(2, min(8, (os.cpu_count() or 2) // 2)), prefetch_buffer_size=4)


def check_stream(source, batch_size, seed, start_step, shard_index, shard_count) -> None:
    """UserError for what no stream of batches can be made of."""
    if len(source) == 0:
        raise UserError("the data source has no clips: expected at least 1")
    if batch_size < 1 or batch_size % shard_count:
        raise UserError(
            f"data.batch_size is {batch_size}: expected a positive multiple of the {shard_count} processes"
        )
    if seed < 0 or start_step < 0:
        raise UserError(f"data.seed is {seed}, the first step {start_step}: neither may be negative")
    if not 0 <= shard_index < shard_count:
        raise UserError(f"shard {shard_index} of {shard_count}: expected 0 to {shard_count - 1}")


def batches(
    source: Source,
    spec: ClipSpec,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
    workers: int = 0,
    train: bool = True,
) -> BatchIterator:
    """Endless batches of one host, beginning with global step `start_step`.

    Args:
      source: where clips come from; `spec` says how they look.
      batch_size: examples in the global batch B. This host gets B / shard_count consecutive ones of each
        step.
      workers: processes that prepare batches; 0 prepares them in threads. Each process has its own cache of
        clips.
      train: shuffle each epoch and augment; otherwise the clips come in order, as in evaluation.

    Returns:
      An iterator of {"video": uint8 [b, T, H, W, 3],
      "label": int32 [b], "index": uint32 [b] position in the endless stream, modulo 2^32}.

    Raises:
      UserError: a batch that does not divide among the shards, an empty source, a negative number.
    """
    check_stream(source, batch_size, seed, start_step, shard_index, shard_count)
    stream = _Stream(
        source,
        spec,
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        shard_index=shard_index,
        shard_count=shard_count,
        train=train,
    )
    # Batching comes before the split among threads and processes: their number cannot change what is in a
    # batch.
    return iterate(grain.MapDataset.source(stream).batch(stream.local_size), workers)


def iterate(dataset: grain.MapDataset, workers: int) -> BatchIterator:
    """The elements of a dataset of batches, made ahead in threads, or in so many processes where that is above 0."""
    ahead = dataset.to_iter_dataset(_read_options())
    if workers:
        if not flags.FLAGS.is_parsed():  # Grain reads absl flags, which a notebook or a test never parses
            flags.FLAGS.mark_as_parsed()
        ahead = ahead.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        )
    return BatchIterator(ahead, copy=workers > 0)


def eval_batches(source: Source, spec: ClipSpec, *, batch_size: int, num: int | None = None) -> BatchIterator:
    """The first `num` test clips in order (all when None or when there are fewer), the same in every process.

    The last batch is smaller when `batch_size` does not divide them. Keys as in `batches`, "index" being the
    clip's number in the source.
    """
    check_stream(source, batch_size, 0, 0, 0, 1)
    prefix = _Prefix(source, spec, len(source) if num is None else min(num, len(source)))
    if prefix.num < 1:
        raise UserError(f"{num} clips asked for: expected at least 1")
    dataset = grain.MapDataset.source(prefix).batch(batch_size).to_iter_dataset(_read_options())
    return BatchIterator(dataset, copy=False)

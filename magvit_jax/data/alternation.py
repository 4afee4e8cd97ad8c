"""Batches of videos, and in between batches of images: which, and what is in them, is decided by the step alone."""

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

import grain
import numpy as np

from magvit_jax.data.multimodal_spec import MultimodalSpec
from magvit_jax.data.pipeline import BatchIterator, check_stream, example_at, iterate
from magvit_jax.data.sources import Source

_STEPS = 2**62  # of an endless stream; Grain wants a length


class Stream(NamedTuple):
    """Examples of one kind.

    Fields:
      source, spec: where they come from, and what they look like.
      per_row: how many there are for each example of the global batch: several images take the place of one video.
    """

    source: Source
    spec: MultimodalSpec
    per_row: int


class Alternation:
    """Which steps are of images, and how many batches of its kind came before a step.

    It is asked once for each step up to the highest one, and what it answered is kept: 8 bytes a step. Safe in threads.
    """

    def __init__(self, is_image: Callable[[int], bool]):
        self._is_image = is_image
        self._images_before = [0]  # of step 0, 1, ...
        self._lock = threading.Lock()

    def __reduce__(self):
        return Alternation, (self._is_image,)

    def place(self, step: int) -> tuple[bool, int]:
        """(whether the step, counted from 0, is of images; batches of that kind before it)."""
        before = self._images_before
        if len(before) <= step + 1:
            with self._lock:
                while len(before) <= step + 1:
                    before.append(before[-1] + int(self._is_image(len(before) - 1)))
        image = before[step + 1] > before[step]
        return image, before[step] if image else step - before[step]


class _Batches:
    """Random access to this host's batches from `start_step` on."""

    def __init__(self, videos, images, alternation, *, batch_size, seed, start_step, shard_index, shard_count):
        self.videos, self.images, self.alternation = videos, images, alternation
        self.batch_size, self.seed, self.start_step = batch_size, seed, start_step
        self.shard_index, self.shard_count = shard_index, shard_count

    def __len__(self) -> int:
        return _STEPS

    def __getitem__(self, local_step: int) -> Mapping[str, np.ndarray]:
        image, number = self.alternation.place(self.start_step + int(local_step))
        stream = self.images if image else self.videos
        size = self.batch_size * stream.per_row
        local = size // self.shard_count
        first = number * size + self.shard_index * local
        # Images have a stream of random numbers of their own.
        seed = self.seed + int(image)
        examples = [example_at(stream.source, stream.spec, seed, first + row, True) for row in range(local)]
        batch = {name: np.stack([example[name] for example in examples]) for name in examples[0]}
        if image:
            batch["image"] = batch.pop("video")
        return batch


def multimodal_batches(
    videos: Stream,
    images: Stream | None,
    is_image: Callable[[int], bool],
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    shard_index: int,
    shard_count: int,
    workers: int,
) -> BatchIterator:
    """Endless batches of one host, beginning with global step `start_step`, for training.

    Step s has a batch of images where `is_image(s)`. If that is the k-th of them, it has positions k * n * B to (k + 1)
    * n * B - 1 of the images' endless stream, B the batch size and n the images that take the place of a video; videos
    likewise have a stream of their own, so no example is left out or seen twice in an epoch. Order and randomness of a
    stream are as of `pipeline.batches`.

    Args:
      images: None where no step is of images.
      is_image: of a step, counted from 0 (`Stages.is_image_batch`). Picklable where there are workers.
      batch_size: B, of all hosts; this one gets rows shard_index * B / shard_count on, and as many of images.
      workers: as of `pipeline.batches`.

    Returns:
      An iterator of the source's arrays with a leading dimension of B, or n * B; of images "video" is called "image".

    Raises:
      UserError: a batch that does not divide among the shards, an empty source, a negative number.
    """
    for stream in (videos, images):
        if stream is not None:
            check_stream(stream.source, batch_size, seed, start_step, shard_index, shard_count)
    if images is None:
        is_image = _never
    batches = _Batches(
        videos,
        images,
        Alternation(is_image),
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        shard_index=shard_index,
        shard_count=shard_count,
    )
    return iterate(grain.MapDataset.source(batches), workers)


def _never(step: int) -> bool:
    return False


"""Videos to token ids in shards, once, for every training run that reads them."""

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np

from magvit_jax.data import ClipSpec, records
from magvit_jax.data.recordings import Clip, Cutting, Recordings
from magvit_jax.data.shards import Index
from magvit_jax.errors import UserError
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.workflows.shards import Share, facts, write_shards

BATCH = 16


def tokenize(
    tokenizer: Tokenizer,
    recordings: Recordings,
    output: str | os.PathLike,
    cutting: Cutting | None = None,
    *,
    batch: int = BATCH,
    num: int | None = None,
    share: Share | None = None,
    stream: TextIO | None = None,
) -> Index:
    """Writes the ids of every clip of every input to shards.

    The same call goes on where a killed one stopped, and ends with the same bytes.

    Args:
      recordings: from `open_recordings`.
      output: folder, made if absent.
      cutting: which clips; by default of the tokenizer's training size, side by side, all of them.
      batch: clips that are encoded at once. It changes speed and memory; an id only where rounding decides
        it.
      num: how many inputs, the first ones; None for all.
      share: which shards this process writes, and how many there are in all; by default all of them.
      stream: where the progress line goes, standard error by default.

    Returns:
      The index; not finished where other processes are still writing.

    Raises:
      UserError: a size that the tokenizer does not take, and as of `write_shards`.
    """
    cutting = cutting or side_by_side(ClipSpec(*tokenizer.clip.shape, stride=tokenizer.clip.stride))
    if batch < 1:
        raise UserError(f"batch: {batch}; expected 1 or more")
    spec, model = cutting.spec, tokenizer.model
    shape = model.latent_shape(spec.frames, spec.height, spec.width)
    maker = {
        "tokenizer": {
            "fingerprint": tokenizer.fingerprint,
            "codebook_size": model.codebook_size,
            "compression": list(model.compression),
        }
    }

    def to_records(clips: Iterable[Clip]) -> Iterator[bytes]:
        return _encoded(tokenizer, clips, batch)

    return write_shards(
        "tokens", recordings, output, cutting, to_records, maker, shape, num, share or Share(), stream
    )


def side_by_side(spec: ClipSpec, every: int | None = None, most: int | None = None) -> Cutting:
    """Clips that follow each other without a gap, unless `every` says otherwise."""
    return Cutting(spec, spec.frames * spec.stride if every is None else every, most)


def _encoded(tokenizer: Tokenizer, clips: Iterable[Clip], batch: int) -> Iterator[bytes]:
    """Records of the clips' ids. A last, smaller batch is filled up: one shape, one compilation."""
    bits = max(1, (tokenizer.model.codebook_size - 1).bit_length())
    for group in _groups(clips, batch):
        filled = [*group, *itertools.repeat(group[-1], batch - len(group))]
        ids_Bthw = np.asarray(tokenizer.encode(np.stack([clip.video_THWC for clip in filled])))
        for clip, ids_thw in zip(group, ids_Bthw, strict=False):
            yield records.encode_ids(ids_thw, bits, facts(clip))


def _groups(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    clips = iter(clips)
    while group := list(itertools.islice(clips, size)):
        yield group

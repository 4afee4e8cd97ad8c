"""Inputs cut into clips and written to shards, restartable and by several processes: what `shards` and
`tokenize` share.

Input number k goes to shard k modulo the number of shards, whole, in the order of names. So a shard is
decided by its number alone: any process may write it, at any time, and process i of n writes numbers i, i +
n, i + 2n ... Processes do not talk to each other; whoever finds all shards written writes the index.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO

from magvit_jax.data import ClipSpec, records
from magvit_jax.data.ahead import read_ahead
from magvit_jax.data.decode import Unreadable
from magvit_jax.data.embedded import MovingDigits
from magvit_jax.data.recordings import Clip, Cutting, FileRecordings, Recordings, SourceRecordings
from magvit_jax.data.shard_source import ClipShardRecordings
from magvit_jax.data.shard_writer import ShardFolder
from magvit_jax.data.shards import Index, Skipped, is_shards
from magvit_jax.data.tfds import TfdsExamples, TfdsRecordings
from magvit_jax.errors import UserError
from magvit_jax.workflows.progress import Progress

SOURCES = ("files", "embedded", "clip_shards", "tfds")
SHARDS = 64
EMBEDDED_CLIPS = 8192


@dataclasses.dataclass(frozen=True)
class Share:
    """How the work is divided.

    Attributes:
      shards: files that are written; 64 by default, or one an input where there are fewer inputs.
      process, processes: this process, from 0, and how many there are.
      threads: inputs that are read at once; one a core by default, 16 at most.
    """

    shards: int | None = None
    process: int = 0
    processes: int = 1
    threads: int | None = None

    def __post_init__(self):
        if not 0 <= self.process < self.processes:
            raise UserError(f"process {self.process} of {self.processes}: expected 0 to {self.processes - 1}")
        for name in ("shards", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}: {value}; expected 1 or more")


def open_recordings(
    path: str | os.PathLike | None,
    spec: ClipSpec,
    *,
    source: str | None = None,
    split: str | None = None,
    held_out: float = 0.1,
    data_dir: str = "",
    feature: str = "",
) -> Recordings:
    """What is to be cut into clips.

    Args:
      path: a video, an image, a folder of them, a folder of clip shards, the name of a TFDS dataset, or None
        for the embedded clips.
      source: one of `SOURCES`; by default embedded without a path, clip_shards where there is an index, else
        files.
      split: of files and clip shards "all" (the default), "train" or "test"; of the embedded clips "train"
        (the default) or "test"; of a TFDS dataset as it is named there, "train" by default.
      held_out: share of the files or shards that is the test split, where no folders say so.
      data_dir, feature: of a TFDS dataset, see `data.tfds.TfdsExamples`.

    Raises:
      UserError: there is no such input.
    """
    if source is None:
        source = "embedded" if path is None else "clip_shards" if is_shards(path) else "files"
    if source not in SOURCES:
        raise UserError(f"source {source!r} is unknown; expected one of {', '.join(SOURCES)}")
    if source == "embedded":
        split = split or "train"
        if path is not None or split not in ("train", "test"):
            raise UserError(
                f"embedded clips: input {path}, split {split!r}; expected no input, and train or test"
            )
        identity = {"source": "embedded", "split": split, "seed": 0}
        return SourceRecordings(MovingDigits(split, size=EMBEDDED_CLIPS, cache_mb=0), identity)
    if path is None:
        raise UserError(f"source {source} needs an input; none was given")
    if source == "tfds":
        return TfdsRecordings(TfdsExamples(os.fspath(path), split or "train", data_dir, feature))
    if source == "clip_shards":
        return ClipShardRecordings(os.fspath(path), split or "all", held_out)
    return FileRecordings(path, split or "all", spec, held_out)


def write_clips(
    recordings: Recordings,
    output: str | os.PathLike,
    cutting: Cutting,
    *,
    num: int | None = None,
    share: Share | None = None,
    stream: TextIO | None = None,
) -> Index:
    """Writes clips of pixels, losslessly; arguments and errors as of `write_shards`."""
    spec = cutting.spec
    shape = (spec.frames, spec.height, spec.width, 3)

    def to_records(clips: Iterable[Clip]) -> Iterator[bytes]:
        return (records.encode_clip(clip.video_THWC, facts(clip)) for clip in clips)

    return write_shards(
        "clips", recordings, output, cutting, to_records, {}, shape, num, share or Share(), stream
    )


def facts(clip: Clip) -> dict[str, Any]:
    """What a record says of its clip."""
    return {"name": clip.name, "start": clip.start, "label": clip.label}


def write_shards(
    kind: str,
    recordings: Recordings,
    output: str | os.PathLike,
    cutting: Cutting,
    to_records: Callable[[Iterable[Clip]], Iterator[bytes]],
    maker: Mapping[str, Any],
    shape: tuple[int, ...],
    num: int | None,
    share: Share,
    stream: TextIO | None,
) -> Index:
    """Writes this process's shards, those that are not there yet, and the index once all are there.

    Args:
      kind: "clips" or "tokens".
      output: folder, made if absent; one that was begun goes on.
      to_records: clips of one shard to its records, one each, in order.
      maker: what besides inputs and cutting decides the records, as plain JSON values.
      shape: of a record.
      num: how many inputs, the first ones; None for all.
      stream: where the progress line goes, standard error by default.

    Returns:
      The index; not finished where other processes are still writing.

    Raises:
      UserError: an output of another model, input or cutting (names the first difference), a full disk, or
        inputs that give no clip.
    """
    count = len(recordings) if num is None else min(num, len(recordings))
    if count < 1:
        raise UserError(f"{num if num is not None else 'no'} inputs: expected at least 1")
    shards = min(SHARDS, count) if share.shards is None else share.shards
    identity = {
        "kind": kind,
        **maker,
        "input": {**recordings.identity(), "recordings": count},
        "clip": cutting.to_json(),
        "shape": list(shape),
        "shard_count": shards,
        "class_names": list(recordings.class_names),
    }
    folder = ShardFolder(output, identity)
    todo = [shard for shard in range(share.process, shards, share.processes) if not folder.is_done(shard)]
    threads = share.threads or min(16, os.cpu_count() or 1)
    inputs_left = sum(len(range(shard, count, shards)) for shard in todo)
    with Progress(inputs_left, "inputs", parts="clips", stream=stream) as progress:
        for shard in todo:
            skipped: list[Skipped] = []
            inputs = (functools.partial(_events, recordings, k, cutting) for k in range(shard, count, shards))
            with contextlib.closing(read_ahead(inputs, threads)) as events:
                folder.write(shard, to_records(_clips(events, skipped, progress)), lambda kept=skipped: kept)
    index = folder.finish()
    if index.finished and not index.records:
        first = index.skipped[0]
        raise UserError(
            f"no clip could be cut from any of {count} inputs, such as {first.name}: {first.reason}"
        )
    return index


@dataclasses.dataclass(frozen=True)
class _End:
    """A recording was read to its end."""

    skipped: Skipped | None = None


def _events(recordings: Recordings, number: int, cutting: Cutting) -> Iterator[Clip | _End]:
    given = 0
    try:
        for clip in recordings.clips(number, cutting):
            yield clip
            given += 1
        yield _End()
    except Unreadable as error:
        yield _End(Skipped(recordings.name(number), str(error), given))


def _clips(events: Iterable[Clip | _End], skipped: list[Skipped], progress: Progress) -> Iterator[Clip]:
    for event in events:
        if isinstance(event, Clip):
            progress.part()
            yield event
            continue
        if event.skipped is not None:
            skipped.append(event.skipped)
            progress.say(_why(event.skipped))
        progress.advance()


def _why(skipped: Skipped) -> str:
    what = f"cut short after {skipped.clips} clips" if skipped.clips else "skipped"
    return f"{what}: {skipped.name}: {skipped.reason}"


def describe(index: Index, output: str | os.PathLike) -> str:
    """A line for people on what was written."""
    identity = index.identity
    count, inputs = identity["shard_count"], identity["input"]["recordings"]
    if not index.finished:
        return f"{output}: {len(index.shards)} of {count} shards are there; the last process writes the index"
    shape = "x".join(map(str, identity["shape"]))
    what = f"clips as tokens of {shape}" if identity["kind"] == "tokens" else f"clips of {shape}"
    skipped = f"; skipped or cut short: {len(index.skipped)}, named in index.json" if index.skipped else ""
    return f"{output}: {index.records} {what} in {count} shards, from {inputs} inputs{skipped}"

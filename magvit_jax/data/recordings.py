"""Whole inputs, one after the other, and the clips that are cut out of each.

Training draws clips at random places; what is written to shards is every clip of every input, in order. A
recording is an input that is read from its first frame to its last: a video, an image (one frame), an example
of a TFDS dataset, or a clip of another source.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from magvit_jax.data.clips import fit, is_image
from magvit_jax.data.decode import Unreadable, probe, read_frames
from magvit_jax.data.files import (
    IMAGE_EXTENSIONS,
    VIDEO_EXTENSIONS,
    Entry,
    check_held_out,
    find_files,
    hold_out,
    label_entries,
)
from magvit_jax.data.images import read_image
from magvit_jax.data.sources import ClipSpec, Source
from magvit_jax.errors import UserError


@dataclass(frozen=True)
class Cutting:
    """Which clips are cut out of a recording.

    Attributes:
      spec: the clips' size, and every how many frames of the recording one is taken. Frames are resized to
        cover the size and cropped in the centre.
      every: frames of the recording from one clip's first frame to the next one's. `frames * stride` puts
        clips side by side, less lets them overlap.
      most: clips of a recording at most, the first ones; None for all. What is left over at the end, shorter
        than a clip, is dropped.
    """

    spec: ClipSpec
    every: int
    most: int | None = None

    def __post_init__(self):
        for name in ("every", "most"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}: expected at least 1")

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        spec = {name: getattr(self.spec, name) for name in ("frames", "height", "width", "stride")}
        return spec | {"every": self.every, "most": self.most}


@dataclass(frozen=True)
class Clip:
    """A clip of a recording: uint8 [T, H, W, 3] from frame `start` on."""

    name: str
    label: int
    start: int
    video_THWC: np.ndarray


class Recordings(Protocol):
    """A finite, indexable collection of inputs that are read whole."""

    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """How many there are, readable or not."""

    def name(self, number: int) -> str:
        """What a recording is called in an index; no two are called the same."""

    def clips(self, number: int, cutting: Cutting) -> Iterator[Clip]:
        """The clips of a recording, in order of time. Raises Unreadable, possibly after some clips."""

    def identity(self) -> dict[str, Any]:
        """What tells this collection from another, as plain JSON values."""


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits of a SHA-256 over plain JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def cut(
    frames: Iterator[np.ndarray], size: tuple[int, int], cutting: Cutting, name: str, label: int
) -> Iterator[Clip]:
    """Clips of a recording's frames, uint8 [H, W, 3] of the proportions `size`. Holds the frames of one clip.

    Raises:
      Unreadable: there are too few frames for one clip.
    """
    spec, area = cutting.spec, (cutting.spec.height, cutting.spec.width)
    step = math.gcd(spec.stride, cutting.every)  # no clip needs the frames between its multiples
    kept: dict[int, np.ndarray] = {}
    start = given = seen = 0
    for at, frame in enumerate(frames):
        seen += 1
        if at >= start and at % step == 0:
            kept[at] = fit(frame, size, area)
        if at == start + spec.span - 1:
            yield Clip(
                name, label, start, np.stack([kept[start + k * spec.stride] for k in range(spec.frames)])
            )
            given, start = given + 1, start + cutting.every
            if given == cutting.most:
                return
            kept = {at: frame for at, frame in kept.items() if at >= start}
    if not given:
        has = "1 frame" if seen == 1 else f"{seen} frames"
        raise Unreadable(f"{has}, a clip needs {spec.span} ({spec.frames} at stride {spec.stride})")


class FileRecordings:
    """The video files below a folder, or with clips of one frame its images too; a file stands for itself.

    Args:
      split: "train", "test" or "all". train/ and test/ folders are honoured, as by `VideoFolder`; else
        `held_out` of the files, by the hash of their names, are the test split.

    Raises:
      UserError: no such file, or an empty split.
    """

    def __init__(self, path: str | os.PathLike, split: str, spec: ClipSpec, held_out: float):
        check_held_out(held_out)
        if split not in ("train", "test", "all"):
            raise UserError(f"split of files is {split!r}: expected train, test or all")
        self.split = split
        path = os.fspath(path)
        root, paths = (
            (os.path.dirname(path) or ".", [path]) if os.path.isfile(path) else (path, _find(path, spec))
        )
        images_only = all(map(is_image, paths))  # then labelled as by `ImageFolder`
        entries = label_entries(root, paths, (Path(path).resolve().name or "image") if images_only else None)
        self.class_names = tuple(sorted({entry.label for entry in entries}))
        self._entries = _side(root, entries, split, held_out)

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, number: int) -> str:
        """See `Recordings`: the path below the folder."""
        return self._entries[number].relative

    def clips(self, number: int, cutting: Cutting) -> Iterator[Clip]:
        """See `Recordings`. A file that is cut off, which its container tells, gives no clips at all."""
        entry = self._entries[number]
        label = self.class_names.index(entry.label)
        if is_image(entry.path):
            image = read_image(entry.path)
            yield from cut(iter([image]), image.shape[:2], cutting, entry.relative, label)
            return
        info = probe(entry.path)
        yield from cut(read_frames(entry.path), (info.height, info.width), cutting, entry.relative, label)

    def identity(self) -> dict[str, Any]:
        """See `Recordings`: names and sizes of the files, not their contents."""
        files = [[entry.relative, _file_size(entry.path)] for entry in self._entries]
        return {"source": "files", "split": self.split, "fingerprint": fingerprint(files)}


def _find(path: str, spec: ClipSpec) -> list[str]:
    found = find_files(path, (*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS), "video or image")
    if spec.frames == 1:
        return found
    videos = [name for name in found if not is_image(name)]
    if not videos:
        raise UserError(
            f"{path} has {len(found)} images and no video: expected videos, or clips of one frame"
        )
    return videos


def _side(root: str, entries: Sequence[Entry], split: str, held_out: float) -> list[Entry]:
    if split == "all":
        return list(entries)
    test = split == "test"
    if entries[0].test is not None:
        return [entry for entry in entries if entry.test == test]
    if len(entries) < 2:
        raise UserError(
            f"{root}: has 1 file: expected at least 2 to hold one out for a test split, or split=all"
        )
    theirs = hold_out(entries, held_out)
    return [entry for entry in entries if (entry.path in theirs) == test]


def _file_size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1  # unreadable, which is found and named when its turn comes


class SourceRecordings:
    """The clips of a source, each a recording of one clip.

    Args:
      identity: what tells the source from another.
    """

    def __init__(self, source: Source, identity: dict[str, Any]):
        self._source, self._identity = source, identity
        self.class_names = tuple(source.class_names)

    def __len__(self) -> int:
        return len(self._source)

    def name(self, number: int) -> str:
        """See `Recordings`: the number."""
        return str(number)

    def clips(self, number: int, cutting: Cutting) -> Iterator[Clip]:
        """See `Recordings`."""
        clip = self._source.clip(number, np.random.default_rng(0), cutting.spec, False)
        yield Clip(self.name(number), int(clip["label"]), 0, clip["video"])

    def identity(self) -> dict[str, Any]:
        """See `Recordings`."""
        return self._identity

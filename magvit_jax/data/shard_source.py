"""Shards as sources to train on: clips, cropped and mirrored as they are read, and token ids.

`path` is a folder of shards, or one with the folders train/ and test/ of them. Of a folder by itself the last
shards are held out as the test split: inputs were dealt to the shards in turn, and all clips of an input are
in one shard, so the splits share no input.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.files import check_held_out
from magvit_jax.data.recordings import Clip, Cutting, cut, fingerprint
from magvit_jax.data.shards import Index, Shard, ShardReader, is_shards, read_index
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError


class _ShardSource:
    """What both sources share; `identity` is that of the index."""

    kind: str
    skipped: tuple[tuple[str, str], ...] = ()  # what was skipped was named when the shards were written

    def __init__(self, path: str, split: str, held_out: float):
        check_held_out(held_out)
        folder, shards, index = _of_split(Path(path), self.kind, split, held_out)
        self.identity, self._split, self._folder = index.identity, split, folder
        self.class_names = tuple(index.identity["class_names"])
        self._shards = len(shards)
        self._reader = ShardReader(folder, shards)
        if not len(self._reader):
            raise UserError(f"{folder}: the {split} split has no {self.kind}; expected at least 1")

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def summary(self) -> str:
        """One line about what there is."""
        return f"{self.kind} in {self._folder}: {self._shards} {self._split} shards, {len(self)} clips"


class ClipShards(_ShardSource):
    """Clips of pixels, for `split` "train", "test" or "all".

    A stored clip may be larger than `spec` asks, and longer: then a training clip begins at a random frame of
    it, and with `random_crop` lies anywhere in it; a test clip is its middle. It is not resized.

    Raises:
      UserError: no shards, other shards, clips smaller than asked, or a stride that is no multiple of the
        stored one.
    """

    kind = "clips"

    def __init__(self, path: str, split: str, spec: ClipSpec, *, held_out: float = 0.1):
        super().__init__(path, split, held_out)
        self._step(spec)

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`."""
        step = self._step(spec)
        stored_THWC, header = self._reader.read(index)
        span, size, area = (spec.frames - 1) * step + 1, stored_THWC.shape[1:3], (spec.height, spec.width)
        start, corner, flip = (len(stored_THWC) - span) // 2, pixels.centre_corner(size, area), False
        if train:
            start = int(rng.integers(len(stored_THWC) - span + 1))
            corner = pixels.random_corner(rng, size, area) if spec.random_crop else corner
            flip = spec.flip and rng.random() < 0.5
        video_THWC = pixels.crop(stored_THWC[start : start + span : step], corner, area)
        video_THWC = np.ascontiguousarray(video_THWC[:, :, ::-1] if flip else video_THWC)
        return {"video": video_THWC, "label": np.int32(header["label"])}

    def _step(self, spec: ClipSpec) -> int:
        """Every how many of the stored frames one is taken. UserError where the stored clips do not serve."""
        stored = self.identity["clip"]
        if spec.stride % stored["stride"]:
            raise UserError(
                f"data.stride is {spec.stride}: {self._folder} has one frame of {stored['stride']}; "
                "expected a multiple"
            )
        step = spec.stride // stored["stride"]
        needed = {"frames": (spec.frames - 1) * step + 1, "height": spec.height, "width": spec.width}
        for name, value in needed.items():
            if value > stored[name]:
                raise UserError(
                    f"data.{name}: a clip needs {value}, and those in {self._folder} have {stored[name]}; "
                    "expected no more"
                )
        return step


class TokenShards(_ShardSource):
    """Token ids of clips, for `split` "train", "test" or "all": {"ids": int32 [t, h, w], "label": int32
    scalar}.

    `identity["tokenizer"]` says whose ids they are.

    Raises:
      UserError: no shards, other shards, ids of clips of another size than `spec` asks, or an augmentation:
        ids cannot be cropped or mirrored.
    """

    kind = "tokens"

    def __init__(self, path: str, split: str, spec: ClipSpec, *, held_out: float = 0.1):
        super().__init__(path, split, held_out)
        for name in ("frames", "height", "width", "stride"):
            asked, stored = getattr(spec, name), self.identity["clip"][name]
            if asked != stored:
                raise UserError(
                    f"data.{name} is {asked}: {self._folder} has tokens of clips with {name} {stored}"
                )
        for name in ("flip", "random_crop"):
            if getattr(spec, name):
                raise UserError(f"data.{name} is True: tokens are as they were written, set it to False")

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """Ids and label of a clip; the other arguments are not used."""
        ids_thw, header = self._reader.read(index)
        return {"ids": ids_thw, "label": np.int32(header["label"])}


class ClipShardRecordings:
    """The clips in shards as recordings: what tokens are made from; see `recordings.Recordings`."""

    def __init__(self, path: str, split: str, held_out: float):
        check_held_out(held_out)
        folder, shards, index = _of_split(Path(path), "clips", split, held_out)
        self.class_names = tuple(index.identity["class_names"])
        self._stored, self._split = index.identity["clip"], split
        self._reader = ShardReader(folder, shards)
        self._fingerprint = fingerprint([index.identity, [[shard.name, shard.bytes] for shard in shards]])

    def __len__(self) -> int:
        return len(self._reader)

    def name(self, number: int) -> str:
        """The input that the clip is of, and the clip's first frame."""
        header = self._reader.read(number)[1]
        return f"{header['name']}@{header['start']}"

    def clips(self, number: int, cutting: Cutting) -> Iterator[Clip]:
        """Clips of a stored clip, resized to the size asked; `stride` and `every` count frames of the first
        input."""
        stored_THWC, header = self._reader.read(number)
        step, spec = self._stored["stride"], cutting.spec
        if spec.stride % step or cutting.every % step:
            raise UserError(
                f"stride {spec.stride} and every {cutting.every}: the stored clips have one frame of {step}; "
                "expected multiples"
            )
        inner = dataclasses.replace(
            cutting, spec=dataclasses.replace(spec, stride=spec.stride // step), every=cutting.every // step
        )
        for clip in cut(iter(stored_THWC), stored_THWC.shape[1:3], inner, header["name"], header["label"]):
            yield dataclasses.replace(clip, start=header["start"] + step * clip.start)

    def identity(self) -> dict[str, Any]:
        """Of the shards, by their index."""
        return {"source": "clip_shards", "split": self._split, "fingerprint": self._fingerprint}


def _of_split(path: Path, kind: str, split: str, held_out: float) -> tuple[Path, list[Shard], Index]:
    """(folder, its shards that belong to the split, its index)"""
    if split not in ("train", "test", "all"):
        raise UserError(f"split of shards is {split!r}: expected train, test or all")
    if not is_shards(path):
        if split != "all" and is_shards(path / "train") and is_shards(path / "test"):
            return _of_split_folder(path, kind, split)
        raise UserError(
            f"{path}: no index.json; expected a folder of shards, or one with folders train/ and test/"
        )
    index = read_index(path, kind)
    shards = [shard for shard in index.shards.values() if shard.records]
    if split == "all":
        return path, shards, index
    if len(shards) < 2:
        raise UserError(
            f"{path}: has {len(shards)} shard with records: expected at least 2, one to train on and one to "
            "test on, or folders train/ and test/ of shards"
        )
    held = min(max(1, round(held_out * len(shards))), len(shards) - 1)
    return path, shards[-held:] if split == "test" else shards[:-held], index


def _of_split_folder(path: Path, kind: str, split: str) -> tuple[Path, list[Shard], Index]:
    train, test = (read_index(path / name, kind) for name in ("train", "test"))
    for key in ("class_names", "clip", "tokenizer"):
        if train.identity.get(key) != test.identity.get(key):
            raise UserError(
                f"{path}: {key} of train/ and test/ differ; expected shards that were written alike"
            )
    index = test if split == "test" else train
    return path / split, list(index.shards.values()), index

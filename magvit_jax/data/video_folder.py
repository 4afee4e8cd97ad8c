"""A folder of videos as labelled clips.

Label: the first folder below the root, else the file's name without its extension. Split: train/ and test/
folders where there are both (also training/, val/, validation/), else some files are held out by the hash of
their names; a single usable file is cut in time. Each file counts once for every whole clip that fits in it,
side by side. A training clip starts at a random frame of its file; test clips are spread evenly over it, or
centred where only one fits.

Every file is read once, without decoding, when the source is built. Frames are kept in memory resized, so
that each file is decoded once, until `cache_mb` are used; clips of other files are decoded from the nearest
keyframe each time.
"""

import functools
import logging
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.decode import Unreadable, VideoInfo, probe
from magvit_jax.data.files import VIDEO_EXTENSIONS, Entry, check_held_out, find_files, label_entries, one_side
from magvit_jax.data.folder import FolderSource, check_files
from magvit_jax.data.frame_store import FrameStore
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Video:
    """The frames [first, first + frames) of a file, of which all or a part belong to this split."""

    path: str
    label: int
    first: int
    frames: int
    info: VideoInfo


class VideoFolder(FolderSource):
    """Clips of the video files below `path`, for `split` "train", "test" or "all".

    `spec` is the clips' usual form: files shorter than it are skipped, and it decides how often a file
    counts.

    Raises:
      UserError: no video file, none that can be read, none that is long enough, or an empty split.
    """

    def __init__(
        self, path: str, split: str, spec: ClipSpec, *, held_out: float = 0.1, cache_mb: float = 1024
    ):
        check_held_out(held_out)
        entries = _entries(path)
        infos, skipped = _long_enough(path, entries, spec)
        usable = [entry for entry in entries if entry.path in infos]
        class_names = sorted({entry.label for entry in usable})
        root = path if os.path.isdir(path) else os.path.dirname(path) or "."
        super().__init__(root, split, class_names, skipped)
        labels = {name: label for label, name in enumerate(class_names)}
        videos = [_Video(e.path, labels[e.label], 0, infos[e.path].frames, infos[e.path]) for e in usable]
        if len(usable) == 1 and usable[0].test is None and split != "all":
            self._videos = [_cut_in_time(videos[0], split == "test", spec, held_out)]
        else:
            mine = one_side(path, entries, usable, split, held_out)
            self._videos = [video for video in videos if video.path in mine]
        self._video_ids, self._windows = clip_table([video.frames // spec.span for video in self._videos])
        self._store = FrameStore(cache_mb)

    def __len__(self) -> int:
        return len(self._video_ids)

    @property
    def summary(self) -> str:
        """One line about what there is."""
        return f"videos below {self.root}: {len(self._videos)} {self.split} files, {len(self)} clips"

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`. A file that turns out damaged is replaced by the next one, counted and named."""
        read = functools.partial(self._read, int(self._windows[index]), rng, spec, train)
        video, frames_THWC = self._fall_forward(self._videos, int(self._video_ids[index]), read)
        return {"video": frames_THWC, "label": np.int32(video.label)}

    def _read(
        self, window: int, rng: np.random.Generator, spec: ClipSpec, train: bool, video: _Video
    ) -> np.ndarray:
        if video.frames < spec.span:
            raise Unreadable(f"{video.frames} frames, {_needs(spec)}")
        size, area = _sizes(video.info, spec)
        if train:
            start = int(rng.integers(video.frames - spec.span + 1))
            corner = (
                pixels.random_corner(rng, size, area)
                if spec.random_crop
                else pixels.centre_corner(size, area)
            )
            flip = spec.flip and rng.random() < 0.5
        else:
            start, corner, flip = (
                _test_start(video.frames, spec.span, window),
                pixels.centre_corner(size, area),
                False,
            )
        frames_THWC = pixels.crop(self._frames(video, video.first + start, spec), corner, area)
        return np.ascontiguousarray(frames_THWC[:, :, ::-1] if flip else frames_THWC)

    def _frames(self, video: _Video, start: int, spec: ClipSpec) -> np.ndarray:
        """The clip's frames before cropping, out of the cache where the file has its place there."""
        numbers = range(start, start + spec.span, spec.stride)
        return self._store.frames(video.path, video.info, _sizes(video.info, spec)[0], numbers)


def _entries(path: str) -> list[Entry]:
    if path and os.path.isfile(path):
        return label_entries(os.path.dirname(path) or ".", [path], None)
    return label_entries(path, find_files(path, VIDEO_EXTENSIONS, "video"), None)


def _long_enough(
    path: str, entries: list[Entry], spec: ClipSpec
) -> tuple[dict[str, VideoInfo], dict[str, str]]:
    """({path: what is in it}, {path: why it is skipped}) of all files; UserError when all are skipped."""
    infos, skipped = check_files([entry.path for entry in entries], probe)
    if not infos:
        name, reason = next(iter(skipped.items()))
        raise UserError(f"{path}: none of its {len(skipped)} videos can be read, such as {name}: {reason}")
    longest = max(info.frames for info in infos.values())
    for short in [name for name, info in infos.items() if info.frames < spec.span]:
        skipped[short] = f"{infos.pop(short).frames} frames, {_needs(spec)}"
    if not infos:
        raise UserError(f"{path}: no video is long enough, the longest has {longest} frames, {_needs(spec)}")
    return infos, skipped


def _needs(spec: ClipSpec) -> str:
    return f"a clip needs {spec.span} ({spec.frames} at stride {spec.stride})"


def _cut_in_time(video: _Video, test: bool, spec: ClipSpec, held_out: float) -> _Video:
    """The first frames of an only file for training, its last for testing."""
    if video.frames < 2 * spec.span:
        raise UserError(
            f"{video.path} is the only usable video and has {video.frames} frames: to train on one part"
            f" and test on another takes {2 * spec.span}, or a second file"
        )
    for_test = min(max(spec.span, round(held_out * video.frames)), video.frames - spec.span)
    for_train = video.frames - for_test
    if not test:
        _log.warning("%s is the only usable video: its last %d frames are held out", video.path, for_test)
        return replace(video, frames=for_train)
    return replace(video, first=for_train, frames=for_test)


def clip_table(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(video, window) of each clip, int32 [N]: one clip of each video, then second ones, and so on.

    Args:
      counts: clips of each video.
    """
    counts = np.asarray(counts)
    video_ids = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    windows = np.arange(len(video_ids)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.lexsort((video_ids, windows))
    return video_ids[order], windows[order].astype(np.int32)


@functools.lru_cache(maxsize=1024)
def _spread(count: int) -> tuple[int, ...]:
    """0 ... count - 1 with the bits of their numbers reversed as key: any first few lie far apart."""
    return tuple(sorted(range(count), key=lambda number: f"{number:032b}"[::-1]))


def _test_start(frames: int, span: int, window: int) -> int:
    return spread_start(frames - span, frames // span, window)


def spread_start(last: int, count: int, window: int) -> int:
    """The start of test clip `window` of a video that has `count` of them: evenly over 0 ... `last`, neighbours in
    number far apart; in the middle where there is one."""
    if count == 1:
        return last // 2
    return last * _spread(count)[window % count] // (count - 1)


def _sizes(info: VideoInfo, spec: ClipSpec) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) that frames are resized to, and that of the part which is kept."""
    area = (spec.height, spec.width)
    return pixels.cover_size((info.height, info.width), area), area

"""The real clips of a protocol out of a folder, and clips that were made and stored, one a file."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.ahead import read_ahead
from magvit_jax.data.clips import is_image
from magvit_jax.data.decode import Unreadable, probe, read_frames
from magvit_jax.data.files import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, find_files
from magvit_jax.data.folder import check_files, log_skipped
from magvit_jax.data.images import read_image
from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols.protocol import Protocol

_CHUNK = 4  # clips that a thread reads before the next thread's turn


@dataclasses.dataclass(frozen=True)
class ClipSet:
    """Clips of one shape, which are read when they are iterated over.

    Attributes:
      count: how many.
      videos: out of how many files.
      readers: each gives one clip, uint8 [T, H, W, 3].
      names: of the files, below their folder, one a clip.
      warning: what about them is not as the protocol says; empty where all is.
    """

    count: int
    videos: int
    readers: Sequence[Callable[[], np.ndarray]]
    names: Sequence[str] = ()
    warning: str = ""

    def share(self, index: int, of: int) -> "ClipSet":
        """Every `of`-th clip from number `index` on: what one of several processes measures."""
        mine = self.readers[index::of]
        return dataclasses.replace(self, count=len(mine), readers=mine, names=self.names[index::of])

    def __iter__(self) -> Iterator[np.ndarray]:
        """[1, T, H, W, 3] of each clip, in order, read by threads that run ahead."""
        chunks = [self.readers[i : i + _CHUNK] for i in range(0, len(self.readers), _CHUNK)]
        makers = [functools.partial(_read_all, chunk) for chunk in chunks]
        for clip_THWC in read_ahead(makers, threads=max(1, min(8, os.cpu_count() or 1))):
            yield clip_THWC[None]


def _read_all(readers: Sequence[Callable[[], np.ndarray]]) -> Iterator[np.ndarray]:
    for read in readers:
        yield read()


@dataclasses.dataclass(frozen=True)
class _File:
    """A video, or an image as a video of one frame."""

    path: str
    frames: int
    size: tuple[int, int]


def real_clips(protocol: Protocol, path: str | os.PathLike, num: int | None = None, seed: int = 0) -> ClipSet:
    """The real set of a protocol, cut out of the videos (or, for clips of one frame, images too) of a folder.

    Files that cannot be read or are too short are left out by name. What is drawn at random hangs on `seed` and
    the clip's number only.

    Args:
      num: clips at most.

    Raises:
      UserError: no such folder, nothing usable in it, or clips of several shapes where none is prescribed.
    """
    files = _usable(protocol, path)
    if protocol.real.placement == "given":
        readers = [functools.partial(_read_whole, file, protocol) for file in files]
    else:
        readers = [functools.partial(_read, protocol, *place) for place in _places(protocol, files, seed)]
    wanted = protocol.real.clips
    warnings = []
    if protocol.real.videos not in (None, len(files)):
        names = f"{protocol.real.dataset} ({protocol.real.split})"
        warnings.append(f"{protocol.name} takes {protocol.real.videos:,} videos of {names}, here are {len(files):,}")
    readers = readers[:num]
    if wanted is not None and len(readers) < wanted:
        warnings.append(f"{protocol.name} takes {wanted:,} real clips, here are {len(readers):,}")
    return ClipSet(len(readers), len(files), readers, warning="; ".join(warnings))


def made_clips(protocol: Protocol, path: str | os.PathLike, num: int | None = None) -> ClipSet:
    """Clips that were made and stored, one a file, at the protocol's length and size.

    Files longer than the protocol's clips count with their first frames. None may be unreadable or shorter.

    Raises:
      UserError: no such folder, or a file that is no such clip.
    """
    files, skipped = _files(path)
    if skipped:
        name, reason = next(iter(skipped.items()))
        raise UserError(f"{name}: {reason}; expected a whole clip in every file")
    if short := [file for file in files if file.frames < protocol.frames]:
        raise UserError(f"{short[0].path}: {short[0].frames} frames; {protocol.name} takes {protocol.frames}")
    _require_one_shape(protocol, files)
    readers = [functools.partial(_read_whole, file, protocol) for file in files][:num]
    expected = (protocol.samples or 0) * protocol.folds * protocol.best_of
    short_of = len(readers) < expected
    warning = f"{protocol.name} takes {expected:,} made clips, here are {len(readers):,}" if short_of else ""
    names = [os.path.relpath(file.path, path) for file in files][: len(readers)]
    return ClipSet(len(readers), len(files), readers, names, warning)


def window_starts(placement: str, windows: int, frames: int, span: int) -> list[int]:
    """First frames of the windows of `span` frames in a video of `frames`, at least as many.

    "first" and "centre" are one window; "spread" are `windows` evenly from the first frame to the last; "all" is one
    at each frame, the first `windows` of them where that is not 0.
    """
    room = frames - span
    if placement == "first":
        return [0]
    if placement == "centre" or (placement == "spread" and windows == 1):
        return [room // 2]
    if placement == "spread":
        return [round(k * room / (windows - 1)) for k in range(windows)]
    if placement == "all":
        return list(range(room + 1))[: windows or None]
    raise ValueError(f"placement {placement!r} has no fixed windows")


def crop_corners(crops: str, size: tuple[int, int], area: tuple[int, int]) -> list[tuple[int, int]]:
    """Top left corners of the `area` in frames of `size`: the "centre", or "three" along the longer side."""
    centre = pixels.centre_corner(size, area)
    if crops != "three":
        return [centre]
    room = size[0] - area[0], size[1] - area[1]
    along = 0 if room[0] > room[1] else 1
    return [tuple(room[a] * k // 2 if a == along else centre[a] for a in (0, 1)) for k in range(3)]


def at_measured_size(video_BTHWC: np.ndarray, protocol: Protocol) -> np.ndarray:
    """uint8 clips at the protocol's size: the central square, then its filter, without antialiasing."""
    height, width = video_BTHWC.shape[2:4]
    if protocol.size == 0 or (height, width) == (protocol.size,) * 2:
        return video_BTHWC
    if protocol.resize == "none":
        side = protocol.size
        raise UserError(f"{protocol.name}: clips of {height}x{width} pixels; expected {side}x{side}")
    side = min(height, width)
    top, left = pixels.centre_corner((height, width), (side, side))
    square_BTHWC = video_BTHWC[:, :, top : top + side, left : left + side]
    return np.asarray(_resized(square_BTHWC, protocol.size, protocol.resize))


@functools.partial(jax.jit, static_argnames=("side", "method"))
def _resized(video_BTHWC, side: int, method: str):
    shape = (*video_BTHWC.shape[:2], side, side, 3)
    kind = {"bilinear": "linear", "bicubic": "cubic"}[method]
    x = jax.image.resize(video_BTHWC.astype(jnp.float32), shape, kind, antialias=False)
    return jnp.clip(jnp.round(x), 0, 255).astype(jnp.uint8)


def _files(path: str | os.PathLike) -> tuple[list[_File], dict[str, str]]:
    extensions = tuple(sorted({*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS}))
    good, skipped = check_files(find_files(path, extensions, "video or image"), _describe)
    return list(good.values()), skipped


def _describe(path: str) -> _File:
    if is_image(path):
        return _File(path, 1, read_image(path).shape[:2])
    info = probe(path)
    return _File(path, info.frames, (info.height, info.width))


def _usable(protocol: Protocol, path: str | os.PathLike) -> list[_File]:
    files, skipped = _files(path)
    span = _span(protocol)
    for file in files:
        if file.frames < span:
            skipped[file.path] = f"{file.frames} frames, {protocol.name} takes {span}"
    usable = [file for file in files if file.frames >= span]
    log_skipped(os.fspath(path), skipped)
    if not usable:
        name, reason = next(iter(skipped.items()))
        raise UserError(f"{path}: none of its {len(skipped)} files can be used, such as {name}: {reason}")
    if protocol.real.placement == "given":
        _require_one_shape(protocol, usable)
    return usable


def _require_one_shape(protocol: Protocol, files: Sequence[_File]) -> None:
    first = files[0]
    for file in files[1:]:
        same_length = protocol.frames > 0 or file.frames == first.frames
        same_size = protocol.size > 0 or file.size == first.size
        if not (same_length and same_size):
            found, wanted = (f"{f.frames} frames of {f.size[0]}x{f.size[1]}" for f in (file, first))
            raise UserError(f"{file.path}: {found}; expected {wanted} as {os.path.basename(first.path)} has")


def _span(protocol: Protocol) -> int:
    return max(1, (protocol.frames - 1) * protocol.stride + 1)


def _places(protocol: Protocol, files: Sequence[_File], seed: int) -> list[tuple[_File, int, tuple[int, int]]]:
    """(file, first frame, corner) of each clip."""
    real, span, area = protocol.real, _span(protocol), (protocol.made_size,) * 2
    if real.placement == "random" or real.crops == "random":
        return [_random_place(protocol, files, seed, k) for k in range(real.clips or len(files))]
    if real.clips is not None and real.windows == 1 and real.clips < len(files):
        chosen = np.random.default_rng(seed).permutation(len(files))[: real.clips]
        files = [files[k] for k in sorted(chosen)]
    return [
        (file, start, corner)
        for file in files
        for start in window_starts(real.placement, real.windows, file.frames, span)
        for corner in crop_corners(real.crops, pixels.cover_size(file.size, area), area)
    ]


def _random_place(protocol: Protocol, files: Sequence[_File], seed: int, number: int):
    """All videos in turn, in an order that is drawn anew each time round; a window and a corner anywhere."""
    turn, within = divmod(number, len(files))
    file = files[np.random.default_rng((seed, turn)).permutation(len(files))[within]]
    rng = np.random.default_rng((seed, turn, within))
    area = (protocol.made_size,) * 2
    start = int(rng.integers(file.frames - _span(protocol) + 1))
    return file, start, pixels.random_corner(rng, pixels.cover_size(file.size, area), area)


def _read(protocol: Protocol, file: _File, start: int, corner: tuple[int, int]) -> np.ndarray:
    area = (protocol.made_size,) * 2
    size = pixels.cover_size(file.size, area)
    frames = [pixels.resize(frame, size) for frame in _frames(file, start, protocol.frames, protocol.stride)]
    clip_THWC = pixels.crop(np.stack(frames), corner, area)
    return at_measured_size(clip_THWC[None], protocol)[0]


def _read_whole(file: _File, protocol: Protocol) -> np.ndarray:
    clip_THWC = np.stack(list(_frames(file, 0, protocol.frames or file.frames, protocol.stride)))
    if protocol.made_size and clip_THWC.shape[1:3] not in ((protocol.made_size,) * 2, (protocol.size,) * 2):
        found, side = f"{clip_THWC.shape[1]}x{clip_THWC.shape[2]}", protocol.made_size
        raise UserError(f"{file.path}: frames of {found} pixels; {protocol.name} takes {side}x{side}")
    return at_measured_size(clip_THWC[None], protocol)[0]


def _frames(file: _File, start: int, count: int, stride: int) -> Iterator[np.ndarray]:
    try:
        yield from [read_image(file.path)] if is_image(file.path) else read_frames(file.path, start, count, stride)
    except Unreadable as error:
        raise UserError(f"{file.path}: {error}") from error

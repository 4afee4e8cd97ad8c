"""Video files through PyAV: how many frames there are, and any run of them.

Frame k is the k-th picture in order of presentation. Containers' own frame counts and rates are often wrong,
so frames are counted by their packets, which costs reading the file once but no decoding. A damaged or
cut-off file raises Unreadable with the reason; which frames a file yields does not depend on where reading
began.
"""

import functools
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np

from magvit_jax.data.pixels import over_white

_CUT_OFF = 0.9  # of what the container promises: less than this is a truncated file


class Unreadable(Exception):
    """A file that cannot be used; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class VideoInfo:
    """Frames, displayed height and width in pixels, and frames per second of a video file."""

    frames: int
    height: int
    width: int
    rate: float


@dataclass(frozen=True)
class _Packets:
    """Times of a file's frames and keyframes, in order, and whether seeking can rely on them."""

    times: tuple[int, ...]
    key_times: tuple[int, ...]
    seekable: bool


def _open(path: str) -> av.container.InputContainer:
    try:
        if os.path.getsize(path) == 0:
            raise Unreadable("empty file (0 bytes)")
        return av.open(path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Unreadable(f"not a readable video ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """The error in a few words, without the path that FFmpeg appends."""
    return str(getattr(error, "strerror", None) or error).split("\n")[0]


def _video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream:
    if not container.streams.video:
        raise Unreadable("no video stream")
    stream = container.streams.video[0]
    stream.codec_context.thread_count = (
        1  # threads change what a damaged stream decodes to; files are read in parallel
    )
    return stream


class _Packet(NamedTuple):
    """What is kept of a packet; the data would hold the whole file in memory."""

    time: int | None
    duration: int
    key: bool
    cut: bool
    shown: bool
    end: int


def _packet(packet: av.Packet, codec: str) -> _Packet:
    # An edit list cuts some packets off, and VP8 has some that only serve as reference: neither shows a
    # frame.
    hidden = packet.is_discard or (codec == "vp8" and not bytes(packet)[0] & 0x10)
    end = (packet.pos or 0) + packet.size
    return _Packet(packet.pts, packet.duration or 0, packet.is_keyframe, packet.is_corrupt, not hidden, end)


def _read_packets(path: str) -> _Packets:
    """Reads the whole file without decoding. Raises Unreadable for a truncated one."""
    with _open(path) as container:
        stream = _video_stream(container)
        codec = stream.codec_context.name
        try:
            packets = [_packet(packet, codec) for packet in container.demux(stream) if packet.size]
        except av.error.FFmpegError as error:
            raise Unreadable(f"damaged ({_reason(error)})") from error
        if any(packet.cut for packet in packets):
            raise Unreadable("truncated: a frame's data is incomplete")
        _check_complete(container, stream, packets)
        _check_tail(path, container.format.name, packets)
        guessed_times = container.format.name == "avi" and stream.codec_context.has_b_frames  # it stores none
    shown = [packet for packet in packets if packet.shown]
    times = [packet.time for packet in shown]
    seekable = not guessed_times and None not in times and len(set(times)) == len(times)
    if not seekable:
        return _Packets(tuple(times), (), False)
    return _Packets(tuple(sorted(times)), tuple(sorted(packet.time for packet in shown if packet.key)), True)


def _check_complete(container, stream, packets: list[_Packet]) -> None:
    """Compares what is there with what the header promises: a count of frames, or else a duration."""
    if stream.frames:
        if len(packets) < _CUT_OFF * stream.frames:
            raise Unreadable(f"truncated: {len(packets)} of its {stream.frames} frames are there")
        return
    promised = _promised_seconds(container, stream)
    ends = [packet.time + packet.duration for packet in packets if packet.time is not None]
    if promised and ends:
        there = float(max(ends) * stream.time_base)
        slack = 2 / float(stream.guessed_rate or 25)
        if there + slack < _CUT_OFF * promised:
            raise Unreadable(f"truncated: {there:.1f} of its {promised:.1f} seconds are there")


def _check_tail(path: str, container_format: str, packets: list[_Packet]) -> None:
    """gif and y4m promise nothing, but a gif ends with a semicolon and a y4m with its last frame."""
    if container_format == "gif":
        with open(path, "rb") as file:
            file.seek(-min(1024, os.path.getsize(path)), os.SEEK_END)
            if not file.read().rstrip(b"\0\r\n ").endswith(b";"):
                raise Unreadable("truncated: the gif has no end mark")
    if container_format == "yuv4mpegpipe" and packets and packets[-1].end < os.path.getsize(path):
        raise Unreadable("truncated: its last frame is incomplete")


def _promised_seconds(container, stream) -> float | None:
    """The video's duration by the header; the container's may be another stream's."""
    tag = stream.metadata.get("DURATION", "").split(":")
    if len(tag) == 3:
        return int(tag[0]) * 3600 + int(tag[1]) * 60 + float(tag[2])
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / 1e6
    return None


def _decode(path: str, seek_to: int | None = None) -> Iterator[av.VideoFrame]:
    with _open(path) as container:
        stream = _video_stream(container)
        try:
            if seek_to is not None:
                container.seek(seek_to, stream=stream)
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise Unreadable("damaged: a frame cannot be decoded whole")
                yield frame
        except av.error.FFmpegError as error:
            raise Unreadable(f"damaged ({_reason(error)})") from error


def _from_frame(path: str, start: int) -> Iterator[av.VideoFrame]:
    """Frames from number `start` on, decoding from the keyframe before it where that is safe."""
    if start == 0:
        yield from _decode(path)
        return
    packets = _read_packets(path)
    if start >= len(packets.times):
        return
    if not packets.seekable:
        yield from itertools.islice(_decode(path), start, None)
        return
    target = packets.times[start]
    keys = [time for time in packets.key_times if time <= target]
    if keys and keys[-1] > packets.times[0]:
        frames = _decode(path, seek_to=keys[-1])
        first = next(frames, None)
        if first is not None and first.pts is not None and first.pts <= target:
            yield from _not_before(itertools.chain([first], frames), target)
            return
    yield from _not_before(_decode(path), target)


def _not_before(frames: Iterator[av.VideoFrame], target: int) -> Iterator[av.VideoFrame]:
    return itertools.dropwhile(lambda frame: frame.pts is None or frame.pts < target, frames)


def _rgb(frame: av.VideoFrame) -> np.ndarray:
    """The frame as uint8 [H, W, 3], upright: phones store portrait videos lying on their side."""
    if any(component.is_alpha for component in frame.format.components):
        rgb = over_white(frame.to_ndarray(format="rgba"))
    else:
        rgb = frame.to_ndarray(format="rgb24")
    return np.rot90(rgb, round(frame.rotation / 90) % 4)


def _display_size(frame: av.VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """(height, width) in square pixels, upright."""
    size = frame.height, max(1, round(frame.width * pixel_aspect))
    return size[::-1] if round(frame.rotation / 90) % 2 else size


def read_frames(path: str, start: int = 0, count: int | None = None, stride: int = 1) -> Iterator[np.ndarray]:
    """`count` frames (None: all) from number `start` on, every stride-th, as uint8 [H, W, 3].

    Pixels are as stored, only turned upright; resize them to the proportions of `probe` where pixels are not
    square.

    Raises:
      Unreadable: damaged, or ending before `count` frames.
    """
    stop = None if count is None else (count - 1) * stride + 1
    given = 0
    for frame in itertools.islice(_from_frame(path, start), 0, stop, stride):
        given += 1
        yield _rgb(frame)
    if count is not None and given < count:
        raise Unreadable(f"{given} of {count} frames can be decoded from frame {start} on")


def read_numbers(path: str, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """The frames of these numbers, which never fall, as `read_frames` gives them; one wanted twice comes twice.

    Raises:
      Unreadable: damaged, or ending before the last of them.
    """
    wanted = Counter(numbers)
    first, left = min(wanted), len(wanted)
    for number, frame in enumerate(_from_frame(path, first), first):
        if number in wanted:
            picture = _rgb(frame)
            yield from itertools.repeat(picture, wanted[number])
            left -= 1
            if not left:
                return
    raise Unreadable(f"{len(wanted) - left} of {len(wanted)} frames can be decoded from frame {first} on")


def frame_times(path: str) -> np.ndarray:
    """When each frame is shown, float64 [T] in seconds on the file's clock, which its sound shares; rising.

    Of a file whose times cannot be relied on, those of its frame rate. Raises Unreadable.
    """
    packets = _read_packets(path)
    with _open(path) as container:
        stream = _video_stream(container)
        rate, base = float(stream.guessed_rate or 25), float(stream.time_base)
    if not packets.seekable:
        return np.arange(len(packets.times)) / rate
    return np.asarray(packets.times) * base


def probe(path: str) -> VideoInfo:
    """Counts a file's frames and decodes its first. Raises Unreadable."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise Unreadable(_reason(error)) from error
    return _probe(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=100_000)
def _probe(path: str, size: int, modified: int) -> VideoInfo:
    """`size` and `modified` are there so that a file that changes is probed again."""
    packets = _read_packets(path)
    with _open(path) as container:
        stream = _video_stream(container)
        rate, pixel_aspect = float(stream.guessed_rate or 25), float(stream.sample_aspect_ratio or 1)
    frames = _decode(path)
    first = next(frames, None)
    if first is None:
        raise Unreadable("no frame can be decoded")
    height, width = _display_size(first, pixel_aspect)
    frames.close()
    return VideoInfo(len(packets.times), height, width, rate)

"""Small videos written on the fly."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for what tests run in processes of their own

CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".avi": "mpeg4", ".webm": "libvpx-vp9"}


def counting_frames(frames: int, height: int, width: int) -> np.ndarray:
    """uint8 [T, H, W, 3]: frame k is plain and 4 k bright (up to 240), which tells its number."""
    levels = (4 * np.arange(frames) % 240).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3))


@pytest.fixture(scope="session")
def write_video():
    """write(path, video_THWC, codec=None, pixels="yuv420p", rotation=0, keys=250) -> path as str."""

    def write(
        path: Path,
        video,
        codec=None,
        pixels="yuv420p",
        rotation=0,
        keys=250,
        options=None,
        stream_options=None,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec or CODECS[path.suffix], rate=25, options=stream_options or {})
            stream.height, stream.width, stream.pix_fmt, stream.gop_size = *video.shape[1:3], pixels, keys
            if rotation:
                stream.set_display_rotation(rotation)
            for frame in video:
                container.mux(
                    stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
                )
            container.mux(stream.encode(None))
        return str(path)

    return write


@pytest.fixture(scope="session")
def write_counting(write_video):
    """write(path, frames, height=48, width=64, **kwargs): frame k is plain and 4 k bright."""
    return lambda path, frames, height=48, width=64, **kwargs: write_video(
        path, counting_frames(frames, height, width), **kwargs
    )


@pytest.fixture(scope="session")
def frame_numbers():
    """Reads the numbers back off a clip of counting frames."""
    return lambda video: [round(float(frame.mean()) / 4) for frame in video]

"""Video files: write mp4, gif, png; read back whatever was written."""

import contextlib
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import UnidentifiedImageError

from magvit_jax.errors import UserError
from magvit_jax.media import animation
from magvit_jax.media.atomic import replacing, write_bytes
from magvit_jax.media.pixels import check_fps, check_video, upscale
from magvit_jax.media.sound_io import SoundTrack

_BT601 = 5  # ffmpeg's AVCOL_SPC_BT470BG: the matrix swscale uses for RGB -> YUV unless told otherwise
_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG
_PILLOW_SUFFIXES = (".gif", ".webp", ".png", ".jpg", ".jpeg")


def write_mp4(
    path: str | os.PathLike,
    video_THWC: np.ndarray,
    fps: float = 8.0,
    scale: int = 1,
    crf: int = 12,
    *,
    audio_S: np.ndarray | None = None,
    sample_rate: int | None = None,
) -> Path:
    """Writes an H.264 mp4 (yuv420p, so every player shows it), whole or not at all.

    Odd sizes are padded to even ones by repeating the last row or column: yuv420p has one colour for 2x2
    pixels.

    Args:
        path: where to; missing folders are made.
        video_THWC: uint8 [T, H, W, 3].
        fps: frames a second.
        scale: whole factor by which every pixel is enlarged (nearest neighbour); an even one gives every
            pixel a colour of its own.
        crf: x264's constant rate factor, 0 (lossless in YUV) to 51; 12 is visually lossless.
        audio_S: its sound, float [S] in [-1, 1], as AAC in the same file; it may be shorter or longer.
        sample_rate: of the sound in Hz, with it.

    Returns:
        The path.
    """
    with mp4_writer(path, fps, scale, crf, sample_rate) as write:
        write(video_THWC, audio_S)
    return Path(path)


@contextlib.contextmanager
def mp4_writer(
    path: str | os.PathLike, fps: float = 8.0, scale: int = 1, crf: int = 12, sample_rate: int | None = None
) -> Iterator[Callable[..., None]]:
    """`write_mp4` for a video that comes in parts: yields a function that takes uint8 [T, H, W, 3], again and again.

    With a `sample_rate` the file has a sound track, and the function takes the samples that go with the frames as well.

    The file is there when the block ends; a block that ends with an error, or without a frame, leaves none, and what
    was at `path` before stays.

    Raises:
        ValueError: a part of another size than the first, no frame at all, or sound without a sample rate.
    """
    rate = Fraction(check_fps(fps)).limit_denominator(1001)
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container,
    ):
        stream = track = None

        def write(video_THWC: np.ndarray, audio_S: np.ndarray | None = None) -> None:
            nonlocal stream, track
            if audio_S is not None and sample_rate is None:
                raise ValueError(f"{path}: expected a sample rate with the sound")
            video_THWC = _even(upscale(check_video(video_THWC), scale))
            size = video_THWC.shape[1:3]
            if stream is None:
                stream = _h264(container, rate, size, crf)
                track = None if sample_rate is None else SoundTrack(container, sample_rate)
            if size != (stream.height, stream.width):
                raise ValueError(
                    f"expected frames of {stream.height}x{stream.width}, got {size[0]}x{size[1]}"
                )
            for frame_HWC in video_THWC:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
            if audio_S is not None:
                track.write(audio_S)

        yield write
        if stream is None:
            raise ValueError(f"{path}: no frame was written")
        container.mux(stream.encode(None))
        if track is not None:
            track.finish()


def _h264(container: av.container.OutputContainer, rate: Fraction, size: tuple[int, int], crf: int):
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "medium"})
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.colorspace = _BT601
    stream.codec_context.color_range = _LIMITED_RANGE
    return stream


def _even(video_THWC: np.ndarray) -> np.ndarray:
    height, width = video_THWC.shape[1:3]
    return np.pad(video_THWC, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def write_gif(path: str | os.PathLike, video_THWC: np.ndarray, fps: float = 8.0, scale: int = 1) -> Path:
    """Writes an endlessly looping GIF, whole or not at all; see `animation.gif_bytes` for palette and timing.

    Args:
        path: where to; missing folders are made.
        video_THWC: uint8 [T, H, W, 3].
        fps: frames a second; above 50, which GIF cannot show, frames are dropped so that the speed stays.
        scale: whole factor by which every pixel is enlarged (nearest neighbour).
    """
    return write_bytes(path, animation.gif_bytes(video_THWC, fps, scale))


def write_png(path: str | os.PathLike, image_HWC: np.ndarray, scale: int = 1) -> Path:
    """Writes uint8 [H, W, 3] or [H, W, 4] as PNG, whole or not at all, every pixel enlarged `scale` times."""
    return write_bytes(path, animation.png_bytes(image_HWC, scale))


def read_video(path: str | os.PathLike) -> np.ndarray:
    """Every frame of a video, GIF, WebP or picture as uint8 [T, H, W, 3], at the size stored in the file.

    Meant for short clips that this package wrote; `magvit_jax.data` reads folders of other people's videos.

    Raises:
        UserError: the file is missing, or not readable as video.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a video")
    try:
        if path.suffix.lower() in _PILLOW_SUFFIXES:
            return animation.read_animation(path.read_bytes())
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, UnidentifiedImageError, IndexError) as error:
        raise UserError(f"{path}: not a readable video ({error})") from error
    if not frames:
        raise UserError(f"{path}: holds no video frames")
    return np.stack(frames)

"""Clips and pictures as bytes: animated GIF, animated WebP, PNG (all through Pillow)."""

import io
import math

import numpy as np
from PIL import Image

from magvit_jax.media.pixels import check_fps, check_image, check_video, colour, upscale

_GIF_COLOURS = 256
_GIF_SHORTEST = 2  # hundredths of a second; browsers slow down anything shorter to 10


def frame_durations(frames: int, fps: float, unit: float) -> list[int]:
    """How long each frame stays, in whole units of `unit` seconds, so that no rounding error piles up.

    The sum over the clip is `frames / fps` to half a unit: 8 fps in hundredths is 13, 12, 13, 12, ...
    """
    ends = [math.floor(i / (check_fps(fps) * unit) + 0.5) for i in range(frames + 1)]
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]


def gif_bytes(video_THWC: np.ndarray, fps: float, scale: int = 1) -> bytes:
    """An endlessly looping GIF.

    Every frame brings its own palette, by median cut without dithering, so a clip is not held to 256 colours.
    A GIF cannot show more than 50 frames a second: faster clips lose frames, not speed.

    Args:
        video_THWC: uint8 [T, H, W, 3].
        fps: frames a second of the clip.
        scale: whole factor by which every pixel is enlarged.
    """
    video_THWC = check_video(video_THWC)
    every = max(1, math.ceil(check_fps(fps) * _GIF_SHORTEST / 100 - 1e-9))
    video_THWC, fps = video_THWC[::every], fps / every
    durations = frame_durations(len(video_THWC), fps, unit=0.01)
    frames = [_quantized(frame, scale) for frame in video_THWC]
    return _save(frames, "GIF", duration=[10 * d for d in durations], loop=0, optimize=False, disposal=1)


def _quantized(frame_HWC: np.ndarray, scale: int) -> Image.Image:
    # Quantized before it is enlarged: the palette is the same and the search shorter.
    small = Image.fromarray(frame_HWC).quantize(
        _GIF_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    return small.resize((small.width * scale, small.height * scale), Image.Resampling.NEAREST)


def webp_bytes(video_THWC: np.ndarray, fps: float, lossless: bool = True, quality: int = 85) -> bytes:
    """An endlessly looping animated WebP: every browser of today plays it in an `<img>`.

    Args:
        video_THWC: uint8 [T, H, W, 3], or [T, H, W, 4] with alpha.
        fps: frames a second; each frame's time is rounded to a millisecond without drift.
        lossless: pixel-exact; right for small clips.
        quality: 0..100, of the lossy encoding.
    """
    frames = [Image.fromarray(check_image(frame)) for frame in video_THWC]
    return _save(
        frames,
        "WEBP",
        duration=frame_durations(len(frames), fps, unit=0.001),
        loop=0,
        lossless=lossless,
        quality=60 if lossless else quality,  # when lossless, quality is effort
        method=4,
    )


def png_bytes(image_HWC: np.ndarray, scale: int = 1) -> bytes:
    """A PNG of uint8 [H, W, 3] or [H, W, 4], every pixel enlarged by the whole factor `scale`."""
    buffer = io.BytesIO()
    Image.fromarray(upscale(check_image(image_HWC), scale)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def read_animation(data: bytes) -> np.ndarray:
    """All frames of a GIF, WebP or PNG as uint8 [T, H, W, 3]; transparent pixels are put on white."""
    frames = []
    with Image.open(io.BytesIO(data)) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(_on_white(np.asarray(image.convert("RGBA"))))
    return np.stack(frames)


def _on_white(image_HWC: np.ndarray) -> np.ndarray:
    alpha_HW1 = image_HWC[..., 3:].astype(np.float32) / 255
    mixed = image_HWC[..., :3] * alpha_HW1 + colour("#ffffff") * (1 - alpha_HW1)
    return np.rint(mixed).astype(np.uint8)


def _save(frames: list[Image.Image], image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(buffer, image_format, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()

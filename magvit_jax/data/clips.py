"""One clip out of one named file, for commands that take a file."""

import dataclasses
import os

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.decode import Unreadable, probe, read_frames
from magvit_jax.data.files import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from magvit_jax.data.images import read_image
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError


def load_clip(
    path: str | os.PathLike, spec: ClipSpec, whole: bool = False, least: int | None = None
) -> np.ndarray:
    """Reads a video or image file, resized to cover the spec's size and cropped in the centre.

    Args:
      path: a video file, or an image file (a video of one frame).
      spec: size, stride and, unless `whole`, how many frames are taken from the start of the file.
      whole: take every stride-th frame to the end instead, at least one; an image has to be asked for
        frames=1 either way.
      least: frames that are enough where the file does not have as many as the spec says; by default none fewer.

    Returns:
      uint8 [T, H, W, 3].

    Raises:
      UserError: the file is missing, unreadable or damaged, or has fewer frames than needed.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist: expected a video or image file")
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder: expected a video or image file")
    try:
        frames = _image(path, spec, least) if is_image(path) else _video(path, spec, whole, least)
    except Unreadable as error:
        raise UserError(f"{path}: {error}") from error
    return np.ascontiguousarray(frames)


def is_image(path: str) -> bool:
    """Whether the file's name says that it is an image; a gif counts as a video."""
    extension = os.path.splitext(path)[1].lower()
    return extension in IMAGE_EXTENSIONS and extension not in VIDEO_EXTENSIONS


def frame_rate(path: str | os.PathLike) -> float:
    """Frames per second of a video file, by its packets where the container is vague; 1 for an image."""
    path = os.fspath(path)
    if is_image(path):
        return 1.0
    try:
        return probe(path).rate
    except Unreadable as error:
        raise UserError(f"{path}: {error}") from error


def _image(path: str, spec: ClipSpec, least: int | None) -> np.ndarray:
    image = read_image(path)
    _check_length(path, 1, spec, least)
    return fit(image, image.shape[:2], (spec.height, spec.width))[None]


def _video(path: str, spec: ClipSpec, whole: bool, least: int | None) -> np.ndarray:
    info = probe(path)
    count = None
    if not whole:
        _check_length(path, info.frames, spec, least)
        count = min(spec.frames, -(-info.frames // spec.stride))
    frames = read_frames(path, 0, count, spec.stride)
    area = (spec.height, spec.width)
    return np.stack([fit(frame, (info.height, info.width), area) for frame in frames])


def _check_length(path: str, frames: int, spec: ClipSpec, least: int | None) -> None:
    spec = spec if least is None else dataclasses.replace(spec, frames=least)
    if frames < spec.span:
        has = "1 frame" if frames == 1 else f"{frames} frames"
        raise UserError(f"{path} has {has}, a clip needs {spec.span} ({spec.frames} at stride {spec.stride})")


def fit(frame: np.ndarray, display_size: tuple[int, int], area: tuple[int, int]) -> np.ndarray:
    """A frame whose proportions are those of `display_size`, resized to cover the area and cropped in the centre."""
    size = pixels.cover_size(display_size, area)
    return pixels.crop(pixels.resize(frame, size)[None], pixels.centre_corner(size, area), area)[0]

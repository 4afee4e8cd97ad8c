"""The frames of one named file, one at a time: for videos that do not fit into memory."""

import os
from collections.abc import Iterator

import numpy as np

from magvit_jax.data import pixels
from magvit_jax.data.clips import fit, is_image
from magvit_jax.data.decode import Unreadable, probe, read_frames
from magvit_jax.data.images import read_image
from magvit_jax.errors import UserError


class FrameStream:
    """Iterates over the frames of a video or image file, uint8 [H, W, 3], upright and with square pixels.

    Each iteration reads the file anew; one frame is held at a time.

    Attributes:
      path: the file.
      frames: how many there are, by the file's packets: a few more or fewer may be decoded.
      height, width: of every frame.
      rate: frames per second; 1 for an image.
      image: whether it is an image, a video of one frame.
    """

    def __init__(self, path: str | os.PathLike, size: tuple[int, int] | None = None, stride: int = 1):
        """Opens the file and counts its frames.

        Args:
          path: a video file, or an image file.
          size: (height, width) that frames are resized to cover, and cropped to in the centre; the file's own by
            default.
          stride: every stride-th frame is taken.

        Raises:
          UserError: the file is missing or unreadable, or a size or stride below 1.
        """
        self.path, self._stride = os.fspath(path), stride
        for name, value in zip(("stride", "height", "width"), (stride, *(size or (1, 1))), strict=True):
            if value < 1:
                raise UserError(f"{name} is {value}: expected 1 or more")
        if not os.path.exists(self.path):
            raise UserError(f"{self.path} does not exist: expected a video or image file")
        if os.path.isdir(self.path):
            raise UserError(f"{self.path} is a folder: expected a video or image file")
        self.image = is_image(self.path)
        try:
            frames, self.rate, self._display_size = self._describe()
        except Unreadable as error:
            raise UserError(f"{self.path}: {error}") from error
        self.frames = -(-frames // stride)
        self._size = size
        self.height, self.width = size or self._display_size

    def __iter__(self) -> Iterator[np.ndarray]:
        """Raises UserError where the file turns out to be damaged."""
        try:
            frames = [read_image(self.path)] if self.image else read_frames(self.path, stride=self._stride)
            for frame_HWC in frames:
                if self._size is None:
                    yield pixels.resize(frame_HWC, self._display_size)
                else:
                    yield fit(frame_HWC, self._display_size, self._size)
        except Unreadable as error:
            raise UserError(f"{self.path}: {error}") from error

    def _describe(self) -> tuple[int, float, tuple[int, int]]:
        if self.image:
            return 1, 1.0, read_image(self.path).shape[:2]
        info = probe(self.path)
        return info.frames, info.rate / self._stride, (info.height, info.width)

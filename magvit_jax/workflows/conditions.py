"""What generated clips are conditioned on, read from files: the clips, and a user's own mask over them."""

import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from magvit_jax import data
from magvit_jax.data.decode import Unreadable
from magvit_jax.errors import UserError
from magvit_jax.generation.generator import Generator
from magvit_jax.generation.pixels import USER_MASK
from magvit_jax.tokens.user_mask import from_box
from magvit_jax.workflows.footage import Say, read_frames
from magvit_jax.workflows.inputs import each_file

WHITE = 128  # a mask's pixels from here on are white


@dataclasses.dataclass(frozen=True)
class UserMask:
    """A user's own mask, from a file or as a box.

    Attributes:
      file: a video or image, white where a pixel is given; an image holds for every frame. Its size is the
        clip's, or that of the video it belongs to; then it is resized and cropped as the video is.
      box: (top, left, bottom, right) as shares of the clip's height and width, 0 to 1, for every frame.
      given: "inside" the box or the white of the mask, or "outside" of it.
    """

    file: Path | None = None
    box: tuple[float, ...] | None = None
    given: str = "inside"

    def __post_init__(self):
        if (self.file is None) == (self.box is None):
            raise UserError("a mask is a file or a box; expected one of --mask and --box")
        if self.given not in ("inside", "outside"):
            raise UserError(f"given: {self.given!r}; expected 'inside' or 'outside'")
        if self.box is not None:
            _check_box(self.box)

    def of(
        self, video: data.FrameStream, clip: data.ClipSpec, *, fps: float | None = None, say: Say = print
    ) -> np.ndarray:
        """The pixels that are given of the video's clip, bool [T, H, W].

        Args:
          fps: frames a second at which the clip is taken from a file, and the mask's with it; None where it is every
            `clip.stride`-th frame. A mask of as many frames as the clip has one for each either way.
          say: gets a line for what is converted.
        """
        if self.box is not None:
            sides = (clip.height, clip.width) * 2
            corners = [round(share * side) for share, side in zip(self.box, sides, strict=True)]
            return from_box(corners, (clip.frames, clip.height, clip.width), self.given == "inside")
        given_THW = _read_mask(self.file, video, clip, fps, say) == (self.given == "inside")
        if given_THW.all() or not given_THW.any():
            what = "all pixels are" if given_THW.all() else "no pixel is"
            raise UserError(
                f"{self.file}: {what} given; expected some given ({self.given} its white), some missing"
            )
        return given_THW


@dataclasses.dataclass(frozen=True)
class Condition:
    """A clip out of one file, and what is given of it.

    Attributes:
      path: the file.
      video_THWC: uint8, of the model's size; it may end before the model's clip does.
      rate: frames per second.
      given_THW: bool, of the model's clip: the pixels that are given.
    """

    path: Path
    video_THWC: np.ndarray
    rate: float
    given_THW: np.ndarray

    @property
    def filled_THWC(self) -> np.ndarray:
        """As long as the model's clip, the last frame repeated where the video has ended: nothing there is
        given."""
        missing = len(self.given_THW) - len(self.video_THWC)
        return np.pad(self.video_THWC, ((0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")


def read_conditions(
    generator: Generator,
    task: str,
    source: str | os.PathLike | None,
    num: int,
    mask: UserMask | None = None,
    say: Callable[[str], None] = print,
) -> list[Condition]:
    """`num` clips for a task, from a video or image file, or from the readable files of a folder in turn.

    A file may be longer or shorter than the model's clip: the frames up to the last one of which anything is
    given have to be there.

    Args:
      task: one of the generator's, or "mask".
      mask: what is given, for task "mask".
      say: gets a line for each file that is skipped.

    Returns:
      None at all for a task that is given no pixels.

    Raises:
      UserError: the file is bad, too short, or its mask does not fit it; of a folder, all of them. Or a mask
        or a source is missing or not wanted.
    """
    if (mask is not None) != (task == USER_MASK):
        raise UserError(
            f"task {task!r}: a mask (--mask or --box) goes with task {USER_MASK!r}, and only with it"
        )
    clip, own_THW = generator.clip, None
    if mask is None:
        generator.vocabulary.prompt_id(task)  # an unknown task is said before any file is read
        own_THW = generator.mixture.tasks[generator.tasks.index(task)].given(clip.shape)
        if not own_THW.any():
            if source is not None:
                raise UserError(f"task {task!r} is given no pixels; expected no --input")
            return []
    if source is None:
        raise UserError(f"task {task!r} is conditioned on a video or image; expected --input=FILE or FOLDER")
    spec = data.ClipSpec(frames=clip.frames, height=clip.height, width=clip.width, stride=clip.stride)

    def read(path: Path) -> Condition:
        video = data.FrameStream(path, stride=clip.stride)
        given_THW = own_THW if mask is None else mask.of(video, spec)
        needed = int(np.flatnonzero(given_THW.any(axis=(1, 2)))[-1]) + 1
        return Condition(path, data.load_clip(path, spec, least=needed), video.rate, given_THW)

    found = list(itertools.islice(each_file(source, read, say), num))
    return [found[i % len(found)] for i in range(num)]


def _read_mask(
    path: Path, video: data.FrameStream, clip: data.ClipSpec, fps: float | None, say: Say
) -> np.ndarray:
    """Where a mask file is white in each frame of the clip, bool [T, H, W]."""
    area, stride = (clip.height, clip.width), clip.stride
    own = data.FrameStream(path)
    size = own.height, own.width
    if size not in (area, (video.height, video.width)):
        raise UserError(
            f"{path}: mask of {size[0]}x{size[1]}; expected {video.height}x{video.width} as {video.path}, "
            f"or the model's {area[0]}x{area[1]}"
        )
    if own.frames in (1, clip.frames):
        stride = 1  # one frame for all, or one for each frame of the clip
    elif fps is not None:
        return _white(_frames_at(path, clip, fps, say))
    frames = list(itertools.islice(data.FrameStream(path, area, stride), clip.frames))
    if len(frames) not in (1, clip.frames):
        raise UserError(
            f"{path}: mask of {len(frames)} frames (at stride {stride}); expected 1 or {clip.frames}"
        )
    return np.broadcast_to(_white(np.stack(frames)), (clip.frames, *area))


def _white(mask_THWC: np.ndarray) -> np.ndarray:
    return mask_THWC.mean(axis=-1) >= WHITE


def _frames_at(path: Path, clip: data.ClipSpec, fps: float, say: Say) -> np.ndarray:
    try:
        return read_frames(path, clip.frames, (clip.height, clip.width), fps, say)
    except Unreadable as error:
        raise UserError(f"{path}: {error}") from error


def _check_box(box: tuple[float, ...]) -> None:
    ordered = len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1
    if not ordered:
        raise UserError(
            f"box {','.join(f'{share:g}' for share in box)}: expected top,left,bottom,right as shares of the clip, "
            "such as 0.25,0.25,0.75,0.75"
        )

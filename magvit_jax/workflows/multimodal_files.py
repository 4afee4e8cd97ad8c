"""What the tasks of a multimodal generator are given, read from files: videos, sounds, flow, depth and masks."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from magvit_jax import data
from magvit_jax.data.files import VIDEO_EXTENSIONS
from magvit_jax.data.sound_folder import SOUND_EXTENSIONS
from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import MultimodalGenerator
from magvit_jax.generation.multimodal_chain import FROM_BEFORE, makes
from magvit_jax.tokens.videopoet import Layout
from magvit_jax.workflows.conditions import UserMask
from magvit_jax.workflows.footage import Footage, Say, Wanted, read_beginning, read_footage
from magvit_jax.workflows.inputs import each_file


@dataclasses.dataclass(frozen=True)
class Files:
    """What a user names.

    Attributes:
        video: a video or image file, or a folder of them, which are taken in turn.
        audio: a sound file, or a video whose sound is meant, or a folder of them; by default that of `video`.
        flow, depth: video files.
        mask: what is given of `video`.
    """

    video: Path | None = None
    audio: Path | None = None
    flow: Path | None = None
    depth: Path | None = None
    mask: UserMask | None = None


NO_FILES = Files()


def read_files(
    generator: MultimodalGenerator, layouts: Sequence[Layout], files: Files, num: int, say: Say
) -> dict[str, np.ndarray | None]:
    """Arrays for `MultimodalGenerator.chain` of these tasks, by argument; None for what no task takes.

    Args:
        layouts: of the tasks, in their order; what a task makes need not be given to those after it.
        num: videos at most.

    Raises:
        UserError: a file is missing, not wanted, or does not fit.
    """
    frames, samples = _sizes(generator, layouts)
    values: dict[str, np.ndarray | None] = dict.fromkeys(("video", "audio", "flow", "depth", "mask"))
    _require_wanted(layouts, files, {*frames, *samples})
    # A file that is wanted for its sound alone need not be a video.
    heard = files.audio or (None if "video" in frames else files.video)
    if "video" in frames and files.video is not None:
        wanted = _wanted(generator, frames["video"], samples.get("audio", 0) if heard is None else 0)
        found = list(itertools.islice(each_file(files.video, lambda path: read_footage(path, wanted, say), say), num))
        values["video"] = np.stack([footage.video_THWC for footage in found])
        if wanted.samples:
            values["audio"] = np.stack([footage.audio_S for footage in found])
        if files.mask is not None:
            values["mask"] = np.stack([_mask(generator, files.mask, footage, say) for footage in found])
    if "audio" in samples and heard is not None:
        read = lambda path: read_beginning(path, samples["audio"], generator.sample_rate, say)  # noqa: E731
        sounds = each_file(heard, read, say, (*VIDEO_EXTENSIONS, *SOUND_EXTENSIONS), "sound or video")
        values["audio"] = np.stack(list(itertools.islice(sounds, num)))
    for name in ("flow", "depth"):
        path = getattr(files, name)
        if name in frames and path is not None:
            values[name] = read_footage(path, _wanted(generator, frames[name], 0), say).video_THWC[None]
    return values


def _sizes(
    generator: MultimodalGenerator, layouts: Sequence[Layout]
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Frames of each visual argument, and samples of sound, that users have to give."""
    frames: dict[str, int] = {}
    samples: dict[str, int] = {}
    made: set[str] = set()
    for own in layouts:
        for part in own.task.inputs:
            name = "video" if part.source == "masked" else part.source
            if name in made:
                continue
            if part.kind == "audio":
                samples[name] = max(samples.get(name, 0), generator.reader.samples_of(own, part))
            else:
                frames[name] = max(frames.get(name, 0), generator.reader.frames_of(own, part))
        made |= makes(own.task.name) & set(FROM_BEFORE)
    return frames, samples


def _require_wanted(layouts: Sequence[Layout], files: Files, wanted: set[str]) -> None:
    tasks = ", ".join(own.task.name for own in layouts)
    takes = {"video": wanted & {"video", "audio"}, "audio": wanted & {"audio"}, "flow": wanted & {"flow"}}
    takes |= {"depth": wanted & {"depth"}, "mask": {own.task.name for own in layouts} & {"inpainting", "outpainting"}}
    flags = {"video": "--input", "audio": "--audio", "flow": "--flow", "depth": "--depth", "mask": "--mask or --box"}
    for name, uses in takes.items():
        if getattr(files, name) is not None and not uses:
            raise UserError(f"task {tasks} has no use for {flags[name]}; expected none")
    for name in sorted(wanted):
        if getattr(files, name) is None and not (name == "audio" and files.video is not None):
            raise UserError(f"task {tasks} needs {flags[name]}: a file with its {name}")


def _wanted(generator: MultimodalGenerator, frames: int, samples: int) -> Wanted:
    _, height, width = generator.clip.grid.pixel_shape
    return Wanted(frames, height, width, generator.fps, samples, generator.sample_rate or 0)


def _mask(generator: MultimodalGenerator, mask: UserMask, footage: Footage, say: Say) -> np.ndarray:
    frames, height, width = generator.clip.grid.pixel_shape
    clip = data.ClipSpec(frames=frames, height=height, width=width, stride=1)
    return mask.of(data.FrameStream(footage.path), clip, fps=generator.fps, say=say)

"""Files as models of video and sound take them: the beginning of one, at the model's rates, its sound in sync."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from magvit_jax.data.clips import fit, is_image
from magvit_jax.data.decode import Unreadable, frame_times, probe, read_numbers
from magvit_jax.data.images import read_image
from magvit_jax.data.sound import read_sound
from magvit_jax.data.sound_track import probe_track, read_track, window
from magvit_jax.data.timeline import Timeline
from magvit_jax.errors import UserError

TOLERANCE = 0.25  # seconds that a sound may be shorter than what is asked of it: silence is put there, and said
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Footage:
    """The beginning of a file.

    Attributes:
        path: the file.
        video_THWC: uint8.
        audio_S: float32, its sound from the first frame on; None where it was not asked for.
    """

    path: Path
    video_THWC: np.ndarray
    audio_S: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is read of a file.

    Attributes:
        frames, height, width, fps: of the video; a file of another rate is converted, and that is said.
        samples, sample_rate: of its sound; 0 for none.
    """

    frames: int
    height: int
    width: int
    fps: float
    samples: int
    sample_rate: int


def read_footage(path: Path, wanted: Wanted, say: Say) -> Footage:
    """The beginning of a video, or an image as a video of one frame, resized and cropped in the centre.

    Args:
        say: gets a line for what is converted or filled with silence.

    Raises:
        UserError: no such file, one that is damaged or too short, or without a sound that is asked for.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a video or an image")
    try:
        return _image(path, wanted) if is_image(str(path)) else _video(path, wanted, say)
    except Unreadable as error:
        raise UserError(f"{path}: {error}") from error


def read_beginning(path: Path, samples: int, sample_rate: int, say: Say) -> np.ndarray:
    """The first samples of a sound file, or of a video's sound: float32 [samples].

    Raises:
        UserError: no such file, one without sound, or one that is shorter by more than `TOLERANCE`.
    """
    sound = read_sound(path, sample_rate)
    if sound.note:
        say(f"{path}: {sound.note}")
    return _filled(path, sound.audio_S, samples, sample_rate, say)


def _image(path: Path, wanted: Wanted) -> Footage:
    image_HWC = read_image(str(path))
    if wanted.frames > 1:
        raise Unreadable(f"an image; expected a video of {wanted.frames} frames at {wanted.fps:g} a second")
    if wanted.samples:
        raise Unreadable("an image has no sound; expected a video with a sound track")
    fitted_HWC = fit(image_HWC, image_HWC.shape[:2], (wanted.height, wanted.width))
    return Footage(path, np.ascontiguousarray(fitted_HWC)[None], None)


def _video(path: Path, wanted: Wanted, say: Say) -> Footage:
    info = probe(str(path))
    timeline = Timeline(frame_times(str(path)), info.rate)
    if timeline.seconds <= (wanted.frames - 1) / wanted.fps:
        raise Unreadable(
            f"{timeline.seconds:.2f} s; expected {wanted.frames} frames at {wanted.fps:g} a second, "
            f"{wanted.frames / wanted.fps:.2f} s"
        )
    if wanted.frames > 1 and abs(info.rate - wanted.fps) > 1e-3:
        say(f"{path}: {info.rate:g} frames a second are taken at {wanted.fps:g}, the nearest frame each")
    numbers_T = timeline.numbers(0, wanted.frames, wanted.fps)
    area = (wanted.height, wanted.width)
    frames = [fit(frame, (info.height, info.width), area) for frame in read_numbers(str(path), numbers_T.tolist())]
    audio_S = _track(path, timeline, wanted, say) if wanted.samples else None
    return Footage(path, np.ascontiguousarray(np.stack(frames)), audio_S)


def _track(path: Path, timeline: Timeline, wanted: Wanted, say: Say) -> np.ndarray:
    track = probe_track(str(path))
    if track is None:
        raise Unreadable("has no sound track; expected a video with sound, or a sound of its own")
    if track.rate != wanted.sample_rate:
        say(f"{path}: sound of {track.rate} Hz is resampled to {wanted.sample_rate} Hz")
    if track.channels > 1:
        say(f"{path}: {track.channels} channels averaged")
    audio_S = read_track(str(path), timeline, wanted.sample_rate, TOLERANCE)
    return _filled(path, audio_S, wanted.samples, wanted.sample_rate, say)


def _filled(path: Path, audio_S: np.ndarray, samples: int, sample_rate: int, say: Say) -> np.ndarray:
    missing = (samples - audio_S.size) / sample_rate
    if missing > TOLERANCE:
        raise UserError(
            f"{path}: sound of {audio_S.size / sample_rate:.2f} s; expected {samples / sample_rate:.2f} s, or at most "
            f"{TOLERANCE:g} s less"
        )
    if missing > 0:
        say(f"{path}: the last {missing:.3f} s are silence, its sound is as much too short")
    return window(audio_S, 0, samples)

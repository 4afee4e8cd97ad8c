"""Files as models of video and sound take them: the beginning of one, at the model's rates, its sound in sync."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from magvit_jax.data.clips import fit, is_image
from magvit_jax.data.decode import Unreadable, frame_times, probe, read_numbers
from magvit_jax.data.files import VIDEO_EXTENSIONS
from magvit_jax.data.images import read_image
from magvit_jax.data.sound import Sound, read_sound
from magvit_jax.data.sound_track import probe_track, require_covered, window
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
    """The first samples of a sound file, or of a video's sound from its first frame on: float32 [samples].

    Raises:
        UserError: no such file, one without sound, or one that is shorter by more than `TOLERANCE`, or begins so much
            after the first frame of its video.
    """
    sound = read_sound(path, sample_rate)
    if sound.note:
        say(f"{path}: {sound.note}")
    return _filled(path, _from_first_frame(path, sound, say), samples, sample_rate, say)


def read_frames(path: Path, frames: int, area: tuple[int, int], fps: float, say: Say) -> np.ndarray:
    """The first `frames` frames of a video at `fps` a second, resized and cropped to `area`: uint8 [T, H, W, 3].

    Raises Unreadable.
    """
    info = probe(str(path))
    timeline = Timeline(frame_times(str(path)), info.rate)
    if timeline.seconds <= (frames - 1) / fps:
        raise Unreadable(
            f"{timeline.seconds:.2f} s; expected {frames} frames at {fps:g} a second, {frames / fps:.2f} s"
        )
    if frames > 1 and abs(info.rate - fps) > 1e-3:
        say(f"{path}: {info.rate:g} frames a second are taken at {fps:g}, the nearest frame each")
    numbers_T = timeline.numbers(0, frames, fps)
    fitted = [fit(frame, (info.height, info.width), area) for frame in read_numbers(str(path), numbers_T.tolist())]
    return np.ascontiguousarray(np.stack(fitted))


def _image(path: Path, wanted: Wanted) -> Footage:
    image_HWC = read_image(str(path))
    if wanted.frames > 1:
        raise Unreadable(f"an image; expected a video of {wanted.frames} frames at {wanted.fps:g} a second")
    if wanted.samples:
        raise Unreadable("an image has no sound; expected a video with a sound track")
    fitted_HWC = fit(image_HWC, image_HWC.shape[:2], (wanted.height, wanted.width))
    return Footage(path, np.ascontiguousarray(fitted_HWC)[None], None)


def _video(path: Path, wanted: Wanted, say: Say) -> Footage:
    video_THWC = read_frames(path, wanted.frames, (wanted.height, wanted.width), wanted.fps, say)
    audio_S = _track(path, wanted, say) if wanted.samples else None
    return Footage(path, video_THWC, audio_S)


def _track(path: Path, wanted: Wanted, say: Say) -> np.ndarray:
    track = probe_track(str(path))
    if track is None:
        raise Unreadable("has no sound track; expected a video with sound, or a sound of its own")
    timeline = Timeline(frame_times(str(path)), probe(str(path)).rate)
    require_covered(track.start, track.end, timeline, TOLERANCE)
    return read_beginning(path, wanted.samples, wanted.sample_rate, say)


def _from_first_frame(path: Path, sound: Sound, say: Say) -> np.ndarray:
    """A video's sound from its first frame on, silence where it begins later; other sounds as they are."""
    try:
        first = frame_times(str(path))[0] if path.suffix.lower() in VIDEO_EXTENSIONS else sound.start
    except Unreadable:  # a sound alone in a file of video
        first = sound.start
    late = sound.start - float(first)
    if late > TOLERANCE:
        raise UserError(
            f"{path}: its sound begins {late:.2f} s after its first frame; expected at most {TOLERANCE:g} s"
        )
    skipped = -round(late * sound.sample_rate)
    if skipped < 0:
        say(f"{path}: the first {late:.3f} s are silence, its sound begins as much after its first frame")
    return window(sound.audio_S, skipped, sound.audio_S.size - skipped)


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

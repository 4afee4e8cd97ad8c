"""A folder of videos with their sound, their texts, and the videos of optical flow and depth that go with them.

Labels, and the train and test side, are as of `video_folder`. A clip begins with a frame of its file; its other frames
are the nearest to their times at the asked rate, and its sound begins when its first frame is shown, by the file's
own clock. What is converted is said once.

Files are skipped, by name, that are damaged, too short for a clip, or without a wanted flow or depth of as many
frames (one less is taken too, as flow lies between frames: its last is repeated). With `sound` "required" so are files
without a sound track, or with one that leaves more of the video without sound than the tolerance; with "optional" their
clips have `has_audio` False, and they are named. A smaller gap is filled with silence.
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.data import captions as texts
from magvit_jax.data import pixels
from magvit_jax.data.cache import FrameCache
from magvit_jax.data.decode import VideoInfo
from magvit_jax.data.files import VIDEO_EXTENSIONS, check_held_out, find_files, label_entries, one_side
from magvit_jax.data.folder import FolderSource, check_files
from magvit_jax.data.frame_store import FrameStore
from magvit_jax.data.multimodal_files import Contents, Rule, require_long_enough
from magvit_jax.data.multimodal_spec import MultimodalSpec, require_sound_choice
from magvit_jax.data.sound_track import read_track, track_samples, window
from magvit_jax.data.video_folder import clip_table, spread_start
from magvit_jax.errors import UserError

_log = logging.getLogger(__name__)
_said: set[str] = set()  # train and test split read the same files; what is converted is said once
_NAMED = 8


@dataclass(frozen=True)
class _File:
    path: str
    label: int
    texts: tuple[str, ...]
    has: Contents


class MultimodalFolder(FolderSource):
    """Clips of the videos below `path`, for `split` "train", "test" or "all".

    Attributes:
      texts: every text that a clip may come with, sorted.

    Raises:
      UserError: a bad choice, no usable video, only one where they have to be divided, or an empty split.
    """

    def __init__(
        self,
        path: str,
        split: str,
        spec: MultimodalSpec,
        *,
        sound: str,
        sound_tolerance: float,
        captions: str,
        templates: Sequence[str],
        textless: bool,
        companions: Mapping[str, str],
        held_out: float,
        cache_mb: float,
    ):
        """
        Args:
          sound: one of `multimodal_spec.SOUND`.
          sound_tolerance: seconds of a video that may be without sound at either end.
          captions, templates: see `captions.of_entries`.
          textless: whether files without a text are used.
          companions: condition -> the folder with a video of the same name for every video.
          cache_mb: of frames, and as much again of sound, that are kept in memory. A file that does not fit is decoded
            for each clip: its frames from the nearest keyframe, its sound from the beginning.
        """
        check_held_out(held_out)
        require_sound_choice(sound)
        if not sound_tolerance >= 0:
            raise UserError(f"data.sound_tolerance is {sound_tolerance}: expected seconds, 0 or more")
        if "flow" in companions and spec.flip:
            raise UserError("data.flip is True with data.flow: a mirrored flow points the wrong way, set it to False")
        entries = label_entries(path, find_files(path, VIDEO_EXTENSIONS, "video"), None)
        rule = Rule(Path(path), spec, sound, sound_tolerance, dict(companions))
        good, skipped = check_files([entry.path for entry in entries], rule)
        usable = [entry for entry in entries if entry.path in good]
        written = texts.of_entries(path, usable, captions, templates, "data")
        if not textless:
            skipped |= {entry.path: "no text" for entry in usable if not written[entry.path]}
            usable = [entry for entry in usable if written[entry.path]]
        _require_enough(path, split, len(usable), skipped)
        super().__init__(path, split, sorted({entry.label for entry in usable}), skipped)
        mine = one_side(path, entries, usable, split, held_out)
        labels = {name: label for label, name in enumerate(self.class_names)}
        self._files = [_File(e.path, labels[e.label], written[e.path], good[e.path]) for e in usable if e.path in mine]
        self.texts = tuple(sorted({text for file in self._files for text in file.texts}))
        self._sound, self._tolerance, self._companions = sound, sound_tolerance, tuple(companions)
        self._file_ids, self._windows = clip_table([file.has.timeline.clips(spec.seconds) for file in self._files])
        self._store, self._tracks = FrameStore(cache_mb), FrameCache(cache_mb)
        _say(path, _conversions(good, spec))
        if sound == "optional":
            _say(path, _silent_files(path, good))

    def __len__(self) -> int:
        return len(self._file_ids)

    @property
    def summary(self) -> str:
        """One line about what there is."""
        heard = sum(file.has.track is not None for file in self._files)
        told = sum(bool(file.texts) for file in self._files)
        beside = "".join(f", {name}" for name in self._companions)
        return (
            f"videos below {self.root}: {len(self._files)} {self.split} files ({heard} with sound, {told} with text"
            f"{beside}), {len(self)} clips"
        )

    def clip(self, index: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool) -> dict[str, Any]:
        """Clip `index`; see `Source.clip`. A file that turns out damaged is replaced by the next one, and named.

        Returns:
          "video" and what there is of "flow" and "depth": uint8 [T, H, W, 3]; unless sound is "none", "audio" float32
          [S] and "has_audio" bool; "label" int32; "caption" str, "" where there is none.
        """
        read = functools.partial(self._read, int(self._windows[index]), rng, spec, train)
        return self._fall_forward(self._files, int(self._file_ids[index]), read)[1]

    def _read(
        self, clip_window: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool, file: _File
    ) -> dict[str, Any]:
        require_long_enough(file.has.timeline, spec)
        start, cut = self._place(file.has, clip_window, rng, spec, train)
        numbers_T = file.has.timeline.numbers(start, spec.frames, spec.fps)
        example = {"video": cut(file.path, file.has.info, numbers_T), "label": np.int32(file.label)}
        for name, (path, info) in file.has.beside.items():
            example[name] = cut(path, info, np.minimum(numbers_T, info.frames - 1))
        if self._sound != "none":
            example |= self._heard(file, float(file.has.timeline.times_T[start]), spec)
        return example | {"caption": texts.draw(file.texts, rng, train)}

    def _place(self, has: Contents, clip_window: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool):
        """The clip's first frame, and what cuts its part out of the frames of a file."""
        area = (spec.height, spec.width)
        size = pixels.cover_size((has.info.height, has.info.width), area)
        starts, corner, flip = has.timeline.starts(spec.seconds), pixels.centre_corner(size, area), False
        if train:
            start = int(rng.integers(starts))
            corner = pixels.random_corner(rng, size, area) if spec.random_crop else corner
            flip = spec.flip and rng.random() < 0.5
        else:
            start = spread_start(starts - 1, has.timeline.clips(spec.seconds), clip_window)

        def cut(path: str, info: VideoInfo, numbers_T: np.ndarray) -> np.ndarray:
            clip_THWC = pixels.crop(self._store.frames(path, info, size, numbers_T), corner, area)
            return np.ascontiguousarray(clip_THWC[:, :, ::-1] if flip else clip_THWC)

        return start, cut

    def _heard(self, file: _File, time: float, spec: MultimodalSpec) -> dict[str, Any]:
        if file.has.track is None:
            return {"audio": np.zeros(spec.samples, np.float32), "has_audio": np.bool_(False)}
        timeline, rate = file.has.timeline, spec.sample_rate
        read = functools.partial(read_track, file.path, timeline, rate, self._tolerance)
        cached = self._tracks.get((file.path, rate), 4 * track_samples(timeline, rate), read)
        first = round((time - timeline.first) * rate)
        audio_S = window(read() if cached is None else cached, first, spec.samples)
        return {"audio": audio_S, "has_audio": np.bool_(True)}


def _require_enough(path: str, split: str, usable: int, skipped: Mapping[str, str]) -> None:
    least = 1 if split == "all" else 2
    if usable >= least:
        return
    example = next(iter(skipped.items()), None)
    because = f", such as {example[0]}: {example[1]}" if example else ""
    expected = "1" if least == 1 else "at least 2, one to train on and one to test on"
    raise UserError(f"{path} has {usable} usable videos and {len(skipped)} that are not{because}; expected {expected}")


def _conversions(good: Mapping[str, Contents], spec: MultimodalSpec) -> str:
    """What is done to frames and sound on the way, in one line; empty where nothing is."""
    rates = {f"{has.timeline.rate:g}" for has in good.values()} - {f"{spec.fps:g}"}
    tracks = [has.track for has in good.values() if has.track is not None]
    hertz = {str(track.rate) for track in tracks} - {str(spec.sample_rate)}
    lines = []
    if rates:
        lines.append(f"videos of {_listed(rates)} frames a second are taken at {spec.fps:g}, the nearest frame each")
    if hertz:
        lines.append(f"sound of {_listed(hertz)} Hz is resampled to {spec.sample_rate} Hz")
    if any(track.channels > 1 for track in tracks):
        lines.append("channels are averaged")
    return "; ".join(lines)


def _listed(numbers: set[str]) -> str:
    ordered = sorted(numbers, key=float)
    return ", ".join(ordered[:_NAMED]) + (", ..." if len(ordered) > _NAMED else "")


def _silent_files(root: str, good: Mapping[str, Contents]) -> str:
    """The files whose clips have no sound, in one line."""
    silent = [(Path(path).relative_to(root), has.silent) for path, has in good.items() if has.silent]
    if not silent:
        return ""
    named = ", ".join(f"{path} ({reason})" for path, reason in silent[:_NAMED])
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    return f"{len(silent)} of {len(good)} files are used without sound: {named}{more}"


def _say(root: str, line: str) -> None:
    if line and (said := f"{root}: {line}") not in _said:
        _said.add(said)
        _log.warning("%s", said)

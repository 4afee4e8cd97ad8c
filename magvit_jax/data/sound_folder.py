"""Clips of sound out of files: wav, mp3, other sound files, and the sound tracks of videos."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from magvit_jax.data.files import VIDEO_EXTENSIONS, check_held_out, find_files, label_entries, one_side
from magvit_jax.data.sound import Sound, read_sound
from magvit_jax.errors import UserError

SOUND_EXTENSIONS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".opus", ".aac")


@dataclass(frozen=True)
class SoundSpec:
    """Length of a clip: `samples` at `sample_rate` Hz."""

    samples: int
    sample_rate: int

    def __post_init__(self):
        for name in ("samples", "sample_rate"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name} is {value!r}: expected a whole number of at least 1")

    @classmethod
    def from_config(cls, config: Any) -> "SoundSpec":
        """The spec of a `config.data` whose source is "sound_folder"."""
        return cls(config.samples, config.sample_rate)


HELD_OUT_BY = ("file", "time")


class _File(NamedTuple):
    path: str
    audio_S: np.ndarray
    label: int
    note: str

    def clips(self, spec: SoundSpec) -> int:
        """How many of an epoch are its: those that lie side by side. Of one that is silent throughout, one does."""
        return self.audio_S.size // spec.samples if self.audio_S.any() else 1


class SoundFolder:
    """A `Source` of sounds below `path`, for `split` "train", "test" or "all".

    All files are decoded at the start and stay in memory, 230 MB for each hour at 16 kHz. An epoch has as many clips
    as lie side by side in the files, of a silent file one. Training clips begin anywhere in their file; others side by
    side.

    Raises:
      UserError: no file with sound that is long enough for a clip, an empty split, or a bad `held_out_by`.
    """

    def __init__(self, path: str, split: str, spec: SoundSpec, *, held_out: float, held_out_by: str = "file"):
        """
        Args:
          held_out: share of the files that is tested on.
          held_out_by: "file"; or "time", for a few recordings: the last part of every file is tested on instead.
        """
        check_held_out(held_out)
        if held_out_by not in HELD_OUT_BY:
            raise UserError(f"data.held_out_by is {held_out_by!r}: expected one of {', '.join(HELD_OUT_BY)}")
        self.root, self.split, self.spec = path, split, spec
        entries = label_entries(
            path, find_files(path, SOUND_EXTENSIONS + VIDEO_EXTENSIONS, "sound"), Path(path).resolve().name or "sound"
        )
        sounds, skipped = {}, []
        for entry in entries:
            try:
                sound = read_sound(entry.path, spec.sample_rate)
                part = _side_in_time(sound, split, held_out) if held_out_by == "time" else sound
                sounds[entry.path] = _long_enough(part, spec)
            except UserError as error:
                skipped.append((entry.path, str(error).removeprefix(f"{entry.path}: ")))
        self.skipped = tuple(skipped)
        usable = [entry for entry in entries if entry.path in sounds]
        by_file = split != "all" and held_out_by == "file"
        if len(usable) < (2 if by_file else 1):
            reason = f", such as {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            expected = "at least 2, one to train on and one to test on" if by_file else "at least 1"
            raise UserError(
                f"{path} has {len(usable)} usable sounds: expected {expected}, "
                f"and {len(skipped)} cannot be used{reason}"
            )
        self.class_names = tuple(sorted({entry.label for entry in usable}))
        mine = one_side(path, entries, usable, split if held_out_by == "file" else "all", held_out)
        self._files = [
            _File(e.path, sounds[e.path].audio_S, self.class_names.index(e.label), sounds[e.path].note)
            for e in usable
            if e.path in mine
        ]
        self._ends = np.cumsum([file.clips(spec) for file in self._files])

    @property
    def summary(self) -> str:
        """One line about what there is, and what was converted."""
        notes = sorted({file.note for file in self._files if file.note})
        converted = f"; {'; '.join(notes)}" if notes else ""
        seconds = self.spec.samples / self.spec.sample_rate
        return (
            f"sounds below {self.root}: {len(self._files)} {self.split} files, {len(self)} clips of {seconds:g} s at "
            f"{self.spec.sample_rate} Hz{converted}"
        )

    @property
    def recordings(self) -> list[tuple[str, int]]:
        """The path of each file, and how many clips in a row are its."""
        return [(file.path, file.clips(self.spec)) for file in self._files]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def clip(self, index: int, rng: np.random.Generator, spec: SoundSpec, train: bool) -> dict[str, Any]:
        """Clip `index`: {"audio": float32 [S], "label": int32 scalar}; see `Source.clip`."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        file = self._files[number]
        within = index - (int(self._ends[number - 1]) if number else 0)
        start = within * spec.samples
        if train:
            start = int(rng.integers(0, file.audio_S.size - spec.samples + 1))
        return {"audio": file.audio_S[start : start + spec.samples], "label": np.int32(file.label)}


def _side_in_time(sound: Sound, split: str, held_out: float) -> Sound:
    """The first part of a recording, to train on, or the last; of the split "all" the whole."""
    cut = round(sound.audio_S.size * (1.0 - held_out))
    parts = dict(train=sound.audio_S[:cut], test=sound.audio_S[cut:])
    return sound._replace(audio_S=parts.get(split, sound.audio_S))


def _long_enough(sound: Sound, spec: SoundSpec) -> Sound:
    if sound.audio_S.size < spec.samples:
        raise UserError(f"{sound.audio_S.size} samples: expected {spec.samples} or more, one clip")
    return sound

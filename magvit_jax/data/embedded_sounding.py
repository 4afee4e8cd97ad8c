"""The moving digits with sound, text, optical flow and depth: every modality, and no download.

All of it is made from the same motion as the pixels (`embedded`), so it can be learnt:

    sound   a tone of two partials. The digit sets the pitch, fifths of an octave apart, and its height moves that by
            up to an octave: higher up is higher. Its size sets the loudness, its place from left to right the share of
            the second partial, and a turn by one round is one beat of the loudness.
    text    templates of the motion's name, {label}, and of the digit's, {digit}
    flow    the velocity of the digit's points, in shorter sides a clip: red to the right, green downwards, 128 for none
    depth   brightness is nearness: the larger a digit, the nearer

The clip's frames take from 0 to frames / fps seconds; the digit stands still while its last frame is shown.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from magvit_jax.data import captions as texts
from magvit_jax.data.cache import FrameCache
from magvit_jax.data.embedded import (
    MOTIONS,
    TEST_CLIPS,
    coverage,
    digit_values,
    drawn,
    frame_times,
    render_clip,
)
from magvit_jax.data.multimodal_spec import CONDITIONS, MultimodalSpec, require_sound_choice
from magvit_jax.errors import UserError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RENDERED = "rendered"  # what data.flow and data.depth are where they are wanted of this source

_LOWEST = 220.0  # Hz of the digit zero in the middle of the height
_LOUDNESS = 0.25  # amplitude at a digit's normal size
_FASTEST = 5.0  # shorter sides a clip: the end of the flow's scale
_COVERED = 0.25  # of a pixel: with more of it the digit's, its flow is the digit's
_NEAREST = 1.65  # scale of the largest digits


class SoundingDigits:
    """The embedded source with sound. `size` is the number of training clips; the test split has 1,000.

    Attributes:
      texts: every text that a clip may come with, sorted.

    Raises:
      UserError: a size below 1, captions out of a file, a placeholder that is neither {label} nor {digit}, or a
        condition's folder.
    """

    class_names = tuple(MOTIONS)
    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        split: str,
        *,
        size: int,
        seed: int,
        sound: str,
        captions: str,
        templates: Sequence[str],
        companions: Mapping[str, str],
        cache_mb: float,
    ):
        if size < 1:
            raise UserError(f"data.size is {size}: the embedded data needs at least 1 training clip")
        require_sound_choice(sound)
        if captions not in ("labels", "none"):
            raise UserError(f"data.captions is {captions!r}: expected labels or none; the embedded data has no files")
        for name, folder in companions.items():
            if folder != RENDERED:
                raise UserError(f"data.{name} is {folder!r}: the embedded data renders it, expected {RENDERED!r} or ''")
        self.split, self.seed = split, seed
        self._size = size if split == "train" else TEST_CLIPS
        self._sound, self._conditions = sound, tuple(name for name in CONDITIONS if name in companions)
        self._texts = _texts(templates) if captions == "labels" else {}
        self.texts = tuple(sorted({text for found in self._texts.values() for text in found}))
        self._cache = FrameCache(cache_mb)

    def __len__(self) -> int:
        return self._size

    @property
    def summary(self) -> str:
        """One line about what there is."""
        also = ", ".join([*(["sound"] if self._sound != "none" else []), *(["text"] if self.texts else [])])
        return f"embedded moving digits: {len(self)} {self.split} clips ({', '.join([also, *self._conditions])})"

    def clip(self, index: int, rng: np.random.Generator, spec: MultimodalSpec, train: bool) -> dict[str, Any]:
        """Clip `index`, as of `MultimodalFolder.clip`; `rng` draws its text and nothing else."""
        if spec.flip:
            raise UserError("data.flip is True: the embedded motions change their meaning in a mirror, set it to False")
        drawing = drawn(self.seed, self.split, index, spec.height, spec.width)
        digit = int(digit_values(self.split)[drawing.image])
        clip = {"label": np.int32(drawing.label)}
        for name in ("video", *self._conditions):
            clip[name] = self._pixels(name, index, spec)
        if self._sound != "none":
            clip |= {"audio": tone(drawing, digit, spec), "has_audio": np.bool_(True)}
        return clip | {"caption": texts.draw(self._texts.get((digit, drawing.label), ()), rng, train)}

    def _pixels(self, name: str, index: int, spec: MultimodalSpec) -> np.ndarray:
        shape = (spec.frames, spec.height, spec.width)
        make = functools.partial(_RENDER[name], self.seed, self.split, index, *shape)
        cached = self._cache.get((name, index, *shape), 3 * int(np.prod(shape)), make)
        return make() if cached is None else cached


def tone(drawing, digit: int, spec: MultimodalSpec) -> np.ndarray:
    """The sound of a clip, float32 [S]; see above."""
    unit = min(spec.height, spec.width)
    seconds_S = np.arange(spec.samples) / spec.sample_rate
    last = max(spec.frames - 1, 1) / spec.fps
    y_S, x_S, scale_S, angle_S = drawing.path(np.minimum(seconds_S / last, 1.0))
    hertz_S = _LOWEST * 2 ** (digit / 5 + 1 - 2 * y_S * unit / spec.height)
    phase_S = 2 * np.pi * np.cumsum(hertz_S) / spec.sample_rate
    second_S = np.clip(x_S * unit / spec.width, 0, 1) / 2  # no more: it would be heard an octave higher
    loudness_S = _LOUDNESS * np.clip(scale_S, 0, 2) * (1 + 0.5 * np.cos(angle_S)) / 1.5
    audio_S = loudness_S * ((1 - second_S) * np.sin(phase_S) + second_S * np.sin(2 * phase_S))
    return audio_S.astype(np.float32)


def _texts(templates: Sequence[str]) -> dict[tuple[int, int], tuple[str, ...]]:
    """The texts of each digit and motion."""
    return {
        (digit, label): texts.fill(templates, "data.templates", label=texts.spoken(motion), digit=name)
        for digit, name in enumerate(DIGITS)
        for label, motion in enumerate(MOTIONS)
    }


def _video(*arguments: Any) -> np.ndarray:
    return render_clip(*arguments)[0]


def _flow(seed: int, split: str, index: int, frames: int, height: int, width: int) -> np.ndarray:
    """The digit's points move with its centre, around it and away from it; velocities are finite differences."""
    drawing, unit, step = drawn(seed, split, index, height, width), min(height, width), 1e-3
    before, after = (drawing.path(frame_times(frames) + shift) for shift in (-step / 2, step / 2))
    dy_T, dx_T, growth_T, turn_T = ((b - a) / step for a, b in zip(before, after, strict=True))
    y_T, x_T, scale_T, _ = drawing.path(frame_times(frames))
    off_y_THW = ((np.arange(height) + 0.5) / unit)[None, :, None] - y_T[:, None, None]
    off_x_THW = ((np.arange(width) + 0.5) / unit)[None, None, :] - x_T[:, None, None]
    grow_T11, turn_T11 = (growth_T / scale_T)[:, None, None], turn_T[:, None, None]
    down_THW = dy_T[:, None, None] + grow_T11 * off_y_THW + turn_T11 * off_x_THW
    right_THW = dx_T[:, None, None] + grow_T11 * off_x_THW - turn_T11 * off_y_THW
    covered_THW1 = coverage(drawing, split, frames, height, width)[..., None] > _COVERED
    velocity_THWC = np.stack([right_THW, down_THW, np.zeros_like(right_THW)], axis=-1) * covered_THW1
    return np.rint(128 + 127 * np.clip(velocity_THWC / _FASTEST, -1, 1)).astype(np.uint8)


def _depth(seed: int, split: str, index: int, frames: int, height: int, width: int) -> np.ndarray:
    drawing = drawn(seed, split, index, height, width)
    near_T = drawing.path(frame_times(frames))[2] / _NEAREST
    depth_THW = coverage(drawing, split, frames, height, width) * near_T[:, None, None]
    return np.repeat((np.clip(depth_THW, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)


_RENDER = {"video": _video, "flow": _flow, "depth": _depth}

"""Moving digits: an action-recognition set that needs no download.

scikit-learn's wheel carries 1,797 handwritten digits of 8x8 pixels (UCI ML hand-written digits, test set of
the "Optical Recognition of Handwritten Digits" data). Each clip shows one of them, enlarged by cubic splines,
bright on a dark, plain background. The label is the motion, not the digit. Training and test
clips never share a source image: within each digit a fixed permutation sends 29 or 30 images to the test
split (297 in all, 1,500 for training).

Clip i of a split is a pure function of (seed, split, i, frames, height, width). Lengths are in units of the
shorter side and times in units of the clip, so other sizes and frame counts show the same motion.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from magvit_jax.data.cache import FrameCache
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError

SPLITS = ("train", "test")
TEST_IMAGES = 297
TEST_CLIPS = 1000

# One pair of colours for all clips: with colours of its own for every clip, a tokenizer of a few minutes spends all
# it learns on grey shapes, and shows neither colour nor shape well.
BACKGROUND = np.array([0.08, 0.10, 0.16], np.float32)
FOREGROUND = np.array([0.96, 0.84, 0.52], np.float32)

_DIGIT = 0.53  # side of the 8x8 digit, in units of the frame's shorter side: 17 of 32 pixels
_REACH_Y = (
    0.50 * _DIGIT
)  # from the digit's centre to its ink: digits fill their 8 rows but not their 8 columns
_REACH_X = 0.40 * _DIGIT
_MARGIN = 2  # empty pixels around the 8x8 digit, so that sampling fades out instead of cutting off
_ENLARGE = 6  # sprite pixels per digit pixel: fine enough for bilinear sampling of the splines


@functools.cache
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The split's images [N, 8, 8] in [0, 1], and which digit each shows."""
    from sklearn.datasets import load_digits  # a second of import time that only this data set should cost

    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(digits))
    rank = np.zeros(len(digits), np.int64)
    for digit in range(10):
        members = order[digits[order] == digit]
        rank[members] = np.arange(len(members))
    by_rank = np.lexsort((digits, rank))  # one image of each digit in turn: any prefix is class-balanced
    chosen = by_rank[:TEST_IMAGES] if split == "test" else by_rank[TEST_IMAGES:]
    return (images[chosen].reshape(-1, 8, 8) / 16.0).astype(np.float32), digits[chosen]


def digit_images(split: str) -> np.ndarray:
    """The split's source images: float32 [N, 8, 8] in [0, 1]. N is 1,500 for "train", 297 for "test"."""
    return _digits(split)[0]


def digit_values(split: str) -> np.ndarray:
    """Which digit each of `digit_images` shows, int [N] from 0 to 9."""
    return _digits(split)[1]


@functools.cache
def _enlarging_matrix() -> np.ndarray:
    """[sprite side, 8]: cubic spline interpolation of a padded row of eight pixels."""
    from scipy.interpolate import make_interp_spline

    side = 8 + 2 * _MARGIN
    positions = (np.arange(side * _ENLARGE) + 0.5) / _ENLARGE - 0.5
    rows = make_interp_spline(np.arange(side), np.eye(side), k=3)(np.clip(positions, 0, side - 1))
    return rows[:, _MARGIN:-_MARGIN].astype(np.float32)


def _sprite(image: np.ndarray) -> np.ndarray:
    """The enlarged digit [S, S] in [0, 1]: fattened by a gain, the splines' ringing cut off."""
    matrix = _enlarging_matrix()
    return np.clip(1.2 * (matrix @ image @ matrix.T) - 0.06, 0.0, 1.0)


# Motions. Each takes (rng, time_T in [0, 1], height, width in shorter sides) and gives the digit's centre
# y_T, x_T, its scale_T (1 = normal size) and its angle_T (radians, clockwise on the screen).
Path = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _anywhere(rng: np.random.Generator, side: float, reach: float) -> float:
    """A centre that keeps `reach` on both sides within the view."""
    return rng.uniform(reach, side - reach) if side > 2 * reach else side / 2


def _move(dy: int, dx: int) -> Callable[..., Path]:
    def path(rng, time_T, height, width) -> Path:
        length = rng.uniform(0.42, 0.47)
        y = _anywhere(rng, height, _REACH_Y + abs(dy) * length / 2)
        x = _anywhere(rng, width, _REACH_X + abs(dx) * length / 2)
        along_T = length * (time_T - 0.5)
        still_T = np.zeros_like(time_T)
        return y + dy * along_T, x + dx * along_T, still_T + 1, still_T

    return path


def _spin(sign: int) -> Callable[..., Path]:
    def path(rng, time_T, height, width) -> Path:
        scale, turn, phase = rng.uniform(1.1, 1.25), rng.uniform(1.2, 1.5) * np.pi, rng.uniform(0, 2 * np.pi)
        y, x = _anywhere(rng, height, 0.4), _anywhere(rng, width, 0.4)
        still_T = np.zeros_like(time_T)
        return still_T + y, still_T + x, still_T + scale, phase + sign * turn * time_T

    return path


def _resize(start: tuple[float, float], end: tuple[float, float]) -> Callable[..., Path]:
    def path(rng, time_T, height, width) -> Path:
        first, last = rng.uniform(*start), rng.uniform(*end)
        largest = max(first, last)
        y, x = _anywhere(rng, height, largest * _REACH_Y), _anywhere(rng, width, largest * _REACH_X)
        still_T = np.zeros_like(time_T)
        return still_T + y, still_T + x, first * (last / first) ** time_T, still_T

    return path


def _orbit(sign: int) -> Callable[..., Path]:
    def path(rng, time_T, height, width) -> Path:
        radius, turn, phase = rng.uniform(0.2, 0.23), rng.uniform(1.2, 1.5) * np.pi, rng.uniform(0, 2 * np.pi)
        y = _anywhere(rng, height, radius + _REACH_Y)
        x = _anywhere(rng, width, radius + _REACH_X)
        angle_T = phase + sign * turn * time_T
        still_T = np.zeros_like(time_T)
        return y + radius * np.sin(angle_T), x + radius * np.cos(angle_T), still_T + 1, still_T

    return path


MOTIONS: dict[str, Callable[..., Path]] = {
    "move_right": _move(0, 1),
    "move_left": _move(0, -1),
    "move_down": _move(1, 0),
    "move_up": _move(-1, 0),
    "spin_clockwise": _spin(1),
    "spin_counterclockwise": _spin(-1),
    "grow": _resize((0.42, 0.52), (1.5, 1.65)),
    "shrink": _resize((1.5, 1.65), (0.42, 0.52)),
    "orbit_clockwise": _orbit(1),
    "orbit_counterclockwise": _orbit(-1),
}


def _bilinear(sprite: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Samples `sprite` at fractional pixel positions; zero outside."""
    side = sprite.shape[0]
    padded = np.zeros((side + 2, side + 2), np.float32)
    padded[1:-1, 1:-1] = sprite
    y = np.clip(y + 1, 0, side + 0.999)
    x = np.clip(x + 1, 0, side + 0.999)
    y0, x0 = y.astype(np.int32), x.astype(np.int32)
    fy, fx = y - y0, x - x0
    flat, corner = padded.ravel(), y0 * (side + 2) + x0
    top = flat[corner] * (1 - fx) + flat[corner + 1] * fx
    bottom = flat[corner + side + 2] * (1 - fx) + flat[corner + side + 3] * fx
    return top * (1 - fy) + bottom * fy


def _render(sprite: np.ndarray, path: Path, height: int, width: int) -> np.ndarray:
    """Coverage by the digit, float32 [T, H, W] in [0, 1]: one inverse warp for the whole clip."""
    unit = min(height, width)
    y_T, x_T, scale_T, angle_T = (value.astype(np.float32)[:, None, None] for value in path)
    dy = ((np.arange(height, dtype=np.float32) + 0.5) / unit)[None, :, None] - y_T
    dx = ((np.arange(width, dtype=np.float32) + 0.5) / unit)[None, None, :] - x_T
    zoom = 8 * _ENLARGE / (_DIGIT * scale_T)  # sprite pixels per shorter side
    cos, sin = np.cos(angle_T) * zoom, np.sin(angle_T) * zoom
    middle = (sprite.shape[0] - 1) / 2
    return _bilinear(sprite, cos * dy - sin * dx + middle, sin * dy + cos * dx + middle)


class Drawn(NamedTuple):
    """What clip `index` of a split shows.

    Fields:
      image: number of its digit in `digit_images`.
      label: position of its motion in `MOTIONS`.
      path: time_T in [0, 1] -> where the digit is at these times, as of `MOTIONS`.
    """

    image: int
    label: int
    path: Callable[[np.ndarray], Path]


def drawn(seed: int, split: str, index: int, height: int, width: int) -> Drawn:
    """Clip `index` of a split, for frames of `height` x `width`. The label is index modulo classes."""
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    label, image = index % len(MOTIONS), int(rng.integers(len(digit_images(split))))
    motion, state, unit = list(MOTIONS.values())[label], rng.bit_generator.state, min(height, width)

    def path(time_T: np.ndarray) -> Path:
        rng.bit_generator.state = state  # the same motion, at whatever times
        return motion(rng, time_T, height / unit, width / unit)

    return Drawn(image, label, path)


def frame_times(frames: int) -> np.ndarray:
    """Times of the frames of a clip, float64 [T] from 0 to 1."""
    return np.arange(frames) / max(frames - 1, 1)


def coverage(drawing: Drawn, split: str, frames: int, height: int, width: int) -> np.ndarray:
    """How much of each pixel the digit covers, float32 [T, H, W] in [0, 1]."""
    sprite = _sprite(digit_images(split)[drawing.image])
    return _render(sprite, drawing.path(frame_times(frames)), height, width)


def render_clip(
    seed: int, split: str, index: int, frames: int, height: int, width: int
) -> tuple[np.ndarray, int]:
    """Clip `index` of a split: (video uint8 [T, H, W, 3], label)."""
    drawing = drawn(seed, split, index, height, width)
    coverage_THW = coverage(drawing, split, frames, height, width)
    video = BACKGROUND + coverage_THW[..., None] * (FOREGROUND - BACKGROUND)
    return (video * 255 + 0.5).astype(np.uint8), drawing.label


class MovingDigits:
    """The embedded source. `size` is the number of training clips; the test split has 1,000.

    Clips are rendered at the asked size, so there is nothing to crop. Mirroring would turn move_left into
    move_right and a stride has no file to skip frames of: `flip` and a `stride` above 1 raise UserError.
    Rendered clips are kept in memory up to `cache_mb`.
    """

    class_names = tuple(MOTIONS)
    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(self, split: str, *, size: int, seed: int = 0, cache_mb: float = 1024):
        if size < 1:
            raise UserError(f"data.size is {size}: the embedded data needs at least 1 training clip")
        self.split, self.seed = split, seed
        self._size = size if split == "train" else TEST_CLIPS
        self._cache = FrameCache(cache_mb)

    def __len__(self) -> int:
        return self._size

    @property
    def summary(self) -> str:
        """One line about what there is."""
        images = len(digit_images(self.split))
        return f"embedded moving digits: {len(self)} {self.split} clips of {images} handwritten digits"

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`; `rng` is not used: all clips are decided by their index."""
        if spec.flip:
            raise UserError(
                "data.flip is True: the embedded motions change their meaning in a mirror, set it to False"
            )
        if spec.stride != 1:
            raise UserError(
                f"data.stride is {spec.stride}: the embedded data is rendered frame by frame, set it to 1"
            )
        key = (index, spec.frames, spec.height, spec.width)
        render = functools.partial(_video, self.seed, self.split, *key)
        video = self._cache.get(key, 3 * spec.frames * spec.height * spec.width, render)
        return {"video": render() if video is None else video, "label": np.int32(index % len(MOTIONS))}


def _video(*arguments: Any) -> np.ndarray:
    return render_clip(*arguments)[0]

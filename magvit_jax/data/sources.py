"""What every source of clips offers, and what a clip has to look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from magvit_jax.errors import UserError


@dataclass(frozen=True)
class ClipSpec:
    """Shape and augmentation of a clip: `frames` x `height` x `width` x 3, uint8.

    `stride` takes every stride-th frame of the file. `flip` mirrors half of the training clips left to right.
    `random_crop` moves the training clips' crop along the side that is longer than asked; test clips are
    cropped in the centre. With `smallest_crop` below 1 a training clip's crop is also smaller than what fits: its
    sides are that share of it or more, drawn evenly, and it is enlarged to the clip's size.
    """

    frames: int
    height: int
    width: int
    stride: int = 1
    flip: bool = False
    random_crop: bool = False
    smallest_crop: float = 1.0

    def __post_init__(self):
        for name in ("frames", "height", "width", "stride"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name} is {value!r}: expected a whole number of at least 1")
        if not 0 < self.smallest_crop <= 1:
            raise UserError(
                f"data.smallest_crop is {self.smallest_crop!r}: expected a share above 0, at most 1"
            )
        if self.smallest_crop < 1 and not self.random_crop:
            raise UserError(
                f"data.smallest_crop is {self.smallest_crop}, but data.random_crop is False: expected it to be True"
            )

    @classmethod
    def from_config(cls, config: Any) -> "ClipSpec":
        """The spec of a `config.data`."""
        names = ("frames", "height", "width", "stride", "flip", "random_crop", "smallest_crop")
        return cls(**{name: getattr(config, name) for name in names})

    @property
    def span(self) -> int:
        """Frames of the file that a clip reaches over, first to last."""
        return (self.frames - 1) * self.stride + 1


class Source(Protocol):
    """A finite, indexable collection of labelled clips.

    `class_names[label]` is the name of a label; `skipped` names the files that could not be used, with the
    reason.
    """

    class_names: tuple[str, ...]

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(path, reason) of each file that was left out so far."""

    @property
    def summary(self) -> str:
        """One line: which source, which split, how many files and clips."""

    def __len__(self) -> int:
        """Clips in an epoch."""

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> Mapping[str, Any]:
        """Clip `index`: {"video": uint8 [T, H, W, 3], "label": int32 scalar}.

        The same arguments and the same state of `rng` give the same clip. Without `train`, `rng` is not used.
        """


def describe(source: Source, named: int = 12) -> str:
    """A few lines for people: what is there, its classes, and which files were skipped and why."""
    names = ", ".join(source.class_names[:named]) + (", ..." if len(source.class_names) > named else "")
    lines = [source.summary, f"{len(source.class_names)} classes: {names}"]
    if source.skipped:
        lines.append(f"{len(source.skipped)} files skipped:")
        lines += [f"  {path}: {reason}" for path, reason in source.skipped[:named]]
        lines += [f"  and {len(source.skipped) - named} more"] * (len(source.skipped) > named)
    return "\n".join(lines)

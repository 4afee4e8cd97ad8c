"""When the frames of a file are shown, and which of them make a clip at another frame rate."""

from dataclasses import dataclass

import numpy as np

SLACK = 2e-3  # seconds: containers round times to milliseconds


@dataclass(frozen=True)
class Timeline:
    """Times of a file's frames.

    Attributes:
      times_T: seconds on the file's clock, rising.
      rate: frames a second; the last frame is shown for 1 / rate.
    """

    times_T: np.ndarray
    rate: float

    @property
    def first(self) -> float:
        return float(self.times_T[0])

    @property
    def end(self) -> float:
        """When the last frame has been shown."""
        return float(self.times_T[-1]) + 1 / self.rate

    @property
    def seconds(self) -> float:
        return self.end - self.first

    def clips(self, seconds: float) -> int:
        """How many clips lie side by side, in a file that is long enough for one."""
        return max(1, int((self.seconds + SLACK) / seconds))

    def starts(self, seconds: float) -> int:
        """How many frames a clip can begin with: the first so many."""
        return int(np.searchsorted(self.times_T, self.end - seconds + SLACK, side="right"))

    def numbers(self, start: int, frames: int, fps: float) -> np.ndarray:
        """The frames of the clip that begins with frame `start`: of `frames` times at `fps` a second the nearest,
        of two as near the later; int [frames], never falling."""
        wanted_T = self.times_T[start] + np.arange(frames) / fps
        last = len(self.times_T) - 1
        after_T = np.clip(np.searchsorted(self.times_T, wanted_T), 1, last) if last else np.zeros(frames, int)
        before_T = np.maximum(after_T - 1, 0)
        # Rounded times must not decide between two frames that are as near.
        later_T = self.times_T[after_T] - wanted_T <= wanted_T - self.times_T[before_T] + SLACK
        return np.where(later_T, after_T, before_T)

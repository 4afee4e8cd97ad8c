"""What a clip with sound, text and conditions has to look like."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from magvit_jax.errors import UserError

#: What `config.data.sound` may say of files without a sound track: left out; kept, their clips marked; sound is of no
#: interest.
SOUND = ("required", "optional", "none")
#: Videos that go with a clip, frame by frame: the conditions of stylization (thesis 8.3.3).
CONDITIONS = ("flow", "depth")

_SLACK = 1e-6  # of a sample: fps need not be exact in binary


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultimodalSpec:
    """Clips of `frames` x `height` x `width` x 3 at `fps` frames a second, with `samples` of sound.

    Attributes:
      frames, height, width, fps: of the video; files of other rates are converted.
      samples, sample_rate: of the sound, which begins with the first frame; at most frames / fps seconds. The
        tokenizer of 8.3.1 makes 106 latents of 2.125 seconds: 106 x 320 samples at 16 kHz.
      flip: mirrors half of the training clips left to right.
      random_crop: moves the training clips' crop along the side that is longer than asked.
    """

    frames: int
    height: int
    width: int
    fps: float
    samples: int
    sample_rate: int
    flip: bool
    random_crop: bool

    def __post_init__(self):
        for name in ("frames", "height", "width", "samples", "sample_rate"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"data.{name} is {value!r}: expected a whole number of at least 1")
        if not self.fps > 0:
            raise UserError(f"data.fps is {self.fps!r}: expected frames a second, above 0")
        most = int(self.seconds * self.sample_rate + _SLACK)
        if self.samples > most:
            raise UserError(
                f"data.samples is {self.samples}: expected at most {most}, {self.frames} frames at {self.fps:g} a "
                f"second with {self.sample_rate} Hz"
            )

    @classmethod
    def from_config(cls, config: Any) -> "MultimodalSpec":
        """The spec of a `config.data` of a multimodal source."""
        names = ("frames", "height", "width", "samples", "sample_rate", "flip", "random_crop")
        return cls(fps=float(config.fps), **{name: getattr(config, name) for name in names})

    @property
    def seconds(self) -> float:
        """How long a clip's frames are shown."""
        return self.frames / self.fps


def image_spec(spec: MultimodalSpec) -> MultimodalSpec:
    """Images as clips of one frame, of the size that videos have; their sound is of no interest."""
    return dataclasses.replace(spec, frames=1, samples=1)


def require_sound_choice(sound: str) -> None:
    """UserError unless it is one of `SOUND`."""
    if sound not in SOUND:
        raise UserError(f"data.sound is {sound!r}: expected one of {', '.join(SOUND)}")


def companions(config: Any) -> Mapping[str, str]:
    """The conditions that a `config.data` asks for: name -> the folder of their videos."""
    return {name: getattr(config, name) for name in CONDITIONS if getattr(config, name)}

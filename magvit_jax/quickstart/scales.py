"""How long the quickstart trains and how much it measures."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Scale:
    """One size of the quickstart.

    Attributes:
      variant: of configs/quickstart/tokenizer.py and generator.py.
      minutes: what it is meant to take on two CPU cores.
      test_clips: held-out clips measured.
      classifier_clips, classifier_steps: training of the classifier that judges class-conditional clips.
      generated_clips: class-conditional clips judged.
      psnr_target: reconstruction in dB; gain_target: over the clip's mean frame, in dB.
      recognition_target: accuracy as a multiple of chance.
    """

    variant: str
    minutes: float
    test_clips: int
    classifier_clips: int
    classifier_steps: int
    generated_clips: int
    psnr_target: float | None = None
    gain_target: float | None = None
    use_target: float | None = None
    prediction_target: float | None = None
    recognition_target: float | None = None

    def without_targets(self) -> "Scale":
        """For somebody's own videos, whose baselines nobody knows: a still camera alone makes the mean frame good."""
        targets = {field.name: None for field in dataclasses.fields(self) if field.name.endswith("_target")}
        return dataclasses.replace(self, **targets)


SCALES: Mapping[str, Scale] = {
    "smoke": Scale("smoke", 1.5, 32, 64, 8, 20),
    "small": Scale("small", 10, 256, 1500, 300, 200, 22.0, 6.0, 0.5, 1.0, 1.0),
    "full": Scale("full", 45, 256, 4000, 1500, 400, 24.0, 6.0, 0.5, 1.0, 5.0),
}

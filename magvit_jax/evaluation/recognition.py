"""Whether class-conditional clips show their class: accuracy of a classifier trained on reconstructed real clips."""

import dataclasses

import numpy as np

from magvit_jax import metrics
from magvit_jax.evaluation.classifier import Classifier


@dataclasses.dataclass(frozen=True)
class Recognition:
    """Accuracies in [0, 1].

    Attributes:
      clips: generated clips judged.
      accuracy: share of them recognised as the class they were asked for.
      chance: 1 / classes.
      ceiling: accuracy on reconstructions of held-out real clips.
      p_value: probability of that many hits or more by guessing (one-sided binomial).
    """

    clips: int
    accuracy: float
    chance: float
    ceiling: float
    p_value: float


def evaluate_recognition(
    classifier: Classifier,
    classes: int,
    generated: np.ndarray,
    asked: np.ndarray,
    held_out: np.ndarray,
    held_out_labels: np.ndarray,
) -> Recognition:
    """Judges generated clips.

    Args:
      generated, held_out: uint8 [N, T, H, W, 3]; the held-out ones are reconstructions of real clips.
      asked, held_out_labels: their labels, int [N].
    """
    hits = classifier.predict(generated) == asked
    return Recognition(
        clips=len(hits),
        accuracy=float(hits.mean()),
        chance=1.0 / classes,
        ceiling=float((classifier.predict(held_out) == held_out_labels).mean()),
        p_value=metrics.binomial_p_value(int(hits.sum()), len(hits), 1.0 / classes),
    )

"""The quickstart's measurements, each beside its baseline and its ceiling."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from magvit_jax import data
from magvit_jax.evaluation import (
    FramePrediction,
    Recognition,
    Reconstruction,
    evaluate_frame_prediction,
    evaluate_recognition,
    evaluate_reconstruction,
    train_classifier,
)
from magvit_jax.generation.generator import Generator
from magvit_jax.quickstart.scales import Scale
from magvit_jax.systems.pixels import to_uint8

BATCH = 64
P_VALUE = 0.01


@dataclasses.dataclass(frozen=True)
class Examples:
    """Clips for people to look at, uint8 [N, T, H, W, 3]."""

    real: np.ndarray
    reconstructed: np.ndarray
    predicted: np.ndarray
    generated: np.ndarray
    generated_labels: np.ndarray
    given: int


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What the quickstart measured; `recognition` is None where held-out classes cannot be recognised."""

    reconstruction: Reconstruction
    prediction: FramePrediction
    recognition: Recognition | None
    examples: Examples


class Measured:
    """A generator with its data, measured step by step."""

    def __init__(
        self, generator: Generator, sources: Mapping[str, data.Source], spec: data.ClipSpec, scale: Scale
    ):
        self.generator, self.tokenizer = generator, generator.tokenizer
        self.sources, self.scale = sources, scale
        self.spec = dataclasses.replace(spec, flip=False, random_crop=False)
        task = generator.mixture.tasks[generator.tasks.index("frame_prediction")]
        self.given = task.given_frames

    def batches(self, split: str, num: int) -> Iterator[Mapping[str, np.ndarray]]:
        """The first clips of a split, in order."""
        return data.eval_batches(self.sources[split], self.spec, batch_size=BATCH, num=num)

    def reconstruction(self) -> Reconstruction:
        def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            ids = self.tokenizer.encode(video)
            return np.asarray(ids), np.asarray(self.tokenizer.decode(ids))

        return evaluate_reconstruction(
            reconstruct, self.tokenizer.model.codebook_size, self.batches("test", self.scale.test_clips)
        )

    def predict(self, video: np.ndarray) -> np.ndarray:
        """One sample a clip from its first frames."""
        return np.asarray(self.generator.generate("frame_prediction", video=video[:, : self.given]))

    def prediction(self) -> FramePrediction:
        return evaluate_frame_prediction(
            self.predict,
            lambda video: np.asarray(self.tokenizer.reconstruct(video)),
            self.given,
            self.batches("test", self.scale.test_clips),
        )

    def generate(self, num: int) -> tuple[np.ndarray, np.ndarray]:
        """Class-conditional clips, the classes in turn, and their labels."""
        labels = np.arange(num) % len(self.generator.class_names)
        clips = [
            to_uint8(self.generator.generate("class_conditional", label=list(labels[i : i + BATCH]), first=i))
            for i in range(0, num, BATCH)
        ]
        return np.concatenate(clips), labels

    def _reconstructed(self, split: str, num: int) -> tuple[np.ndarray, np.ndarray]:
        clips, labels = [], []
        for batch in self.batches(split, num):
            clips.append(to_uint8(self.tokenizer.reconstruct(batch["video"])))
            labels.append(batch["label"])
        return np.concatenate(clips), np.concatenate(labels)

    def recognition(self, generated: np.ndarray, labels: np.ndarray) -> Recognition | None:
        """None where the held-out clips show classes that were never trained on (one file a class), or one class."""
        train, train_labels = self._reconstructed("train", self.scale.classifier_clips)
        held_out, held_out_labels = self._reconstructed("test", self.scale.test_clips)
        classes = len(self.generator.class_names)
        if classes < 2 or not set(held_out_labels) <= set(train_labels):
            return None
        classifier = train_classifier(train, train_labels, classes, steps=self.scale.classifier_steps)
        return evaluate_recognition(classifier, classes, generated, labels, held_out, held_out_labels)

    def examples(self, generated: np.ndarray, labels: np.ndarray, count: int = 10) -> Examples:
        batch = next(self.batches("test", count))
        return Examples(
            real=batch["video"],
            reconstructed=to_uint8(self.tokenizer.reconstruct(batch["video"])),
            predicted=to_uint8(self.predict(batch["video"])),
            generated=generated[: 2 * count],
            generated_labels=labels[: 2 * count],
            given=self.given,
        )

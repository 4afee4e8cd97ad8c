"""Protocols: what is measured on which clips, given functions that reconstruct, predict or generate."""

from magvit_jax.evaluation.classifier import Classifier, ClipClassifier, train_classifier
from magvit_jax.evaluation.frame_prediction import FramePrediction, evaluate_frame_prediction
from magvit_jax.evaluation.measured import (
    Measured,
    measure_counts,
    measure_frechet,
    measure_inception,
    measure_mean,
)
from magvit_jax.evaluation.metric_set import MetricSet
from magvit_jax.evaluation.protocols import PROTOCOLS, Protocol, protocol
from magvit_jax.evaluation.recognition import Recognition, evaluate_recognition
from magvit_jax.evaluation.reconstruction import Reconstruction, evaluate_reconstruction
from magvit_jax.evaluation.small_features import FdSmall, SmallFeatures, fd_small, measure_fd_small
from magvit_jax.evaluation.streams import FeatureStream, PlacedNetwork, Seconds, feed
from magvit_jax.evaluation.tasks import MeasuredTask, TaskScore, evaluate_tasks

__all__ = [
    "PROTOCOLS",
    "PlacedNetwork",
    "Classifier",
    "ClipClassifier",
    "FdSmall",
    "FeatureStream",
    "FramePrediction",
    "Measured",
    "MeasuredTask",
    "MetricSet",
    "Protocol",
    "Recognition",
    "Reconstruction",
    "Seconds",
    "SmallFeatures",
    "TaskScore",
    "evaluate_frame_prediction",
    "evaluate_recognition",
    "evaluate_reconstruction",
    "evaluate_tasks",
    "fd_small",
    "feed",
    "measure_counts",
    "measure_fd_small",
    "measure_frechet",
    "measure_inception",
    "measure_mean",
    "protocol",
    "train_classifier",
]

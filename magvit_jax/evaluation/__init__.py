"""Protocols: what is measured on which clips, given functions that reconstruct, predict or generate."""

from magvit_jax.evaluation.classifier import Classifier, ClipClassifier, train_classifier
from magvit_jax.evaluation.frame_prediction import FramePrediction, evaluate_frame_prediction
from magvit_jax.evaluation.recognition import Recognition, evaluate_recognition
from magvit_jax.evaluation.reconstruction import Reconstruction, evaluate_reconstruction
from magvit_jax.evaluation.small_features import FdSmall, SmallFeatures, fd_small, measure_fd_small
from magvit_jax.evaluation.tasks import MeasuredTask, TaskScore, evaluate_tasks

__all__ = [
    "Classifier",
    "ClipClassifier",
    "FdSmall",
    "FramePrediction",
    "MeasuredTask",
    "Recognition",
    "Reconstruction",
    "SmallFeatures",
    "TaskScore",
    "evaluate_frame_prediction",
    "evaluate_recognition",
    "evaluate_reconstruction",
    "evaluate_tasks",
    "fd_small",
    "measure_fd_small",
    "train_classifier",
]

"""Protocols: what is measured on which clips, given functions that reconstruct, predict or generate."""

from magvit_jax.evaluation.classifier import Classifier, ClipClassifier, train_classifier
from magvit_jax.evaluation.frame_prediction import FramePrediction, evaluate_frame_prediction
from magvit_jax.evaluation.recognition import Recognition, evaluate_recognition
from magvit_jax.evaluation.reconstruction import Reconstruction, evaluate_reconstruction

__all__ = [
    "Classifier",
    "ClipClassifier",
    "FramePrediction",
    "Recognition",
    "Reconstruction",
    "evaluate_frame_prediction",
    "evaluate_recognition",
    "evaluate_reconstruction",
    "train_classifier",
]

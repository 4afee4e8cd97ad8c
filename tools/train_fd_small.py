"""Trains the network of `fd_small` (`magvit_jax/evaluation/small_features.py`) and writes its bundle.

    python tools/train_fd_small.py [--output=magvit_jax/evaluation/assets/fd_small]

Needs a few minutes of two cores and no data: the clips are the embedded moving digits, each in two random
colours of its own, since real clips have many, and half of them at half the speed. The same code and jax on
the same kind of processor give the same fingerprint. Numbers of another network are other numbers: never
replace the shipped one in a release that means to compare with the last.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import numpy as np

from magvit_jax import bundles
from magvit_jax.data.embedded import BACKGROUND, FOREGROUND, MOTIONS, render_clip
from magvit_jax.evaluation.classifier import Classifier, ClipClassifier, train_classifier
from magvit_jax.evaluation.small_features import BUNDLE, NAME

FRAMES, SIDE = 9, 32
MODEL = dict(classes=len(MOTIONS), widths=(16, 32, 64), halve=False, norm_groups=0, pooled=True, bounded=True)
TRAINING = dict(clips=8192, steps=1500, batch_size=64, seed=0)
TEST_CLIPS = 1000


def digits(split: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embedded clips in random colours, half of them slow: uint8 [N, T, H, W, 3], int [N].

    Classes take turns by index, so pairs of tens alternate in speed and each class has both.
    """
    rng = np.random.default_rng((seed, len(split)))
    videos, labels = np.empty((count, FRAMES, SIDE, SIDE, 3), np.uint8), np.empty(count, np.int64)
    for i in range(count):
        video, labels[i] = render_clip(seed, split, i, 2 * FRAMES - 1, SIDE, SIDE)
        slow, start = i // len(MOTIONS) % 2, int(rng.integers(FRAMES))
        videos[i] = recoloured(video[start : start + FRAMES] if slow else video[::2], rng)
    return videos, labels


def recoloured(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The digit and its ground in two uniformly random colours."""
    coverage = ((video / 255.0 - BACKGROUND) / (FOREGROUND - BACKGROUND)).mean(-1, keepdims=True)
    ground, digit = rng.uniform(size=(2, 3))
    return np.clip((ground + coverage * (digit - ground)) * 255 + 0.5, 0, 255).astype(np.uint8)


def described(classifier: Classifier, training: dict, accuracy: float) -> bundles.Bundle:
    """The bundle with its fingerprint."""
    config = dict(
        format_version=bundles.FORMAT_VERSION,
        kind="clip_classifier",
        name=NAME,
        step=training["steps"],
        model=dict(MODEL, widths=list(MODEL["widths"])),
        clip=dict(frames=FRAMES, height=SIDE, width=SIDE, stride=1),
        class_names=list(MOTIONS),
        training=dict(training, command="python tools/train_fd_small.py", jax=jax.__version__),
        test_accuracy=accuracy,
    )
    params = jax.tree.map(np.asarray, classifier.params)
    return bundles.Bundle(dict(config, fingerprint=bundles.fingerprint(config, params)), params)


def train(training: dict) -> bundles.Bundle:
    """Trains on the training split, and measures on the test split."""
    videos, labels = digits("train", training["clips"], training["seed"])
    classifier = train_classifier(
        videos,
        labels,
        len(MOTIONS),
        steps=training["steps"],
        batch_size=training["batch_size"],
        seed=training["seed"],
        model=ClipClassifier(**MODEL),
    )
    test, test_labels = digits("test", TEST_CLIPS, training["seed"])
    return described(classifier, training, round(float((classifier.predict(test) == test_labels).mean()), 4))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=BUNDLE, help="folder of the bundle")
    output = parser.parse_args().output
    bundle = train(TRAINING)
    bundles.write(bundle, output)
    found = bundle.config["fingerprint"], bundle.config["test_accuracy"]
    print(f"{output}: {found[0]}, {found[1]:.1%} of test clips recognised")


if __name__ == "__main__":
    main()

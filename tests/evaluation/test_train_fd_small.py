"""The tool that trains the network of `fd_small`: reproducible, and its bundle loads."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from magvit_jax import bundles
from magvit_jax.evaluation import SmallFeatures
from magvit_jax.evaluation.small_features import shipped

TOOL = Path(__file__).parents[2] / "tools" / "train_fd_small.py"
TRAINING = dict(clips=20, steps=2, batch_size=4, seed=0)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("train_fd_small", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_seed_decides_and_the_bundle_loads(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "TEST_CLIPS", 10)
    bundle, again = tool.train(TRAINING), tool.train(TRAINING)
    other = tool.train(dict(TRAINING, seed=1))
    assert bundle.config["fingerprint"] == again.config["fingerprint"] != other.config["fingerprint"]
    assert bundle.config["training"].items() >= TRAINING.items()
    network = SmallFeatures.load(bundles.write(bundle, tmp_path / "fd_small"))
    assert network.fingerprint == bundle.config["fingerprint"]
    assert network(np.zeros((1, 9, 32, 32, 3), np.uint8)).shape == (1, 64)
    assert network.model == shipped().model


def test_the_clips_have_colours_of_their_own_and_two_speeds(tool):
    videos, labels = tool.digits("train", 40, seed=0)
    np.testing.assert_array_equal(labels, np.arange(40) % 10)
    grounds = np.median(videos.reshape(40, -1, 3), axis=1)
    assert len(np.unique(grounds, axis=0)) == 40
    change = np.abs(np.diff(videos.astype(float), axis=1)).mean((1, 2, 3, 4)) / videos.std((1, 2, 3, 4))
    slow = np.arange(40) // 10 % 2 == 1
    assert change[slow].mean() < 0.8 * change[~slow].mean()

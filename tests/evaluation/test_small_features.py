"""The shipped network, what `fd_small` sees, and what it refuses."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import bundles, metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation import Classifier, SmallFeatures, fd_small, measure_fd_small
from magvit_jax.evaluation.distortions import DISTORTIONS
from magvit_jax.evaluation.small_features import BUNDLE, resize, shipped
from magvit_jax.tokenizer.tokenizer import ClipFormat
from magvit_jax.workflows.evaluate import test_clips as folder_clips

STRENGTHS = {  # the first changes nothing
    "blur": (0.0, 0.5, 1.0, 2.0, 4.0),
    "noise": (0.0, 0.025, 0.05, 0.1, 0.2),
    "shuffle": (1.0, 2.0, 4.0, 8.0, 16.0),
}


def test_the_shipped_bundle_is_what_was_trained():
    """Reading checks the fingerprint over config and weights; the config says how to train it again."""
    bundle = bundles.read(BUNDLE)
    assert bundle.kind == "clip_classifier" and bundle.config["name"] == "fd_small"
    assert bundle.config["training"]["command"] == "python tools/train_fd_small.py"
    assert bundle.config["fingerprint"] == shipped().fingerprint
    assert sum(file.stat().st_size for file in BUNDLE.iterdir()) < 400_000


def test_the_bundle_is_no_tokenizer():
    with pytest.raises(UserError, match="holds a clip_classifier; expected a tokenizer or a generator"):
        bundles.load_tokenizer(BUNDLE)


def test_the_shipped_network_tells_motions_apart(digits):
    network = shipped()
    predicted = Classifier(network.model, network.params).predict(digits[0])
    assert (predicted == digits[1]).mean() > 0.6  # one in ten by guessing


@pytest.mark.parametrize("frames", [1, 2, 5, 8, 9, 12, 16, 17])
def test_every_frame_of_a_clip_of_any_length_counts(frames):
    """Its strides of 8 frames end on the last one, wherever that is."""
    rng = np.random.default_rng(frames)
    clip = rng.random((1, frames, 32, 32, 3), np.float32)
    changed = np.repeat(clip, frames, axis=0)
    for frame in range(frames):
        changed[frame, frame] = rng.random((32, 32, 3), np.float32)
    moved = np.abs(shipped()(changed) - shipped()(clip)).max(axis=1)
    assert moved.shape == (frames,) and moved.min() > 1e-3, moved
    more = np.concatenate([clip[:, :1], clip], axis=1)
    same = np.allclose(shipped()(more), shipped()(clip), atol=1e-6)
    assert same == (frames % 8 != 1)  # one more first frame is what is put there


def grows(video, name):
    """Distances of the distorted clips from the clips, in the order of the strengths."""
    clean = video / np.float32(255)
    features = shipped()(clean)
    distorted = (DISTORTIONS[name](clean, strength) for strength in STRENGTHS[name])
    return [metrics.frechet_distance(features, shipped()(video)) for video in distorted]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_it_grows_with_distortion_of_the_embedded_clips(name, digits):
    distances = grows(digits[0], name)
    assert distances[0] == pytest.approx(0.0, abs=1e-9)
    assert np.all(np.diff(distances) > 0), distances
    assert distances[-1] > 10 * distances[1]


@pytest.fixture(scope="module")
def real_clips(real_data):
    folder = real_data / "video" / "asl_gestures"
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}; set MAGVIT_TEST_DATA")
    return np.concatenate([batch["video"] for batch in folder_clips(ClipFormat(9, 48, 64), folder, 96)])


@pytest.mark.parametrize("name", DISTORTIONS)
def test_it_grows_with_distortion_of_real_clips(name, real_clips):
    distances = grows(real_clips, name)
    assert len(real_clips) == 96
    assert distances[0] == pytest.approx(0.0, abs=1e-9)
    assert np.all(np.diff(distances) > 0), distances


def test_of_clips_and_themselves_it_is_zero_whatever_their_order(digits):
    assert fd_small(digits[0], digits[0][::-1]) == pytest.approx(0.0, abs=1e-6)
    motions = [digits[0][digits[1] == label] for label in (0, 1)]
    assert fd_small(*motions) > 0.1


def test_features_are_those_of_each_clip_alone(digits):
    whole = shipped()(digits[0][:70])  # more than a batch
    assert whole.shape == (70, 64) and whole.dtype == np.float32
    assert np.abs(whole).max() <= 1.0
    np.testing.assert_allclose(shipped()(digits[0][65:66])[0], whole[65], atol=1e-6)
    np.testing.assert_array_equal(shipped()(digits[0][:70]), whole)


def test_bytes_and_floats_are_the_same_pixels(digits):
    video = digits[0][:3]
    np.testing.assert_allclose(shipped()(video / 255.0), shipped()(video), atol=1e-6)
    np.testing.assert_allclose(shipped()(jnp.asarray(video / np.float32(255))), shipped()(video), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 32, 32), (5, 32, 32), (17, 20, 70), (9, 128, 96)])
def test_clips_of_any_size_and_length(shape):
    video = np.random.default_rng(0).integers(256, size=(2, *shape, 3), dtype=np.uint8)
    features = shipped()(video)
    assert features.shape == (2, 64) and np.isfinite(features).all()
    assert np.abs(features[0] - features[1]).max() > 1e-4


def naive_resize(frame_HWC, size):
    """Every output pixel a mean under a triangle around its centre, at least one input pixel wide."""
    for axis, new in enumerate(size):
        old = frame_HWC.shape[axis]
        scale = max(old / new, 1.0)
        centres = (np.arange(new) + 0.5) * old / new
        weights = np.clip(1 - np.abs(centres[:, None] - (np.arange(old) + 0.5)) / scale, 0, None)
        weights /= weights.sum(1, keepdims=True)
        frame_HWC = np.moveaxis(np.tensordot(weights, frame_HWC, axes=(1, axis)), 0, axis)
    return frame_HWC


@pytest.mark.parametrize("size", [(64, 64), (50, 40), (20, 100), (32, 32)])
def test_resizing_is_bilinear_and_antialiased(size):
    frame = np.random.default_rng(1).uniform(size=(*size, 3))
    found = resize(jnp.asarray(frame, jnp.float32)[None, None], (32, 32))[0, 0]
    np.testing.assert_allclose(found, naive_resize(frame, (32, 32)), atol=1e-5)


def test_an_interval_around_the_value():
    a, b = np.random.default_rng(2).normal(size=(2, 60, 5))
    apart = measure_fd_small(a, b, frames=9, paired=False)
    assert apart.value == metrics.frechet_distance(a, b)
    assert 0.0 <= apart.low < apart.value < apart.high
    assert (apart.clips, apart.frames, apart.confidence) == (60, 9, 0.95)
    assert measure_fd_small(a, b, frames=9, paired=False) == apart
    near = measure_fd_small(a, a + 0.01 * b, frames=9, paired=True)
    alone = measure_fd_small(a, a + 0.01 * b, frames=9, paired=False)
    assert near.high < alone.high / 10  # drawn together, a clip and its copy stay near each other


GOOD = np.zeros((2, 3, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (GOOD[0], r"fd_small of a video of shape \[3, 8, 8, 3\]"),
        (GOOD[..., :1], r"shape \[2, 3, 8, 8, 1\]: expected \[N, T, H, W, 3\]"),
        (GOOD[:0], r"shape \[0, 3, 8, 8, 3\]"),
        (GOOD.astype(np.int32), "of type int32: expected uint8"),
        (GOOD + np.float32(2), "float pixels: 2 to 2; expected 0 to 1"),
        (GOOD * np.float32(np.nan), "float pixels: NaN; expected 0 to 1"),
        (GOOD[:, :2], "fd_small of clips of 2 and 3 frames"),
        (GOOD[:1], "features_a: 1 sample; expected 2 or more"),
    ],
)
def test_bad_clips_are_named(video, message):
    with pytest.raises(UserError, match=message):
        fd_small(video, GOOD)


def test_another_folder_is_no_network(tmp_path):
    with pytest.raises(UserError, match="no bundle of fd_small"):
        SmallFeatures.load(tmp_path)
    shutil.copytree(BUNDLE, tmp_path / "other")
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text().replace('"fd_small"', '"fd_large"'))
    with pytest.raises(UserError, match="a bundle of 'fd_large'; expected 'fd_small'"):
        SmallFeatures.load(tmp_path / "other")

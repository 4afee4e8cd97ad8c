"""The perceptual distance on networks that can be computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.tokenizer.perceptual import FrozenNetwork, perceptual_distance, resize


def channel_sums(params, video_BTHWC):
    return params["scale"] * video_BTHWC.sum((1, 2, 3))


VIDEO = jax.random.uniform(jax.random.key(0), (2, 3, 4, 4, 3))
OUTPUT = jax.random.uniform(jax.random.key(1), (2, 3, 4, 4, 3))


def network(**fields):
    return FrozenNetwork(**(dict(features=channel_sums, params={"scale": jnp.float32(2.0)}, size=(4, 4)) | fields))


def test_frames_are_compared_one_by_one_and_clips_as_a_whole():
    difference = np.asarray(OUTPUT - VIDEO, np.float64)
    by_frame = np.square(2 * difference.sum((2, 3))).mean()
    assert float(perceptual_distance(network(), VIDEO, OUTPUT)) == pytest.approx(by_frame, rel=1e-5)
    by_clip = np.square(2 * difference.sum((1, 2, 3))).mean()
    assert float(perceptual_distance(network(clips=True), VIDEO, OUTPUT)) == pytest.approx(by_clip, rel=1e-5)


def test_several_arrays_of_features_count_the_same():
    several = network(features=lambda params, x: [channel_sums(params, x), x])
    expected = 0.5 * float(perceptual_distance(network(), VIDEO, OUTPUT)) + 0.5 * np.square(OUTPUT - VIDEO).mean()
    assert float(perceptual_distance(several, VIDEO, OUTPUT)) == pytest.approx(expected, rel=1e-5)


def test_only_the_output_learns():
    def distance(params, video, output):
        return perceptual_distance(network(params=params), video, output)

    grads = jax.grad(distance, argnums=(0, 1, 2))({"scale": jnp.float32(2.0)}, VIDEO, OUTPUT)
    assert float(grads[0]["scale"]) == 0.0 and float(jnp.abs(grads[1]).max()) == 0.0
    assert float(jnp.abs(grads[2]).min()) > 0.0


def test_resized_to_what_the_network_takes():
    seen = []

    def features(params, x):
        seen.append(x.shape)
        return x

    perceptual_distance(network(features=features, size=(8, 6)), VIDEO, OUTPUT)
    assert seen == [(6, 1, 8, 6, 3)] * 2
    assert resize(VIDEO, (4, 4)) is VIDEO


def test_bilinear_by_hand():
    """Half-pixel centres: new pixels lie at -1/4, 1/4, 3/4 and 5/4 of two old ones."""
    row = jnp.array([0.0, 1.0]).reshape(1, 1, 1, 2, 1)
    np.testing.assert_allclose(resize(row, (1, 4)).ravel(), [0.0, 0.25, 0.75, 1.0], atol=1e-6)

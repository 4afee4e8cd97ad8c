"""Patches, strided convolution down and depth-to-space up, against written-out examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.nn.resample import (
    Downsample,
    NearestUpsample,
    Upsample,
    average_pool,
    depth_to_space,
    space_to_depth,
)


def test_space_to_depth_written_out():
    pixels = jnp.arange(16, dtype=jnp.float32).reshape(1, 1, 4, 4, 1)
    folded = space_to_depth(pixels, 2)
    assert folded.shape == (1, 1, 2, 2, 4)
    assert folded[0, 0].tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]


def test_depth_to_space_written_out():
    depth = jnp.arange(8, dtype=jnp.float32).reshape(1, 1, 1, 1, 8)
    unfolded = depth_to_space(depth, (2, 2, 2))
    assert unfolded[0, ..., 0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    colours = depth_to_space(depth, (1, 1, 4))  # two channels: they are the fastest part
    assert colours[0, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_depth_to_space_is_the_inverse_of_patches(patch):
    video = jax.random.normal(jax.random.key(0), (2, 3, 6, 12, 3))
    back = depth_to_space(space_to_depth(video, patch), (1, patch, patch))
    np.testing.assert_array_equal(back, video)


def test_upsample_drops_the_first_frames_but_one():
    # A kernel that multiplies by 1, 2, 3: what each frame of the block would be is plain to see.
    up = Upsample(strides=(3, 1, 1))
    x = jnp.asarray([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1, 1)
    kernel = np.zeros((3, 3, 3, 1, 3), np.float32)
    kernel[-1, 1, 1, 0] = [1, 2, 3]
    y = up.apply({"params": {"conv": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(3)}}}, x)
    assert y[0, :, 0, 0, 0].tolist() == [30, 20, 40, 60, 30, 60, 90]


@pytest.mark.parametrize("strides", [(1, 2, 2), (2, 2, 2), (4, 1, 1), (3, 2, 1)])
def test_one_and_s_t_frames_become_one_and_t_and_back(strides):
    st, sh, sw = strides
    shape = (1, 1 + 3 * st, 4 * sh, 4 * sw, 4)
    down, up = Downsample(strides), Upsample(strides)
    small = jax.eval_shape(lambda x: down.init_with_output(jax.random.key(0), x)[0], jnp.zeros(shape))
    assert small.shape == (1, 4, 4, 4, 4)
    large = jax.eval_shape(lambda x: up.init_with_output(jax.random.key(0), x)[0], jnp.zeros(small.shape))
    assert large.shape == shape


def test_downsample_never_looks_ahead():
    down = Downsample((2, 2, 2))
    x = jax.random.normal(jax.random.key(0), (1, 7, 4, 4, 2))
    params = down.init(jax.random.key(1), x)
    slopes = jax.jit(jax.jacrev(lambda x: down.apply(params, x).sum((0, 2, 3, 4))))(x)
    seen = np.any(np.asarray(slopes), axis=(1, 3, 4, 5))
    expected = [[2 * i - 2 <= frame <= 2 * i for frame in range(7)] for i in range(4)]
    np.testing.assert_array_equal(seen, expected)


def one_tap(weights):
    """A 3x3x3 kernel that multiplies the position itself by `weights`, one an output channel."""
    kernel = np.zeros((3, 3, 3, 1, len(weights)), np.float32)
    kernel[-1, 1, 1, 0] = weights
    return {"params": {"conv": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(len(weights))}}}


def test_upsample_that_keeps_the_first_frame_written_out():
    """Open-MAGVIT2's rule: channels are (time, height, width), output frame 1 is dropped, 0, 2 and 3 stay."""
    x = jnp.asarray([10.0, 20.0]).reshape(1, 2, 1, 1, 1)
    variables = one_tap([1, 2, 3, 4, 5, 6, 7, 8])
    y = Upsample((2, 2, 2), kept_frame="first").apply(variables, x)[0, ..., 0]
    assert y.tolist() == [[[10, 20], [30, 40]], [[20, 40], [60, 80]], [[100, 120], [140, 160]]]
    alone = Upsample((2, 2, 2), kept_frame="first").apply(variables, x[:, :1])[0, ..., 0]
    assert alone.tolist() == [[[10, 20], [30, 40]]]
    thesis = Upsample((2, 2, 2)).apply(variables, x)[0, ..., 0]
    assert thesis.tolist() == [[[50, 60], [70, 80]], [[20, 40], [60, 80]], [[100, 120], [140, 160]]]


def test_strided_convolution_pads_one_on_every_side_written_out():
    """A kernel of ones over ones counts the pixels that it meets: fewer at the top and left, all elsewhere."""
    variables = {"params": {"conv": {"kernel": jnp.ones((1, 3, 3, 1, 1)), "bias": jnp.zeros(1)}}}
    y = Downsample((1, 2, 2), kernel=(1, 3, 3)).apply(variables, jnp.ones((1, 1, 4, 4, 1)))
    assert y[0, 0, ..., 0].tolist() == [[4, 6], [6, 9]]


def test_average_pool_written_out():
    frames = jnp.asarray([1.0, 2.0, 4.0, 8.0, 16.0]).reshape(1, 5, 1, 1, 1)
    assert average_pool(frames, (2, 1, 1))[0, :, 0, 0, 0].tolist() == [1, 3, 12]
    assert average_pool(frames, (4, 1, 1))[0, :, 0, 0, 0].tolist() == [1, 7.5]
    assert average_pool(frames[:, 1:], (2, 1, 1), later=True)[0, :, 0, 0, 0].tolist() == [3, 12]
    pixels = jnp.arange(8.0).reshape(1, 1, 2, 4, 1)
    assert average_pool(pixels, (2, 2, 2))[0, 0, :, :, 0].tolist() == [[2.5, 4.5]]


def test_nearest_upsample_written_out():
    x = jnp.asarray([1.0, 2.0]).reshape(1, 2, 1, 1, 1)
    y = NearestUpsample((3, 1, 2)).apply(one_tap([10]), x)[0, ..., 0]
    assert y.tolist() == [[[10, 10]], [[20, 20]], [[20, 20]], [[20, 20]]]
    # The convolution comes after the repetition and sees earlier frames only: here the sum of three.
    kernel = np.zeros((3, 3, 3, 1, 1), np.float32)
    kernel[:, 1, 1] = 1
    variables = {"params": {"conv": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(1)}}}
    assert NearestUpsample((3, 1, 1)).apply(variables, x)[0, :, 0, 0, 0].tolist() == [1, 3, 5, 6]

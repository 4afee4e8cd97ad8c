"""Padding by the mask alone, beyond what the ten tasks ask of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens.padding import PADDINGS, identity, pad, sources


def padded(values, given, padding):
    """One row of pixels: values and given are [T, W]."""
    values = jnp.asarray(values, jnp.float32)[None, :, None, :, None]
    return np.asarray(pad(values, np.asarray(given, bool)[:, None], padding))[0, :, 0, :, 0].tolist()


VALUES = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
GIVEN = [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("zero", [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 12]]),
        # The frame in between has nothing given: it takes the earlier of its two neighbours.
        ("edge", [[1, 1, 1, 1], [1, 1, 1, 1], [12, 12, 12, 12]]),
        # Columns 0 and 3 are given once each, and stay; columns 1 and 2 take what their nearest column takes.
        ("last", [[1, 1, 12, 12]] * 3),
        ("linear", [[1, 1, 12, 12]] * 3),
    ],
)
def test_scattered_pixels_written_out(padding, expected):
    assert padded(VALUES, GIVEN, padding) == expected


def test_time_goes_from_the_last_before_to_the_first_after():
    given = [[0], [1], [0], [0], [0], [1], [0]]
    values = [[9], [2], [9], [9], [9], [4], [9]]
    assert padded(values, given, "last") == [[2], [2], [2], [2], [2], [4], [4]]
    assert padded(values, given, "linear") == [[2], [2], [2.5], [3], [3.5], [4], [4]]
    assert padded(values, given, "edge") == [[2], [2], [2], [2], [4], [4], [4]]


def test_edge_takes_the_nearest_pixel_around_a_hole():
    given = np.ones((1, 5, 5), bool)
    given[0, 1:4, 1:4] = False
    video = jnp.arange(25.0).reshape(1, 1, 5, 5, 1)
    out = np.asarray(pad(video, given, "edge"))[0, 0, :, :, 0]
    assert (out[1, 2], out[2, 1], out[2, 3], out[3, 2]) == (2, 10, 14, 22)
    assert out[2, 2] in (2, 10, 14, 22)  # all of them are two pixels away


@pytest.mark.parametrize("padding", PADDINGS)
def test_of_random_masks_given_pixels_stay_and_others_come_from_them(padding):
    rng = np.random.default_rng(0)
    given = rng.random((3, 4, 5, 6)) < 0.3
    video = jnp.asarray(rng.uniform(1, 2, (3, 4, 5, 6, 2)), jnp.float32)
    out = np.asarray(pad(video, given, padding))
    np.testing.assert_array_equal(out[given], np.asarray(video)[given])
    other = jnp.where(jnp.asarray(given)[..., None], video, 7.0)
    np.testing.assert_array_equal(out, pad(other, given, padding))
    if padding != "zero":
        assert out.min() >= 1  # no pixel is made of nothing
    each = [np.asarray(pad(video[i : i + 1], given[i], padding)) for i in range(3)]
    np.testing.assert_array_equal(out, np.concatenate(each))


@pytest.mark.parametrize("padding", PADDINGS)
def test_of_nothing_given_all_is_zero(padding):
    assert not np.any(pad(jnp.ones((1, 2, 3, 4, 3)), np.zeros((2, 3, 4), bool), padding))


def test_the_type_of_the_video_is_kept():
    video = jnp.ones((1, 3, 4, 4, 3), jnp.bfloat16)
    given = np.zeros((3, 4, 4), bool)
    given[[0, 2]] = True
    out = jax.jit(lambda x: pad(x, given, "linear"))(video)
    assert out.dtype == jnp.bfloat16 and np.all(np.asarray(out, np.float32) == 1)


def test_shares_add_up_to_one_or_none():
    given = np.random.default_rng(0).random((4, 5, 6)) < 0.3
    for padding in PADDINGS:
        found = sources(given, padding)
        total = found.first_share_P + found.second_share_P
        expected = given.reshape(-1) if padding == "zero" else np.ones(given.size)
        np.testing.assert_allclose(total, expected, atol=1e-6)
    np.testing.assert_array_equal(identity((2, 3, 4)).first_P, np.arange(24))


def test_an_unknown_padding_is_named():
    with pytest.raises(UserError, match="padding 'mirror' is unknown; known are: edge, zero, linear, last"):
        pad(jnp.ones((1, 2, 2, 2, 3)), np.ones((2, 2, 2), bool), "mirror")

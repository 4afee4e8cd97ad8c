"""Blur pooling: its weights written out, its borders, and its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.nn.blur import blur_pool
from magvit_jax.nn.pool import average_pool


def row(*values, axis=3):
    shape = [1] * 5
    shape[axis] = len(values)
    return jnp.array(values, jnp.float32).reshape(shape)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_weights_by_hand(axis):
    """1, 3, 3, 1 around each pair; at the border the weights on what is there sum to one."""
    window = [1, 1, 1]
    window[axis - 1] = 2
    y = blur_pool(row(1, 2, 4, 8, 16, 32, axis=axis), window).ravel()
    expected = [(3 * 1 + 3 * 2 + 4) / 7, (2 + 3 * 4 + 3 * 8 + 16) / 8, (8 + 3 * 16 + 3 * 32) / 7]
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_odd_sizes_round_up():
    y = blur_pool(row(1, 2, 4), (1, 1, 2)).ravel()
    np.testing.assert_allclose(y, [(3 * 1 + 3 * 2 + 4) / 7, (2 + 3 * 4) / 4], rtol=1e-6)
    assert blur_pool(jnp.ones((2, 1, 5, 1, 3)), (2, 2, 2)).shape == (2, 1, 3, 1, 3)


def test_flat_stays_flat_and_axes_are_independent():
    np.testing.assert_allclose(blur_pool(jnp.full((1, 5, 6, 7, 2), 3.0), (2, 2, 2)), 3.0, rtol=1e-6)
    x = jax.random.normal(jax.random.key(0), (2, 6, 5, 4, 3))
    apart = x
    for window in ((1, 1, 2), (2, 1, 1), (1, 2, 1)):
        apart = blur_pool(apart, window)
    np.testing.assert_allclose(blur_pool(x, (2, 2, 2)), apart, atol=1e-6)


def test_centred_as_the_average_is():
    """Of a straight line both give the line's value at the middle of each pair, but at the borders."""
    line = row(*range(12))
    np.testing.assert_allclose(
        blur_pool(line, (1, 1, 2)).ravel()[1:-1], average_pool(line, (1, 1, 2)).ravel()[1:-1], rtol=1e-6
    )


def test_less_aliasing_than_the_average():
    """What shift invariance is about: a wave near the Nyquist rate, moved by one pixel, looks more like itself."""

    def change(pool):
        waves = [row(*np.sin(0.85 * np.pi * (np.arange(64) + shift))) for shift in (0, 1)]
        return max(float(jnp.abs(pool(wave, (1, 1, 2))[0, 0, 0, 2:-2, 0]).max()) for wave in waves)

    assert change(blur_pool) < 0.3 * change(average_pool)


def test_narrow_floats_are_summed_in_float32():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 4, 2), jnp.bfloat16)
    y = blur_pool(x, (2, 2, 2))
    assert y.dtype == jnp.bfloat16
    wide = blur_pool(x.astype(jnp.float32), (2, 2, 2))
    np.testing.assert_array_equal(y, wide.astype(jnp.bfloat16))


def test_other_windows_are_refused():
    with pytest.raises(ValueError, match="window \\(1, 4, 2\\)"):
        blur_pool(row(1, 2), (1, 4, 2))

"""Average pooling that counts no padding, and repetition, against written-out examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.nn.pool import average_pool, repeat_nearest


def line(*values):
    """A clip of one pixel: its frames."""
    return jnp.asarray(values, jnp.float32).reshape(1, -1, 1, 1, 1)


def test_a_last_window_that_sticks_out_is_the_mean_of_what_it_holds():
    assert average_pool(line(1, 3, 5), (2, 1, 1)).ravel().tolist() == [2.0, 5.0]
    assert average_pool(line(1, 2, 6, 7, 9), (3, 1, 1)).ravel().tolist() == [3.0, 8.0]
    assert average_pool(line(4), (2, 2, 2)).ravel().tolist() == [4.0]


def test_odd_sizes_on_every_axis_written_out():
    x = jnp.arange(18, dtype=jnp.float32).reshape(1, 2, 3, 3, 1)
    pooled = average_pool(x, (2, 2, 2))
    # The mean of both frames adds 4.5 to the first one: rows (0 1 2) (3 4 5) (6 7 8).
    assert (pooled[0, 0, :, :, 0] - 4.5).tolist() == [[2.0, 3.5], [6.5, 8.0]]


@pytest.mark.parametrize("shape", [(2, 4, 6, 8, 3), (1, 3, 5, 7, 2)])
@pytest.mark.parametrize("window", [(1, 2, 2), (2, 2, 2), (2, 1, 3)])
def test_against_a_loop_over_windows(shape, window):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    pooled = np.asarray(average_pool(jnp.asarray(x), window))
    for t, i, j in np.ndindex(*pooled.shape[1:4]):
        cut = tuple(slice(at * n, (at + 1) * n) for at, n in zip((t, i, j), window, strict=True))
        expected = x[(slice(None), *cut)].astype(np.float64).mean((1, 2, 3))
        np.testing.assert_allclose(pooled[:, t, i, j], expected, atol=1e-6)
    assert pooled.shape[1:4] == tuple(-(-n // w) for n, w in zip(shape[1:4], window, strict=True))


def test_the_gradient_is_shared_out_over_what_a_window_holds():
    slope = jax.grad(lambda x: (average_pool(x, (2, 1, 1)) * line(6, 10)).sum())(line(1, 3, 5))
    assert slope.ravel().tolist() == [3.0, 3.0, 10.0]


def test_sums_of_narrow_floats_are_wide():
    x = jnp.full((1, 1, 32, 32, 1), 1.0078125, jnp.bfloat16)
    pooled = average_pool(x, (1, 32, 32))
    assert pooled.dtype == jnp.bfloat16 and float(pooled[0, 0, 0, 0, 0]) == 1.0078125


def test_repetition_written_out():
    x = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 1, 2, 1)
    repeated = repeat_nearest(x, (2, 1, 2))
    assert repeated[0, :, 0, :, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_pooling_undoes_repetition():
    x = jax.random.normal(jax.random.key(0), (2, 2, 3, 4, 3))
    np.testing.assert_allclose(average_pool(repeat_nearest(x, (2, 2, 2)), (2, 2, 2)), x, atol=1e-6)

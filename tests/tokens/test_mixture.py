"""Tasks drawn for each example of a batch."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import MAGVIT2

from magvit_jax.errors import UserError
from magvit_jax.partitioning import batch_sharding, make_mesh
from magvit_jax.tokens import LatentGrid, TaskMixture, build_task

SMALL = LatentGrid(3, 4, 4, strides=(4, 2, 2), leading_frame=True, causal=True)  # 9x8x8 pixels
HALF = dict(height=0.5, width=0.5)
ALL_TEN = (
    ("frame_prediction", dict(frames=5, padding="last")),
    ("frame_interpolation", dict(frames=1, frames_end=1, padding="linear")),
    ("central_outpainting", dict(**HALF, padding="edge", window="analytic")),
    ("vertical_outpainting", dict(width=0.5, padding="edge", window="analytic")),
    ("horizontal_outpainting", dict(height=0.5, padding="edge", window="analytic")),
    ("dynamic_outpainting", dict(width=0.5, direction="left_to_right", padding="zero", window="supervoxel")),
    ("central_inpainting", dict(**HALF, padding="zero", window="analytic")),
    ("dynamic_inpainting", dict(**HALF, direction="left_to_right", padding="zero", window="analytic")),
    ("class_conditional", dict()),
    ("class_conditional_frame_prediction", dict(frames=2, padding="last")),
)


def ten(grid=SMALL):
    return TaskMixture(tuple(build_task(*task) for task in ALL_TEN), (1.0,) * 10, grid)


def two(frames=5, grid=SMALL, weights=(3.0, 1.0)):
    tasks = (
        build_task("frame_prediction", dict(frames=frames, padding="last")),
        build_task("class_conditional"),
    )
    return TaskMixture(tasks, weights, grid)


def test_draws_by_weight_and_by_the_examples_own_key():
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(two().draw(keys))
    assert abs(np.mean(drawn == 0) - 0.75) < 0.03
    np.testing.assert_array_equal(two().draw(keys[17:23]), drawn[17:23])
    share = np.bincount(np.asarray(ten().draw(keys)), minlength=10) / 4000
    assert np.all(abs(share - 0.1) < 0.02)


def test_each_example_gets_its_own_region_label_and_padding():
    mixture, task_B = ten(), jnp.asarray([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 5], jnp.int32)
    video = jax.random.uniform(jax.random.key(1), (12, *SMALL.pixel_shape, 3))
    region, padded = jax.jit(lambda task_B: (mixture.region(task_B), mixture.pad(video, task_B)))(task_B)
    for i, index in enumerate(np.asarray(task_B)):
        task = mixture.tasks[index]
        np.testing.assert_array_equal(region[i], task.region(SMALL))
        expected = video[i : i + 1] if task.exact(SMALL) else task.pad(video[i : i + 1])
        np.testing.assert_allclose(padded[i], expected[0], atol=1e-6)
        given = task.given(SMALL.pixel_shape)
        np.testing.assert_array_equal(padded[i][given], video[i][given])
    labels = np.asarray(mixture.labels(task_B, jnp.arange(12)))
    assert labels.tolist() == [0, 1] + [-1] * 10


def test_examples_on_many_devices_are_padded_where_they_are():
    mixture, placed = ten(), batch_sharding(make_mesh(dict(data=8)))
    video = jax.random.uniform(jax.random.key(1), (16, *SMALL.pixel_shape, 3))
    task_B = jnp.arange(16) % 10
    pad = jax.jit(mixture.pad)
    spread = pad.lower(jax.device_put(video, placed), jax.device_put(task_B, placed)).compile()
    assert not re.search("all-(gather|reduce|to-all)|collective", spread.as_text())
    out = spread(jax.device_put(video, placed), jax.device_put(task_B, placed))
    np.testing.assert_array_equal(out, pad(video, task_B))


def test_where_no_task_interpolates_the_paddings_are_the_same():
    mixture, video = two(frames=4), jax.random.uniform(jax.random.key(1), (3, 9, 8, 8, 3))
    padded = mixture.pad(video, jnp.asarray([1, 0, 1]))
    np.testing.assert_array_equal(padded[0], video[0])
    np.testing.assert_array_equal(padded[1], mixture.tasks[0].pad(video)[1])


def test_it_is_exact_only_if_each_task_is():
    assert two(frames=5).exact and not two(frames=4).exact and not ten().exact
    assert not two(frames=5, grid=dataclasses.replace(SMALL, causal=False)).exact


def test_a_clip_that_one_of_the_tasks_does_not_fit_is_an_error_at_once():
    with pytest.raises(UserError, match="frame_prediction: 9 frames given of 9: none is left"):
        two(frames=9)
    ten(MAGVIT2)
    with pytest.raises(UserError, match="frame_interpolation: 2 frames given of 2"):
        tasks = (build_task(*ALL_TEN[1]),)
        grid = LatentGrid(1, 4, 4, strides=(2, 2, 2), leading_frame=False, causal=False)
        TaskMixture(tasks, (1.0,), grid)
    with pytest.raises(UserError, match="central_outpainting: window: 0.5 of a height of 1 cells is 1"):
        TaskMixture((build_task(*ALL_TEN[2]),), (1.0,), dataclasses.replace(SMALL, height=1))


@pytest.mark.parametrize("weights", [(0.0, 1.0), (1.0,), (-1.0, 2.0), (float("nan"), 1.0)])
def test_weights_that_make_no_mixture_are_refused(weights):
    with pytest.raises(UserError, match="task mixture"):
        two(weights=weights)

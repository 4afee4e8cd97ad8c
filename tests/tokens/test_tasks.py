import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens import TASKS, LatentGrid, TaskMixture, build_task

CAUSAL = LatentGrid(frames=5, height=2, width=2, temporal_stride=4, causal=True)
NON_CAUSAL = LatentGrid(frames=4, height=2, width=2, temporal_stride=4, causal=False)


def frame_prediction(frames):
    return build_task("frame_prediction", {"frames": frames})


def test_a_grid_knows_its_clip():
    assert (CAUSAL.pixel_frames, CAUSAL.num_tokens) == (17, 20)
    assert (NON_CAUSAL.pixel_frames, NON_CAUSAL.num_tokens) == (16, 16)


@pytest.mark.parametrize(
    ("grid", "frames", "latent_frames", "exact"),
    [
        (CAUSAL, 1, 1, True),
        (CAUSAL, 2, 2, False),
        (CAUSAL, 4, 2, False),
        (CAUSAL, 5, 2, True),
        (CAUSAL, 6, 3, False),
        (CAUSAL, 16, 5, False),
        (NON_CAUSAL, 1, 1, False),
        (NON_CAUSAL, 4, 1, False),  # its encoder looks ahead, so even a whole latent frame differs
        (NON_CAUSAL, 5, 2, False),
    ],
)
def test_frame_prediction_covers_every_latent_frame_that_holds_a_given_frame(grid, frames, latent_frames, exact):
    task = frame_prediction(frames)
    per_frame = task.region(grid).all(axis=(1, 2))
    np.testing.assert_array_equal(per_frame, np.arange(grid.frames) < latent_frames)
    assert task.region(grid).any(axis=(1, 2)).sum() == latent_frames
    assert task.exact(grid) is exact
    assert (task.given_frames, task.uses_class) == (frames, False)


def test_frame_prediction_repeats_the_last_given_frame():
    video = jnp.arange(6, dtype=jnp.float32).reshape(1, 6, 1, 1, 1)
    np.testing.assert_array_equal(frame_prediction(3).pad(video).reshape(-1), [0, 1, 2, 2, 2, 2])


def test_padding_never_sees_what_has_to_be_predicted():
    video = jax.random.uniform(jax.random.key(0), (2, 9, 4, 4, 3))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(frame_prediction(5).pad(x)))))(video)
    assert not np.any(gradient[:, 5:]) and np.all(gradient[:, :5] != 0)


def test_class_conditional_gives_no_pixel():
    task = build_task("class_conditional")
    assert not task.region(CAUSAL).any() and task.region(CAUSAL).shape == (5, 2, 2)
    assert not np.any(task.pad(jnp.ones((1, 17, 2, 2, 3))))
    assert task.uses_class and task.given_frames == 0 and task.exact(CAUSAL)


def test_names_of_tasks_are_their_keys():
    assert frame_prediction(1).name in TASKS and build_task("class_conditional").name in TASKS


def test_mistakes_are_named():
    with pytest.raises(UserError, match="known are: frame_prediction, class_conditional"):
        build_task("teleportation")
    with pytest.raises(UserError, match=r"settings \['frame'\], expected \['frames'\]"):
        build_task("frame_prediction", {"frame": 1})
    with pytest.raises(UserError, match="17 frames given of 17"):
        frame_prediction(17).region(CAUSAL)
    with pytest.raises(UserError, match="5 frames given of 5"):
        frame_prediction(5).pad(jnp.zeros((1, 5, 2, 2, 3)))
    with pytest.raises(UserError, match="0 given frames"):
        frame_prediction(0)
    with pytest.raises(UserError, match="weights"):
        TaskMixture((frame_prediction(1),), (0.0,), CAUSAL)


def mixture(frames=5, grid=CAUSAL):
    return TaskMixture((frame_prediction(frames), build_task("class_conditional")), (3.0, 1.0), grid)


def test_mixture_draws_by_weight_and_by_the_examples_own_key():
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(mixture().draw(keys))
    assert abs(np.mean(drawn == 0) - 0.75) < 0.03
    np.testing.assert_array_equal(mixture().draw(keys[17:23]), drawn[17:23])


def test_mixture_gives_each_example_its_region_label_and_padding():
    task_B, label_B = jnp.array([1, 0, 1]), jnp.array([4, 5, -1])
    region = mixture().region(task_B)
    np.testing.assert_array_equal(region.reshape(3, 5, 4).sum(-1), [[0] * 5, [4, 4, 0, 0, 0], [0] * 5])
    np.testing.assert_array_equal(mixture().labels(task_B, label_B), [4, -1, -1])
    video = jax.random.uniform(jax.random.key(1), (3, 17, 2, 2, 3))
    np.testing.assert_array_equal(mixture().pad(video, task_B), video)  # all exact: nothing to tokenize again
    padded = mixture(frames=4).pad(video, task_B)
    np.testing.assert_array_equal(padded[1, 4:], jnp.broadcast_to(video[1, 3], (13, 2, 2, 3)))
    np.testing.assert_array_equal(padded[0], video[0])


def test_mixture_is_exact_only_if_each_task_is():
    assert mixture(frames=5).exact and not mixture(frames=4).exact
    assert not mixture(frames=5, grid=dataclasses.replace(CAUSAL, causal=False)).exact

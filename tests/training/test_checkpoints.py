"""Whole checkpoints, half ones, and those of other models."""

import asyncio
import gc
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh, replicated
from magvit_jax.training.checkpoints import Checkpoints, checkpoint_steps, latest_step, restore
from magvit_jax.training.state import LoopState, TrainState


def make_state(value=1.0, size=6):
    params = {"kernel": jnp.full((size, 2), value), "list": [jnp.full(3, value), jnp.zeros((), jnp.int32)]}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1, mask=lambda p: True))
    players = {"a": TrainState.create(params, optimizer, 0.9), "b": TrainState.create(params, optimizer)}
    return LoopState.create(players)


def abstract(state):
    sharding = replicated(make_mesh({}, jax.devices()[:1]))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with the checkpoints 20 and 30; 10 was one too many."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoints = Checkpoints(folder, keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step, make_state(float(step)), {"step": step})
    checkpoints.wait()
    checkpoints.close()
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def test_the_newest_are_kept_and_come_back(saved):
    assert checkpoint_steps(saved) == [20, 30] and latest_step(saved) == 30
    state, position = restore(saved, abstract(make_state()), 20)
    assert position == {"step": 20}
    assert jax.tree.structure(state) == jax.tree.structure(make_state())
    jax.tree.map(np.testing.assert_array_equal, state, make_state(20.0))


def test_no_checkpoints(tmp_path):
    assert checkpoint_steps(tmp_path) == [] and latest_step(tmp_path / "absent") is None


@pytest.mark.parametrize("lost", ["_CHECKPOINT_METADATA", "state", "state/manifest.ocdbt", "position"])
def test_half_a_checkpoint_is_none(copy, lost):
    victim = copy / "checkpoints" / "30" / lost
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    assert latest_step(copy) == 20
    assert (copy / "checkpoints" / "30").exists()  # looking changes nothing


def test_starting_again_removes_half_checkpoints_only(copy):
    folder = copy / "checkpoints"
    shutil.copytree(folder / "30", folder / "40.orbax-checkpoint-tmp")
    (folder / "40.orbax-checkpoint-tmp" / "_CHECKPOINT_METADATA").unlink()
    (folder / "50" / "state").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    checkpoints = Checkpoints(copy, keep=2)
    assert checkpoints.removed == ["40.orbax-checkpoint-tmp", "50"]
    assert sorted(entry.name for entry in folder.iterdir()) == ["20", "30", "notes.txt"]
    checkpoints.save(50, make_state(50.0), {"step": 50})
    checkpoints.wait()
    checkpoints.close()
    assert checkpoint_steps(copy) == [30, 50]


def test_saving_is_not_disturbed_by_the_steps_that_follow(tmp_path):
    """The state is donated to the next step while it is still being written."""
    size = 2_000_000
    step = jax.jit(lambda x: jax.tree.map(lambda leaf: leaf + 1, x), donate_argnums=0)
    state = step(LoopState.create({"big": jnp.zeros(size)}))
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, state, {})
    for _ in range(20):
        state = step(state)
    checkpoints.wait()
    checkpoints.close()
    found, _ = restore(tmp_path, abstract(state), 1)
    np.testing.assert_array_equal(found.system["big"], np.ones(size))


def test_another_model_is_named(saved):
    with pytest.raises(UserError, match=r"another model: system.a.params.kernel is of shape \(6, 2\)"):
        restore(saved, abstract(make_state(size=7)), 30)
    state = make_state()
    with pytest.raises(UserError, match="another model: system.b.* is not part of this one"):
        restore(saved, abstract(state.replace(system={"a": state.system["a"]})), 30)
    with pytest.raises(UserError, match="another model: system.c is absent"):
        restore(saved, abstract(state.replace(system={**state.system, "c": jnp.zeros(2)})), 30)


def test_damaged_contents_are_named(copy):
    (copy / "checkpoints" / "30" / "state" / "manifest.ocdbt").write_bytes(b"")
    with pytest.raises(UserError, match="checkpoints/30: cannot be read.*delete it"):
        restore(copy, abstract(make_state()), 30)
    assert restore(copy, abstract(make_state()), 20)[1] == {"step": 20}


def test_keep_at_least_one(tmp_path):
    with pytest.raises(UserError, match="checkpoint_keep: 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_write_that_fails_for_many_arrays_is_one_error(tmp_path, caplog):
    """Asyncio would print a traceback for each array whose failure nobody asked for."""
    Checkpoints(tmp_path, keep=1).close()

    async def fail(text):
        raise ValueError(text)

    async def fail_unseen(*texts):
        tasks = [asyncio.create_task(fail(text)) for text in texts]
        await asyncio.sleep(0)
        del tasks
        gc.collect()

    caplog.clear()
    asyncio.run(fail_unseen("No space left on device [tensorstore_spec='{}']", "of something else"))
    [seen] = [record for record in caplog.records if record.name == "asyncio"]
    assert str(seen.exc_info[1]) == "of something else"

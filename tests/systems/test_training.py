"""Both systems through `workflows.train`: learning, meshes, resuming, warm starts, and what is refused."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_models import quiet_train, tiny_config

from magvit_jax import bundles, data, systems
from magvit_jax.errors import UserError

STAGES = ("tokenizer", "generator")


def run_config(tiny, stage, *more):
    trained = getattr(tiny, stage)
    paths = (f"tokenizer={trained.config.tokenizer}",) if stage == "generator" else ()
    return tiny_config(stage, *paths, *more)


def records(workdir):
    lines = (Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "train"]


def losses(workdir):
    return [{name: x for name, x in record.items() if "loss" in name} for record in records(workdir)]


def leaves(state):
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}


def files(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_the_tokenizer_learns_a_batch(tmp_path):
    # Eight training clips and batches of eight: every step sees the same clips.
    config = tiny_config(
        "tokenizer", "data.size=8", "training.steps=25", "training.checkpoint_every=0", "optimizer.learning_rate=0.01"
    )
    quiet_train(config, tmp_path / "run")
    first, *_, last = records(tmp_path / "run")
    assert last["reconstruction_loss"] < 0.5 * first["reconstruction_loss"]
    assert last["psnr"] > first["psnr"] + 3


@pytest.mark.parametrize("stage", STAGES)
def test_eight_devices_give_the_losses_of_one(tiny, stage, tmp_path):
    mesh = ("mesh.data=2", "mesh.fsdp=2", "mesh.tensor=2")
    state = quiet_train(run_config(tiny, stage, *mesh), tmp_path / "run", devices=8)
    assert any(not x.sharding.is_fully_replicated for x in jax.tree.leaves(state))
    one, eight = losses(getattr(tiny, stage).workdir), losses(tmp_path / "run")
    assert len(one) == len(eight) == 4
    for a, b in zip(one, eight, strict=True):
        assert a == pytest.approx(b, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tiny, stage, tmp_path):
    trained = getattr(tiny, stage)
    workdir = tmp_path / "run"
    shutil.copytree(trained.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "4")  # as if it had been killed after step 2
    state = quiet_train(run_config(tiny, stage), workdir)
    resumed, whole = leaves(state), leaves(trained.state)
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert losses(workdir) == losses(trained.workdir)


def test_microbatches_see_the_same_masks(tiny, tmp_path):
    """The batch's mean is the mean over microbatches where every position weighs the same, as here."""
    quiet_train(run_config(tiny, "generator", "training.microbatches=2"), tmp_path / "run")
    for whole, halves in zip(records(tiny.generator.workdir), records(tmp_path / "run"), strict=True):
        assert halves["masked_share"] == pytest.approx(whole["masked_share"], rel=1e-6)
        assert halves["loss"] == pytest.approx(whole["loss"], rel=1e-4)


def test_training_never_changes_the_tokenizer(tiny):
    given = bundles.read(tiny.tokenizer.bundle).params
    frozen = leaves(tiny.generator.state.system.tokenizer)
    assert frozen.keys() == leaves(given).keys()
    for name, value in leaves(given).items():
        np.testing.assert_array_equal(frozen[name], value, err_msg=name)
    assert all(np.any(value != 0) for name, value in frozen.items() if "kernel" in name)


def test_a_run_can_begin_with_the_parameters_of_another(tiny, tmp_path):
    quiet_train(run_config(tiny, "tokenizer", f"init_from={tiny.tokenizer.bundle}"), tmp_path / "run")
    config = tiny.tokenizer.config
    source = data.build_source(config.data, "train")
    batch = next(data.batches(source, data.ClipSpec.from_config(config.data), batch_size=8, seed=config.data.seed))
    system = systems.build(config)
    params = bundles.read(tiny.tokenizer.bundle).params
    output, _ = jax.jit(system.model.apply)({"params": params}, batch["video"].astype(np.float32) / 255)
    expected = np.square(np.asarray(output) - batch["video"] / 255).mean()
    begun, fresh = (records(run)[0]["reconstruction_loss"] for run in (tmp_path / "run", tiny.tokenizer.workdir))
    assert begun == pytest.approx(expected, rel=1e-3)
    assert fresh != pytest.approx(expected, rel=0.05)


def test_a_run_that_goes_on_needs_what_it_began_with_no_more(tiny, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny.generator.workdir, workdir)
    config = tiny_config("generator", "tokenizer=/gone/tokenizer", "init_from=/gone/generator")
    assert int(quiet_train(config, workdir).step) == 4


def test_parameters_of_another_architecture_are_refused_before_anything_is_written(tiny, tmp_path):
    config = run_config(tiny, "tokenizer", f"init_from={tiny.tokenizer.bundle}", "model.base_channels=16")
    with pytest.raises(UserError, match=r"parameter \S+ is \[.*\]; expected \[.*\]"):
        quiet_train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_parameters_of_another_kind_are_refused(tiny, tmp_path):
    config = run_config(tiny, "tokenizer", f"init_from={tiny.generator.bundle}")
    with pytest.raises(UserError, match="init_from: .*holds a generator; expected a tokenizer"):
        quiet_train(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        ("", "config.tokenizer is empty; expected the folder"),
        ("{tmp}/nothing", "nothing: no such folder"),
        ("{tmp}", "neither a bundle"),
        ("{generator}", "holds a generator; expected a tokenizer"),
    ],
)
def test_a_generator_needs_a_tokenizer(tiny, tmp_path, tokenizer, message):
    folder = tokenizer.format(tmp=tmp_path, generator=tiny.generator.bundle)
    with pytest.raises(UserError, match=message):
        quiet_train(tiny_config("generator", f"tokenizer={folder}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_workdir_keeps_its_tokenizer(tiny, tmp_path):
    """Another tokenizer in the same workdir would continue on other ids without a word."""
    shutil.copytree(tiny.generator.workdir, tmp_path / "run")
    bundle = bundles.read(tiny.tokenizer.bundle)
    params = jax.tree.map(lambda x: x + 1, bundle.params)
    config = dict(bundle.config, fingerprint=bundles.fingerprint(bundle.config, params))
    other = bundles.write(bundles.Bundle(config, params), tmp_path / "other")
    before = files(tmp_path / "run")
    with pytest.raises(UserError, match=f"is tokenizer {config['fingerprint']}, but this run began with"):
        quiet_train(tiny_config("generator", f"tokenizer={other}"), tmp_path / "run")
    assert files(tmp_path / "run") == before


@pytest.mark.parametrize("stage", STAGES)
def test_a_workdir_of_another_config_is_refused_and_unharmed(tiny, stage, tmp_path):
    shutil.copytree(tiny.tokenizer.workdir, tmp_path / "run")
    before = files(tmp_path / "run")
    with pytest.raises(UserError, match="another config: (data.)?seed was 0, is "):
        quiet_train(run_config(tiny, stage, "seed=7"), tmp_path / "run")
    assert files(tmp_path / "run") == before

"""Bundles: what is written is what is loaded, bad ones are refused by name, and nothing there is ever lost."""

import json
import os
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import magvit_jax
from magvit_jax import bundles
from magvit_jax.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))

import tiny_models  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.trained(tmp_path_factory)


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@pytest.fixture
def copy(tiny, tmp_path):
    """A bundle of the tokenizer that a test may spoil."""
    return Path(shutil.copytree(tiny.tokenizer.bundle, tmp_path / "bundle"))


def video(batch=2):
    return np.random.default_rng(0).integers(0, 256, (batch, 9, 16, 16, 3), dtype=np.uint8)


def edit(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_workdir_and_its_bundle_are_the_same_tokenizer(tiny):
    trained, exported = (
        magvit_jax.load_tokenizer(path) for path in (tiny.tokenizer.workdir, tiny.tokenizer.bundle)
    )
    ids = np.asarray(trained.encode(video()))
    assert len(np.unique(ids)) > 2
    np.testing.assert_array_equal(ids, exported.encode(video()))
    np.testing.assert_array_equal(trained.decode(ids), exported.decode(ids))
    assert trained.fingerprint == exported.fingerprint
    assert exported.clip.shape == (9, 16, 16) and len(exported.class_names) == 10


def test_the_moving_average_is_what_is_shipped(tiny):
    shipped = bundles.read(tiny.tokenizer.bundle).params
    average = tiny.tokenizer.state.system.ema_params
    jax.tree.map(np.testing.assert_array_equal, shipped, jax.tree.map(np.asarray, average))


def test_a_workdir_and_its_bundle_are_the_same_generator(tiny):
    trained, exported = (
        magvit_jax.load_generator(path) for path in (tiny.generator.workdir, tiny.generator.bundle)
    )
    label = exported.class_names[3]
    ids = np.asarray(trained.generate_ids("class_conditional", label=label, num=2))
    np.testing.assert_array_equal(ids, exported.generate_ids("class_conditional", label=label, num=2))
    assert trained.fingerprint == exported.fingerprint != exported.tokenizer.fingerprint


def test_a_generator_carries_its_tokenizer(tiny):
    carried, alone = (magvit_jax.load_tokenizer(path) for path in (tiny.generator.bundle, tiny.tokenizer.bundle))
    np.testing.assert_array_equal(carried.encode(video()), alone.encode(video()))
    assert carried.fingerprint == alone.fingerprint


def test_a_tokenizer_is_no_generator(tiny):
    with pytest.raises(UserError, match="holds a tokenizer; expected a generator"):
        magvit_jax.load_generator(tiny.tokenizer.bundle)


def test_other_compute_dtypes(tiny):
    half = magvit_jax.load_tokenizer(tiny.tokenizer.bundle, dtype="bfloat16")
    assert half.model.dtype == jax.numpy.bfloat16
    assert half.encode(video()).shape == (2, 3, 4, 4)
    with pytest.raises(UserError, match="'float8'; expected one of float32, bfloat16"):
        magvit_jax.load_tokenizer(tiny.tokenizer.bundle, dtype="float8")


def test_there_is_json_and_safetensors_and_nothing_else(tiny):
    for trained in (tiny.tokenizer, tiny.generator):
        assert {path.name for path in trained.bundle.iterdir()} == {"config.json", "params.safetensors"}
        config = json.loads((trained.bundle / "config.json").read_text())
        assert config["format_version"] == bundles.FORMAT_VERSION
        assert load_file(trained.bundle / "params.safetensors")
    assert "decoder/conv_in/kernel" in load_file(tiny.tokenizer.bundle / "params.safetensors")
    assert "tokenizer/decoder/conv_in/kernel" in load_file(tiny.generator.bundle / "params.safetensors")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("model", "strides"), [[2, 2, 1]]),  # the same shapes of parameters
        (("clip", "stride"), 3),
        (("class_names",), ["a"] * 10),
        (("fingerprint",), "0" * 16),
    ],
)
def test_an_edited_config_is_refused(copy, key, value):
    def change(config):
        for part in key[:-1]:
            config = config[part]
        config[key[-1]] = value

    edit(copy, change)
    with pytest.raises(UserError, match=f"{copy}: .*fingerprint"):
        magvit_jax.load_tokenizer(copy)


def test_other_weights_are_refused(copy):
    flat = load_file(copy / "params.safetensors")
    name = sorted(flat)[0]
    save_file(flat | {name: flat[name] + 1}, copy / "params.safetensors")
    with pytest.raises(UserError, match="fingerprint"):
        magvit_jax.load_tokenizer(copy)


@pytest.mark.parametrize("size", [0, 4, 1000, -1])
def test_a_truncated_file_is_refused(copy, size):
    file = copy / "params.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UserError, match=f"{file}: not readable"):
        magvit_jax.load_tokenizer(copy)


@pytest.mark.parametrize("version", [0, 1, "2", None])
def test_another_format_version_is_refused(copy, version):
    edit(copy, lambda config: config.update(format_version=version))
    with pytest.raises(UserError, match=f"format version {version!r}; this version of magvit_jax reads 2"):
        magvit_jax.load_tokenizer(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_config_that_is_none_is_refused(copy, text):
    (copy / "config.json").write_text(text)
    with pytest.raises(UserError, match="config.json"):
        magvit_jax.load_tokenizer(copy)


def test_folders_without_a_model_are_refused(copy, tmp_path):
    for path, message in (
        (tmp_path / "nothing", "no such folder"),
        (tmp_path, "neither a bundle .* nor a training workdir"),
        (copy / "config.json", "no such folder"),
    ):
        with pytest.raises(UserError, match=f"{path}: {message}"):
            magvit_jax.load_tokenizer(path)
    (copy / "config.json").unlink()
    with pytest.raises(UserError, match="config.json"):
        magvit_jax.load_tokenizer(copy)


def test_a_workdir_without_checkpoint_is_refused(tiny, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny.tokenizer.workdir, workdir, ignore=shutil.ignore_patterns("2", "4"))
    with pytest.raises(UserError, match="no checkpoint"):
        magvit_jax.load_tokenizer(workdir)


def test_a_half_written_checkpoint_is_passed_over(tiny, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny.tokenizer.workdir, workdir)
    shutil.rmtree(workdir / "checkpoints" / "4" / "state")
    assert bundles.from_workdir(workdir).config["step"] == 2


def test_a_bundle_is_replaced_whole(tiny, copy):
    bundles.write(bundles.read(tiny.generator.bundle), copy)
    assert contents(copy) == contents(tiny.generator.bundle)
    assert {path.name for path in copy.parent.iterdir()} == {"bundle"}


def test_new_and_empty_folders_are_written(tiny, tmp_path, monkeypatch):
    bundle = bundles.read(tiny.tokenizer.bundle)
    bundles.write(bundle, tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    bundles.write(bundle, "empty/")
    assert contents("empty") == contents(tmp_path / "a" / "b") == contents(tiny.tokenizer.bundle)
    assert oct(os.stat("empty").st_mode) == oct(os.stat("a").st_mode)  # as any folder, not for the owner only


@pytest.mark.parametrize("names", [["notes.txt"], ["config.json"], ["config.json", "params.safetensors", "README.md"]])
def test_what_is_no_bundle_is_never_replaced(tiny, tmp_path, names):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("{}")
    before = contents(folder)
    with pytest.raises(UserError, match=f"{folder}: exists and is no bundle"):
        bundles.write(bundles.read(tiny.tokenizer.bundle), folder)
    assert contents(folder) == before


def test_a_workdir_or_a_file_is_never_replaced(tiny, tmp_path):
    workdir = Path(shutil.copytree(tiny.tokenizer.workdir, tmp_path / "run"))
    file = tmp_path / "file"
    file.write_text("mine")
    before = contents(tmp_path)
    for path in (workdir, file):
        with pytest.raises(UserError, match=f"{path}: exists and is"):
            bundles.write(bundles.read(tiny.tokenizer.bundle), path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("broken", ["save_file", "rename"])
def test_a_failed_write_leaves_the_bundle_that_was_there(tiny, copy, monkeypatch, broken):
    """A full disk while the parameters are written, or while the new folder takes its place."""
    before = contents(copy)

    def full(*_):
        raise OSError(28, "No space left on device")

    if broken == "save_file":
        monkeypatch.setattr(bundles, "save_file", full)
    else:
        rename = Path.rename
        monkeypatch.setattr(
            Path, "rename", lambda self, to: full() if self.suffix == ".partial" else rename(self, to)
        )
    with pytest.raises(UserError, match=f"{copy}: cannot be written: No space left on device"):
        bundles.write(bundles.read(tiny.generator.bundle), copy)
    monkeypatch.undo()
    assert contents(copy) == before
    assert {path.name for path in copy.parent.iterdir()} == {"bundle"}

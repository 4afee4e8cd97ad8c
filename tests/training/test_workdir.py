"""Whose workdir it is: config.json, and the lock."""

import json
import subprocess
import sys

import pytest
from training_toys import toy_config

from magvit_jax.errors import UserError
from magvit_jax.training import workdir as files

EXTRA = {"class_names": ["left", "right"]}


def claim(folder, extra=EXTRA, free_keys=files.FREE_KEYS, write=True, **overrides):
    files.claim(folder, toy_config(**overrides), extra, free_keys, write)


def test_config_and_extra_come_back(tmp_path):
    config = toy_config(model__width=32)
    config.model.strides = (1, 2, (3, 4))
    files.claim(tmp_path / "new", config, EXTRA, (), True)
    assert files.load_config(tmp_path / "new").to_dict() == config.to_dict()
    assert files.load_extra(tmp_path / "new") == EXTRA
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["config.json"]


def test_the_first_key_that_differs_is_named(tmp_path):
    claim(tmp_path)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(UserError) as error:
        claim(tmp_path, optimizer__learning_rate=0.5, seed=4)
    assert "optimizer.learning_rate was 0.01, is 0.5" in str(error.value)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="class_names"):
        claim(tmp_path, extra={"class_names": ["right", "left"]})
    assert (tmp_path / "config.json").read_text() == before


@pytest.mark.parametrize("change", ["absent before", "absent now"])
def test_a_key_on_one_side_only_differs(tmp_path, change):
    longer = toy_config()
    longer.model.extra_key = None
    first, second = (longer, toy_config()) if change == "absent now" else (toy_config(), longer)
    files.claim(tmp_path, first, {}, (), True)
    with pytest.raises(UserError, match="model.extra_key"):
        files.claim(tmp_path, second, {}, (), True)


def test_keys_that_do_not_change_the_result_may_differ(tmp_path):
    claim(tmp_path)
    claim(tmp_path, training__steps=99, mesh__tensor=2, training__log_every=1, data__workers=4)
    assert files.load_config(tmp_path).training.steps == 99
    claim(tmp_path, free_keys=(*files.FREE_KEYS, "model"), model__width=64)


def test_other_processes_check_and_do_not_write(tmp_path):
    claim(tmp_path, write=False)
    assert not list(tmp_path.iterdir())
    claim(tmp_path)
    with pytest.raises(UserError, match="seed"):
        claim(tmp_path, write=False, seed=4)


def test_damaged_and_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no config.json"):
        files.load_config(tmp_path)
    (tmp_path / "config.json").write_text('{"config": {')
    with pytest.raises(UserError, match="config.json.*JSON"):
        files.load_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="config.json.*'config' and 'extra'"):
        files.load_config(tmp_path)
    other = tmp_path / "other"
    (other / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="checkpoints but no config.json"):
        claim(other)


def test_a_failed_write_keeps_the_old_file(tmp_path):
    claim(tmp_path)
    (tmp_path / "config.json.tmp").mkdir()  # in the way
    with pytest.raises(UserError, match="config.json: cannot be written"):
        claim(tmp_path, training__steps=99)
    assert json.loads((tmp_path / "config.json").read_text())["config"]["training"]["steps"] == 8


def test_one_run_a_workdir(tmp_path):
    code = "import sys, pathlib; from magvit_jax.training.workdir import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])): pass"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with files.locked(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode != 0 and f"{tmp_path}: cannot be locked" in second.stderr
    assert subprocess.run(command).returncode == 0


def test_a_file_in_the_place_of_the_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used as a workdir"), files.locked(tmp_path / "file"):
        pass

"""The quickstart at a tiny scale, in this process: interrupted, started again, and in the wrong workdir."""

import functools
import json
from pathlib import Path

import jax
import pytest
import tiny_models

from magvit_jax.errors import UserError
from magvit_jax.quickstart import run
from magvit_jax.quickstart.scales import SCALES, Scale


@pytest.fixture
def tiny_scale(monkeypatch):
    """Makes the scale "smoke" that of the tiny models, on one device. Batches of one size are compiled once."""
    monkeypatch.setitem(SCALES, "smoke", Scale("smoke", 0.1, 10, 10, 2, 10))
    monkeypatch.setattr(run, "stage_config", lambda stage, *_: tiny_models.tiny_config(stage))
    monkeypatch.setattr(run, "train", functools.partial(run.train, devices=jax.devices()[:1]))


def checkpoints(workdir):
    return {path: path.stat().st_mtime_ns for path in workdir.glob("*/checkpoints/*/state/*")}


def test_an_interrupted_quickstart_goes_on_where_it_was(tiny, tiny_scale, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    said = []
    with monkeypatch.context() as patch:
        patch.setattr(run, "_measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.quickstart(tmp_path, scale_name="smoke", say=said.append)
    trained = checkpoints(tmp_path)
    assert trained and not (tmp_path / "report.html").exists()

    measured = run.quickstart(tmp_path, scale_name="smoke", say=said.append)
    assert checkpoints(tmp_path) == trained
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["reconstruction"]["clips"] == measured.reconstruction.clips == 10
    assert results["recognition"]["clips"] == 10
    text = "\n".join(said)
    assert "reconstruction PSNR, 10 held-out clips" in text and "report.html" in text
    page = (tmp_path / "report.html").read_text()
    assert f"{measured.reconstruction.psnr:.1f} dB" in page
    assert "magvit reconstruct" in page


def test_the_workdir_of_another_quickstart_is_refused(tiny, tiny_scale, tmp_path, monkeypatch):
    (tmp_path / "tokenizer").mkdir()
    record = (tiny.tokenizer.workdir / "config.json").read_text()
    (tmp_path / "tokenizer" / "config.json").write_text(record)
    monkeypatch.setattr(run, "stage_config", lambda stage, *_: tiny_models.tiny_config(stage, "seed=9"))
    with pytest.raises(UserError, match="another config: seed was 0, is 9"):
        run.quickstart(tmp_path, scale_name="smoke", say=lambda _: None)
    assert not (tmp_path / "bundles").exists()


def test_an_unknown_scale_is_named(tmp_path):
    with pytest.raises(UserError, match="scale 'huge' is unknown; expected one of smoke, small, full"):
        run.quickstart(tmp_path, scale_name="huge")


@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_own_videos_take_the_place_of_the_embedded_clips(stage):
    config = run.stage_config(stage, "small", Path("films"))
    assert (config.data.source, config.data.path) == ("video_folder", "films")
    embedded = run.stage_config(stage, "small", None)
    assert embedded.data.source == "embedded"
    assert config.model == embedded.model


def test_commands_to_go_on_with_name_the_models(tmp_path):
    for what, command in run.next_commands(tmp_path, Path("films")):
        assert what and command.startswith("magvit ")
    assert f"--model={tmp_path / 'bundles' / 'generator'}" in run.next_commands(tmp_path, None)[0][1]

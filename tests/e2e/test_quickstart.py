"""The main job at smoke scale, as a user starts it: one command, from nothing to a report."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import magvit_jax


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(workdir, completed process) of `magvit quickstart --scale=smoke`."""
    workdir = tmp_path_factory.mktemp("quickstart") / "run"
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    command = [sys.executable, "-m", "magvit_jax", "quickstart", "--scale=smoke", f"--workdir={workdir}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    return workdir, done


def test_ends_well_and_prints_the_table(finished):
    _, done = finished
    assert done.returncode == 0, done.stderr
    assert "reconstruction PSNR, 32 held-out clips" in done.stdout
    assert "report:" in done.stdout


def test_the_report_holds_everything_itself(finished):
    page = (finished[0] / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert page.count("data:image/webp;base64") >= 10
    assert "<svg" in page and "<script" not in page


def test_the_results_are_the_tables_numbers(finished):
    results = json.loads((finished[0] / "results.json").read_text())
    assert results["reconstruction"]["clips"] == 32
    assert 10 < results["reconstruction"]["psnr"] < 30
    assert results["frame_prediction"]["psnr"] <= results["frame_prediction"]["psnr_ceiling"] + 1.0
    assert 0 <= results["recognition"]["accuracy"] <= 1
    assert results["recognition"]["chance"] == pytest.approx(0.1)


def test_the_bundles_are_models(finished):
    generator = magvit_jax.load_generator(finished[0] / "bundles" / "generator")
    clips = generator.generate("class_conditional", label=["grow", "shrink"], seed=3, steps=2)
    assert clips.shape == (2, 9, 32, 32, 3)
    assert 0 <= float(clips.min()) and float(clips.max()) <= 1
    tokenizer = magvit_jax.load_tokenizer(finished[0] / "bundles" / "tokenizer")
    ids = tokenizer.encode(np.zeros((1, 9, 32, 32, 3), np.uint8))
    assert ids.shape == (1, 3, 8, 8)
    assert tokenizer.fingerprint == generator.tokenizer.fingerprint


def test_sample_pictures_were_written_as_it_trained(finished):
    for stage in ("tokenizer", "generator"):
        names = {path.suffix for path in (finished[0] / stage / "samples").iterdir()}
        assert names == {".gif", ".png"}

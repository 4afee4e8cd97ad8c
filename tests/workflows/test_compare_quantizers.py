"""The tool that compares quantizers: its configs, its arithmetic, and runs that are not repeated."""

import dataclasses
import importlib.util
import io
import json
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_models

from magvit_jax import systems
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import write_mp4
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer
from magvit_jax.workflows.train import train

TOOL = Path(__file__).parents[2] / "tools" / "compare_quantizers.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("compare_quantizers", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(4):
        write_mp4(folder / f"{seed}.mp4", tiny_models.moving_square(20, seed=seed))
    return folder


def test_the_variants_differ_in_nothing_but_what_they_are_named_for(tool, videos):
    configs = {name: tool.run_config(name, 3, videos, 100, 0.25) for name in tool.VARIANTS}
    built = {name: systems.build(config) for name, config in configs.items()}
    quantizers = {name: system.model.quantizer for name, system in built.items()}
    assert isinstance(quantizers["lfq_entropy"], LookupFreeQuantizer)
    assert quantizers["lfq_plain"] == quantizers["lfq_entropy"]
    assert isinstance(quantizers["vq"], VectorQuantizer)
    assert {quantizer.size for quantizer in quantizers.values()} == {1024}
    plain = configs["lfq_plain"].to_dict()
    assert plain["loss"]["entropy"] == 0.0 < configs["lfq_entropy"].loss.entropy
    for config in configs.values():
        assert (config.seed, config.data.seed, config.training.steps) == (3, 3, 100)
        same = config.to_dict()
        same["name"], same["loss"], same["model"]["quantizer"] = (
            plain["name"],
            plain["loss"],
            plain["model"]["quantizer"],
        )
        assert same == plain
    assert configs["vq"].loss.reconstruction == plain["loss"]["reconstruction"]
    assert configs["vq"].loss.codebook == 1.0


def result(variant, seed, **values):
    base = dict(clips=9, psnr=20.0, ssim=0.5, fd_small=1.0, codebook_use=0.5, codebook_perplexity=100.0)
    return dict(variant=variant, seed=seed, values=base | values)


def test_comparisons_pair_by_seed_and_know_which_direction_is_better(tool):
    noise = np.random.default_rng(0).normal(size=5)
    results = []
    for seed in (2, 0, 1, 4, 3):
        results.append(result("good", seed, psnr=20 + noise[seed], fd_small=1 + noise[seed]))
        results.append(result("bad", seed, psnr=19.9 + noise[seed], fd_small=1.1 + 1.01 * noise[seed]))
    found = {one["measure"]: one for one in tool.comparisons(results)}
    assert list(found) == list(tool.MEASURES)
    assert found["psnr"]["verdict"] == found["fd_small"]["verdict"] == "good better"
    assert found["psnr"]["estimate"] == pytest.approx(0.1) and found["fd_small"]["estimate"] < 0
    assert found["psnr"]["p_value"] == 1 / 16 and found["psnr"]["seeds"] == [0, 1, 2, 3, 4]
    assert found["ssim"]["verdict"] == "undecided" and found["ssim"]["p_value"] == 1.0
    text = tool.tables(results, list(found.values()))
    assert "| psnr | good - bad | +0.10 |" in text and "good better |" in text
    assert "5 comparisons: about 0.3 would be decided by chance" in text


def test_finished_runs_are_skipped_and_written_down(tool, videos, tmp_path, monkeypatch):
    trained = []

    def pretend(variant, seed, workdir, config, clips):
        if (workdir / "result.json").is_file():
            return json.loads((workdir / "result.json").read_text())
        trained.append((seed, variant))
        workdir.mkdir(parents=True)
        found = result(variant, seed, psnr=20.0 + seed)
        (workdir / "result.json").write_text(json.dumps(found))
        return found

    monkeypatch.setattr(tool, "run", pretend)
    text = tool.compare_all(videos, tmp_path, 40, 2, 0.25, 16)
    assert len(trained) == 6 and trained[0][0] == trained[2][0] == 0  # all variants of a seed before the next
    record = json.loads((tmp_path / "steps_40" / "comparison.json").read_text())
    assert len(record["results"]) == 6 and len(record["comparisons"]) == 15
    assert (tmp_path / "steps_40" / "comparison.md").read_text() == text
    tool.compare_all(videos, tmp_path, 40, 3, 0.25, 16)
    assert len(trained) == 9


def test_a_run_is_trained_once_and_measured_on_other_files(tool, videos, tmp_path, monkeypatch):
    def tiny(stage, variant, path):
        config = tiny_models.tiny_config(stage, "data.cache_mb=16")
        config.data.update(source="video_folder", path=str(path))
        return config

    trained = []

    def quiet(config, workdir):
        trained.append(workdir)
        return train(config, workdir, stream=io.StringIO(), devices=jax.devices()[:1])

    monkeypatch.setattr(tool, "stage_config", tiny)
    monkeypatch.setattr(tool, "train", quiet)
    config = tool.run_config("vq", 0, videos, 2, 0.25)
    config.data.batch_size = 8
    first = tool.run("vq", 0, tmp_path / "vq_0", config, 16)
    assert first["values"]["clips"] == 2  # one of four files, twenty frames in clips of nine
    assert first["values"]["fd_small"] > 0 and 0 < first["values"]["codebook_use"] <= 1
    assert first["parameters"] > 1024 * 32
    assert tool.run("vq", 0, tmp_path / "vq_0", config, 16) == first
    assert len(trained) == 1
    with pytest.raises(UserError, match="data.held_out was 0.25, is 0.5"):
        config.data.held_out = 0.5
        tool.run("vq", 0, tmp_path / "vq_0", config, 16)


def test_every_number_of_a_comparison_is_plain_json(tool):
    results = [result(variant, seed, psnr=seed + 0.5) for variant in ("a", "b") for seed in range(5)]
    compared = tool.comparisons(results)
    assert json.loads(json.dumps(compared)) == compared
    assert {field.name for field in dataclasses.fields(tool.metrics.Interval)} <= set(compared[0])

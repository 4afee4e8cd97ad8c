"""The tool that compares ways of masking and of decoding: its configs, what it measures, and runs made once."""

import importlib.util
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import tiny_models

from magvit_jax import systems
from magvit_jax.errors import UserError
from magvit_jax.workflows.train import train

TOOL = Path(__file__).parents[2] / "tools" / "compare_masking.py"
#: Of the tiny models, what an autoregressive config has too.
SHRUNK = (*tiny_models.SHARED, *(value for value in tiny_models.GENERATOR if value.startswith("model.")))


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("compare_masking", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shrunk(tool, tiny, monkeypatch):
    """The tool with tiny configs and without progress lines; gives the folders that were trained."""
    trained = []

    def shrink(stage, variant, videos):
        overrides = [f"--config.{value}" for value in SHRUNK]
        if stage == "tokenizer":
            overrides = tiny_models.overrides(stage)
        return tiny_models.load_config(f"quickstart/{stage}:smoke", overrides)

    def quiet(config, workdir):
        trained.append(Path(workdir).name)
        if "tokenizer" not in config:
            systems.build(config)
            return shutil.copytree(tiny.tokenizer.workdir, workdir)  # as if it had been trained
        return train(config, workdir, stream=io.StringIO(), devices=jax.devices()[:1])

    monkeypatch.setattr(tool, "stage_config", shrink)
    monkeypatch.setattr(tool, "train", quiet)
    return trained


def flat(config, prefix=""):
    items = {}
    for key, value in config.items():
        items |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
    return items


def test_videos_of_ones_own_are_what_is_trained_and_measured_on(tool, tmp_path):
    config = tool.run_config("commit", 0, tmp_path, 100, 3, tool.Clips(tmp_path, 0.4))
    assert (config.data.source, config.data.path, config.data.held_out) == ("video_folder", str(tmp_path), 0.4)
    embedded = tool.run_config("commit", 0, tmp_path, 100, 3, tool.Clips(None, 0.4))
    assert embedded.data.source == "embedded" and embedded.data.held_out != 0.4


def test_the_variants_differ_in_nothing_but_what_they_are_named_for(tool, tiny):
    source = tool.Clips(None, 0.25)
    configs = {name: flat(tool.run_config(name, 3, tiny.tokenizer.bundle, 100, 3, source)) for name in tool.VARIANTS}
    commit = configs.pop("commit")
    for name, config in configs.items():
        different = {key for key in commit | config if commit.get(key, ...) != config.get(key, ...)}
        groups = {key.split(".")[0] for key in different - {"name", "system"}}
        decoding = {key for key in different if key.startswith("tasks.")}
        assert groups <= {"masking", "loss"} | ({"tasks"} if name == "autoregressive" else set()), name
        assert all(".decoding." in key for key in decoding), name
        assert config["masking.method"] == {"latent": "latent"}.get(name, "prefix")
    assert (commit["seed"], commit["data.seed"], commit["training.steps"]) == (3, 3, 100)
    assert commit["tasks.frame_prediction.settings.frames"] == 3 and commit["model.factors"] == 1
    tasks = {key.split(".")[1] for key, value in commit.items() if key.endswith(".weight") and value and "tasks" in key}
    assert tasks == set(tool.TASKS)


def test_a_run_is_trained_once_and_measures_every_task(tool, tiny, shrunk, tmp_path):
    bundle = tool.tokenizer_bundle(tmp_path, tiny.tokenizer.workdir, 4, tool.Clips(None, 0.25))
    results = {}
    for variant in ("commit", "autoregressive"):
        config = tool.run_config(variant, 0, bundle, 2, 3, tool.Clips(None, 0.25))
        results[variant] = tool.run(variant, 0, tmp_path / variant, config, 10)
        assert set(results[variant]["values"]) == {"clips", *tool.MEASURES}
        assert all(np.isfinite(value) for value in results[variant]["values"].values())
        assert results[variant]["values"]["clips"] == 10 and results[variant]["values"]["seconds_per_clip"] > 0
    found = results["commit"]["values"]
    mean = np.mean([found[f"{task} psnr_sampled"] for task in tool.TASKS])
    assert found["mean psnr_sampled"] == pytest.approx(mean)
    same = tool.run_config("commit", 0, bundle, 2, 3, tool.Clips(None, 0.25))
    again = tool.run("commit", 0, tmp_path / "commit", same, 10)
    assert again == results["commit"]
    assert shrunk == ["commit", "autoregressive"]
    # Of the same size, but for the row that marks condition tokens.
    assert results["autoregressive"]["parameters"] == results["commit"]["parameters"] + 16


def test_psnr_is_over_the_pixels_that_were_not_given(tool):
    """A generator that returns the clip with its given pixels inverted is as good as one that keeps them."""

    def generate(task, *, video, first, **settings):
        out = video.astype(np.float32) / 255
        return np.concatenate([1 - out[:, :3], out[:, 3:] + 0.1], axis=1)

    task = SimpleNamespace(given=lambda shape: np.broadcast_to(np.arange(9)[:, None, None] < 3, shape))
    inverting = SimpleNamespace(
        clip=SimpleNamespace(shape=(9, 4, 4)),
        tasks=("frame_prediction",),
        mixture=SimpleNamespace(tasks=(task,)),
        decoding={"frame_prediction": None},
        generate=generate,
    )
    video = np.random.default_rng(0).integers(0, 200, (6, 9, 4, 4, 3), np.uint8)
    found = tool.measure_task(inverting, "frame_prediction", [dict(video=video[:3]), dict(video=video[3:])])
    assert found["psnr_sampled"] == found["psnr_arg_max"] == pytest.approx(20.0, abs=1e-3)


def test_the_tokenizer_is_trained_once_or_taken(tool, tiny, shrunk, tmp_path):
    taken = tool.tokenizer_bundle(tmp_path, tiny.tokenizer.bundle, 4, tool.Clips(None, 0.25))
    assert not shrunk and tiny_models.bundles.load_tokenizer(taken).fingerprint
    made = [tool.tokenizer_bundle(tmp_path, None, 2, tool.Clips(None, 0.25)) for _ in range(2)]
    assert shrunk == ["tokenizer_2_run"] and made[0] == made[1] == tmp_path / "tokenizer_2"
    with pytest.raises(UserError, match="holds a generator; expected a tokenizer"):
        tool.tokenizer_bundle(tmp_path, tiny.generator.bundle, 4, tool.Clips(None, 0.25))


def test_commit_is_compared_with_each_of_the_others(tool):
    rng, results = np.random.default_rng(0), []
    for seed in range(5):
        for variant, better in (("commit", 1.0), ("latent", 0.0), ("autoregressive", 0.0)):
            values = {name: float(rng.normal()) * 0.1 for name in tool.MEASURES}
            good = better + 0.01 * seed
            values |= {"clips": 9, "mean psnr_sampled": 20 + good, "mean fd_small": 2 + good}
            results.append(dict(variant=variant, seed=seed, values=values))
    compared = tool.comparisons(results)
    assert {(one["a"], one["b"]) for one in compared} == {("commit", "latent"), ("commit", "autoregressive")}
    found = {(one["b"], one["measure"]): one["verdict"] for one in compared}
    assert found["latent", "mean psnr_sampled"] == "commit better"
    assert found["latent", "mean fd_small"] == "latent better"
    text = tool.tables(results, compared)
    assert "| mean psnr_sampled | commit - latent | +1.00 |" in text
    assert json.loads(json.dumps(compared)) == compared
    assert all({"low", "high", "p_value", "seeds"} <= set(one) for one in compared)

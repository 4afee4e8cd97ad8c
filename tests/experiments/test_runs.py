"""A table end to end: trained, measured and written once, gone on with, never mixed with another recipe."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.experiments import claims, experiment, measures, mini, runs, tables


def quiet(line):
    pass


def test_a_table_is_made_from_training_to_page(tiny_scale, trained, tmp_path, monkeypatch):
    """Tab. 5.7d, really trained and measured; interrupted once, then gone on with, then not made again."""
    table, quick = tables.load("5.7d"), runs.train

    def stopped(config, workdir):
        quick(config, workdir)
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(table, tmp_path, tiny_scale, seeds=(3,), say=quiet)
    assert not list(tmp_path.rglob(runs.RESULT)) and not list(tmp_path.glob("*.json"))
    monkeypatch.setattr(runs, "train", quick)
    record = experiment.run(table, tmp_path, tiny_scale, seeds=(3,), say=quiet)
    assert [name.split("_s3_")[0] for name in trained] == ["entropy_without", "entropy_without", "entropy_with"]
    assert trained[0] == trained[1]
    stored = json.loads((tmp_path / "5.7d_mini.json").read_text())
    for run, name in zip(stored["runs"], ("entropy_without", "entropy_with"), strict=True):
        found = run["values"]
        assert (run["model"], run["seed"], run["steps"], found["clips"], found["tokens"]) == (name, 3, 2, 10, 16)
        assert found["l2"] == pytest.approx(np.mean(10 ** (-found["psnr"] / 10)), rel=0.5)
        assert 0 < found["codebook_use"] <= 1 and 0 <= found["entropy_bits"] <= 8 and found["fd_small"] > 0
    text = (tmp_path / "5.7d_mini.md").read_text()
    assert f"{stored['runs'][1]['values']['l1']:.4g} (1)" in text and "1 seed in common" in text
    assert (tmp_path / "5.7d_mini.html").is_file()
    assert experiment.run(table, tmp_path, tiny_scale, seeds=(3,), say=quiet).runs == record.runs
    assert len(trained) == 3


@pytest.fixture
def pretended(monkeypatch):
    """Nothing is trained, and a model is as good as its name is short; gives (model_seed, config) of each training."""
    made = []
    monkeypatch.setattr(runs, "train", lambda config, workdir: made.append((Path(workdir).name[:-9], config)))
    monkeypatch.setattr(runs, "_parameters", lambda folder: 7)

    def measure(self, model, workdir, config):
        value = len(model) + 0.1 * config.seed
        return dict(values={"frame_prediction fd_small": value, "mean fd_small": value, "tokens": 128})

    monkeypatch.setattr(mini.Scale, "measure", measure)
    return made


def test_five_seeds_of_a_table_are_compared_in_pairs(tiny_scale, pretended, tmp_path):
    said = []
    record = experiment.run(tables.load("6.8"), tmp_path, tiny_scale, seeds=range(5), say=said.append)
    names = [name for name, _ in pretended]
    # What rows start from is made first, once, and for all seeds; then all rows of a seed before the next seed.
    assert names[:3] == ["imagenet_b_64_s0", "bair_b_s0", "bair_fp_latent_s0"]
    assert names.count("bair_b_s0") == 1 and "bair_b_s1" not in names and len(names) == 2 + 9 * 5
    assert [name[-1] for name in names[2:]] == [str(seed) for seed in range(5) for _ in range(9)]
    assert len({config.tokenizer for name, config in pretended[2:]}) == 1
    found = {one.claim.id: one.state for one in claims.check(tables.load("6.8"), record)}
    assert found["commit_latent_fp"] == "undecided"  # names of the same length
    assert found["recons_fp"] == "not reproduced" and found["refine_fp"] == "reproduced"
    text = (tmp_path / "6.8_mini.md").read_text()
    assert "14.2 ± 0.16 (5)" in text and text.count("reproduced") >= 3

    before = len(pretended)
    again = experiment.run(tables.load("6.8"), tmp_path, tiny_scale, seeds=(0,), rows=("commit",), say=quiet)
    assert len(pretended) == before and len(again.runs) == len(record.runs)  # earlier runs are kept in the record
    # Tab. 6.9 has two of these rows: only the others are made.
    experiment.run(tables.load("6.9"), tmp_path, tiny_scale, seeds=(0,), say=quiet)
    assert [name for name, _ in pretended[before:]] == ["imagenet_l_64_s0", "bair_maskgit_2d_s0", "bair_ar_s0"]


def test_another_recipe_is_another_run(tiny_scale, pretended, tmp_path):
    table = tables.load("6.8")
    experiment.run(table, tmp_path, tiny_scale, seeds=(0,), rows=("prefix",), say=quiet)
    assert len(pretended) == 3
    longer = dataclasses.replace(tiny_scale, steps=3)
    assert not experiment.gather(table, runs.Runs(tmp_path, longer, quiet)).runs
    # More clips to measure on: measured again, not trained again.
    more = dataclasses.replace(tiny_scale, clips=12)
    record = experiment.run(table, tmp_path, more, seeds=(0,), rows=("prefix",), say=quiet)
    assert len(pretended) == 3 and record.runs[0]["clips_at_most"] == 12


def test_errors_of_reconstruction_are_those_of_the_pixels():
    """A tokenizer that adds 0.1 to every pixel, over the first frames only."""

    class Shifted:
        model = type("M", (), dict(codebook_size=4, latent_shape=lambda *shape: shape[1:]))()

        def encode(self, video):
            self.seen = video
            return np.zeros((len(video), 2, 2, 2), np.int32)

        def decode(self, ids):
            return np.minimum(self.seen / np.float32(255) + np.float32(0.1), 1)

    video = np.random.default_rng(0).integers(0, 200, (5, 9, 16, 16, 3), np.uint8)
    found = measures.reconstruction(Shifted(), [dict(video=video[:3]), dict(video=video[3:])], 9, 8)
    assert found["l1"] == pytest.approx(0.1, abs=1e-6) and found["l2"] == pytest.approx(0.01, abs=1e-6)
    assert found["psnr"] == pytest.approx(20, abs=1e-3) and found["entropy_bits"] == 0 and found["clips"] == 5


class Copying:
    """A generator that returns the clip with its given frames inverted and 0.1 added to the others."""

    tasks, class_names, makes_images = ("frame_prediction", "frame_interpolation"), ("a", "b"), False
    clip = SimpleNamespace(shape=(8, 16, 16), frames=8)
    transformer = SimpleNamespace(condition_length=3)
    decoding = {task: SimpleNamespace(steps=12) for task in tasks}
    tokenizer = SimpleNamespace(decode=lambda ids: np.zeros(3))

    def __init__(self):
        given = SimpleNamespace(given=lambda shape: np.broadcast_to(np.arange(8)[:, None, None] < 1, shape))
        tasks = tuple(SimpleNamespace(name=name, uses_class=False, given=given.given) for name in self.tasks)
        self.mixture = SimpleNamespace(tasks=tasks, grid=SimpleNamespace(shape=(2, 4, 4)))

    def generate(self, task, *, video, first=0, num=None):
        out = np.asarray(video, np.float32) / 255
        added = 0.1 if task == "frame_prediction" else 0.01
        return np.concatenate([1 - out[:, :1], np.minimum(out[:, 1:] + added, 1)], axis=1)

    def generate_ids(self, task, *, video, seed=0):
        return np.zeros((len(video), 2, 4, 4), np.int32)


def test_generation_is_measured_by_task_and_over_tasks():
    video = np.random.default_rng(0).integers(0, 200, (6, 8, 16, 16, 3), np.uint8)
    found = measures.generation(Copying(), [dict(video=video[:4]), dict(video=video[4:])])
    assert found["frame_prediction psnr_sampled"] == pytest.approx(20.0, abs=1e-3)
    assert found["frame_interpolation psnr_sampled"] == pytest.approx(40.0, abs=1e-3)
    assert found["mean psnr_sampled"] == pytest.approx(30.0, abs=1e-3) and found["clips"] == 6
    assert (found["tokens"], found["decoding_steps"]) == (35, 12)


def test_time_is_that_of_the_ids_and_of_the_decoder():
    found = measures.efficiency(Copying(), np.zeros((4, 8, 16, 16, 3), np.uint8))
    assert (found["tokens"], found["decoding_steps"]) == (35, 12)
    both = found["transformer_seconds_per_frame"] + found["decoder_seconds_per_frame"]
    assert found["seconds_per_frame"] == pytest.approx(both) and found["seconds_per_clip"] > 0


def test_the_fingerprint_follows_what_a_run_starts_from(tiny_scale, tmp_path):
    made = runs.Runs(tmp_path, tiny_scale, quiet)
    groups = dict(tiny_scale.groups)
    image = groups["magvit_image"]
    groups["magvit_image"] = dataclasses.replace(image, set=(*image.set, "loss.entropy=0.004"))
    other = runs.Runs(tmp_path, dataclasses.replace(tiny_scale, groups=groups), quiet)
    assert made.fingerprint("bair_fp_commit", 0) != other.fingerprint("bair_fp_commit", 0)
    assert made.fingerprint("entropy_with", 0) == other.fingerprint("entropy_with", 0)
    assert made.fingerprint("bair_fp_commit", 0) != made.fingerprint("bair_fp_commit", 1)
    # Every seed starts from the same tokenizer.
    assert made.config("bair_fp_commit", 0).tokenizer == made.config("bair_fp_commit", 1).tokenizer


def test_what_cannot_run_is_one_line(tmp_path):
    scale = mini.load()
    with pytest.raises(UserError, match=r"--rows=cvivit: table 6\.8 has no such row; expected some of latent, "):
        experiment.run(tables.load("6.8"), tmp_path, scale, seeds=(0,), rows=("cvivit",), say=quiet)
    with pytest.raises(UserError, match=r"table 8\.2 at mini scale: no row of it is ours"):
        experiment.run(tables.load("8.2"), tmp_path, scale, seeds=(0,), say=quiet)
    with pytest.raises(UserError, match=r"table 5\.7a at mini scale: it has no recipe at mini scale"):
        experiment.run(tables.load("5.7a"), tmp_path, scale, seeds=(0,), say=quiet)

"""Paper scale: the protocols of a table's columns on a folder of videos, with toy networks in the place of I3D's."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import protocol
from magvit_jax.evaluation.protocols.clips import real_clips
from magvit_jax.experiments import experiment, paper, tables
from magvit_jax.experiments.paper import fitting_frames, generated, reconstructed, samples
from magvit_jax.media.video_io import write_mp4
from magvit_jax.tokenizer.tokenizer import Tokenizer


def quiet(line):
    pass


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset") / "test"
    folder.mkdir()
    for seed in range(5):
        write_mp4(folder / f"{seed}.mp4", tiny_models.moving_square(20, 64, 64, seed=seed))
    return folder


def small(name, **changes):
    return dataclasses.replace(protocol(name), frames=8, made_size=64, size=64, **changes)


class Brighter(Tokenizer):
    """A tokenizer of 1 + 4 t frames that adds 0.1; it is no network."""

    def __init__(self):
        self.clip = SimpleNamespace(frames=5)
        self.model = SimpleNamespace(compression=(4, 8, 8), leading_frame=True)
        self.seen = []

    def reconstruct(self, video):
        self.seen.append(video.shape[1])
        return np.minimum(video.astype(np.float32) / 255 + 0.1, 1)


class Inverting:
    """A generator that inverts what it is given, in every frame."""

    clip, makes_images, class_names, tasks = SimpleNamespace(frames=9, shape=(9, 64, 64)), False, ("a", "b"), ("fp",)

    def __init__(self, uses_class=False):
        given = np.zeros((9, 64, 64), bool)
        given[0] = not uses_class
        task = SimpleNamespace(given=lambda shape: given, uses_class=uses_class)
        self.mixture, self.asked = SimpleNamespace(tasks=(task,)), []

    def generate(self, task, *, num, first, video=None, label=None):
        self.asked.append((first, num, label, None if video is None else video.shape))
        video = np.zeros((num, 9, 64, 64, 3), np.uint8) if video is None else video
        return 1 - video.astype(np.float32) / 255


def test_a_tokenizer_gets_a_length_that_it_takes(videos, toys):
    tokenizer = Brighter()
    chosen = small("ucf101_reconstruction", real=dataclasses.replace(protocol("ucf101_reconstruction").real, clips=6))
    found, missing = reconstructed(tokenizer, chosen, ["psnr", "fvd", "lpips"], videos, None, quiet)
    assert set(tokenizer.seen) == {9} and fitting_frames(tokenizer, 8) == 9 == fitting_frames(tokenizer, 9)
    real = np.concatenate(list(real_clips(dataclasses.replace(chosen, frames=9), videos)))[:, :8]
    made = np.minimum(real.astype(np.float32) / 255 + 0.1, 1)
    assert found["psnr"] == pytest.approx(metrics.psnr(real, made).mean(), abs=0.05)
    assert found["fvd"] > 0 and "lpips" not in found
    assert "no weights" in missing["lpips"]


def test_samples_are_conditioned_on_the_real_clips_in_turn(videos):
    chosen = small("bair_fvd", real=dataclasses.replace(protocol("bair_fvd").real, crops="centre"))
    generator = Inverting()
    made = np.concatenate(list(samples(generator, chosen, "fp", videos, 12)))
    whole = np.concatenate(list(real_clips(dataclasses.replace(chosen, frames=9), videos)))
    assert made.shape == (12, 9, 64, 64, 3) and len(whole) == 5
    for number in range(12):
        np.testing.assert_allclose(made[number], 1 - whole[number % 5] / np.float32(255))
    best = dataclasses.replace(chosen, best_of=3)
    repeated = np.concatenate(list(samples(generator, best, "fp", videos, 6)))
    np.testing.assert_array_equal(repeated[0], repeated[2])
    assert np.abs(repeated[2] - repeated[3]).max() > 0.1


def test_classes_are_asked_for_in_turn(videos):
    generator = Inverting(uses_class=True)
    list(samples(generator, small("bair_fvd"), "fp", videos, 18))
    assert [(first, num) for first, num, _, _ in generator.asked] == [(0, 16), (16, 2)]
    assert generator.asked[1][2] == [0, 1] and generator.asked[0][3] is None


def test_generated_clips_are_compared_where_nothing_was_given(videos, toys):
    chosen = small(
        "bair_pixels", best_of=2, given_frames=1, real=dataclasses.replace(protocol("bair_pixels").real, crops="centre")
    )
    found, missing = generated(Inverting(), chosen, "fp", ["psnr", "lpips"], videos, None, quiet)
    real = np.concatenate(list(real_clips(chosen, videos)))
    assert found["psnr"] == pytest.approx(metrics.psnr(real[:, 1:], 255 - real[:, 1:]).mean(), abs=1e-3)
    assert set(missing) == {"lpips"}
    fvd, _ = generated(
        Inverting(), small("bair_fvd", samples=4, folds=2, real=chosen.real), "fp", ["fvd"], videos, None, quiet
    )
    assert fvd["fvd"] > 0


def test_a_column_that_lacks_its_network_says_which_file(videos, toys, monkeypatch, tmp_path):
    table = tables.load("3.3")
    scale = paper.Scale(table, tmp_path, None, quiet)
    (tmp_path / "ucf101").mkdir()
    (tmp_path / "ucf101" / "train").symlink_to(videos)
    tiny = small("ucf101_reconstruction", real=dataclasses.replace(protocol("ucf101_reconstruction").real, clips=5))
    monkeypatch.setattr(paper, "protocol", lambda name: tiny)
    monkeypatch.setattr(paper.bundles, "read", lambda workdir: SimpleNamespace(kind="tokenizer"))
    monkeypatch.setattr(paper.bundles, "load_tokenizer", lambda workdir: Brighter())
    found = scale.measure("ucf101_l", Path("w"), None)
    assert set(found["values"]) == {"psnr ucf101_reconstruction", "ssim ucf101_reconstruction"}
    assert "no weights" in found["missing"]["lpips ucf101_reconstruction"]
    assert scale.asked("ucf101_l") == dict(
        measured=[f"{name} ucf101_reconstruction" for name in ("psnr", "ssim", "lpips")]
    )


def test_a_missing_data_set_is_one_line(tmp_path):
    scale = paper.Scale(tables.load("5.7d"), tmp_path, None, quiet)
    with pytest.raises(UserError, match=r"table 5\.7d at paper scale: data set CIFAR10 is missing: .*cifar10$"):
        experiment.run(tables.load("5.7d"), tmp_path / "w", scale, seeds=(0,), say=quiet)
    (tmp_path / "cifar10").mkdir()
    assert scale.why_not("entropy_with") == ""
    config = scale.config("entropy_with", 2)
    assert (config.data.path, config.seed, config.data.seed) == (str(tmp_path / "cifar10"), 2, 2)
    with pytest.raises(UserError, match="no folder test or val or validation for the split 'test'"):
        paper.split_folder(tmp_path / "cifar10", "test")

"""Folders of clips by a protocol, metrics of a model by networks, and metrics whose weights are not there."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_models
import toy_networks

from magvit_jax import metrics, workflows
from magvit_jax.cli.main import main
from magvit_jax.errors import UserError
from magvit_jax.evaluation import networks
from magvit_jax.evaluation.protocols import GIVEN_CLIPS, table
from magvit_jax.evaluation.protocols.clips import made_clips, real_clips
from magvit_jax.media.video_io import write_mp4

TOYS = toy_networks.all_of_them()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(six real videos of 12 frames, eight samples of 5). Read only."""
    real, made = tmp_path_factory.mktemp("real"), tmp_path_factory.mktemp("made")
    for number in range(6):
        write_mp4(real / f"{number}.mp4", tiny_models.moving_square(12, 32, 48, seed=number))
    for number in range(8):
        write_mp4(made / f"{number}.mp4", tiny_models.moving_square(5, 32, 32, seed=10 + number))
    return real, made


@pytest.fixture
def small_k600(monkeypatch):
    """The protocol k600_fvd shrunk: clips of 4 frames of 32 pixels measured at 16, two folds of 3 samples."""
    small = dataclasses.replace(table.PROTOCOLS["k600_fvd"], frames=4, made_size=32, size=16, samples=3, folds=2)
    monkeypatch.setitem(table.PROTOCOLS, "k600_fvd", small)
    return small


def measured(values, metric):
    [found] = [result for result in values["results"] if result["metric"] == metric]
    return found


def test_by_the_protocol_that_is_named(toys, folders, small_k600):
    said = []
    values, rows = workflows.evaluate_folders(
        folders[1], folders[0], ["fvd"], protocol_name="k600_fvd", num=6, say=said.append
    )
    found = measured(values, "fvd")
    assert (found["protocol"], found["of"], found["real"], found["made"]) == ("k600_fvd", "samples", 6, 6)
    assert len(found["folds"]) == 2 and found["low"] <= found["value"] <= found["high"]
    assert values["protocol"]["real"]["crops"] == "three" and values["protocol"]["size"] == 16
    assert "takes 29,000 videos of Kinetics-600 (evaluation), here are 6" in found["warning"]
    assert set(values["seconds"]) == {"decode", "model", "compile", "features", "statistics"}
    assert values["seconds"]["features"] > 0 and said[-1].startswith("seconds: decode")
    assert "fvd of samples [k600_fvd], 6 clips" in rows[0].measure and "2 folds ±" in rows[0].measure
    assert json.loads(json.dumps(values)) == values


def test_a_metric_without_weights_says_so_and_the_others_go_on(toys, folders):
    said = []
    values, rows = workflows.evaluate_folders(
        folders[1],
        folders[1],
        ["clipsim", "psnr", "lpips", "fvd", "fid"],
        weights_dir="W",
        captions=None,
        say=said.append,
    )
    assert values["missing"] == {"clipsim": "clip_vit_b16: no weights; expected clip_vit_b16.safetensors in W"}
    assert said[0] == "clipsim is left out: clip_vit_b16: no weights; expected clip_vit_b16.safetensors in W"
    assert [result["metric"] for result in values["results"]] == ["psnr", "lpips", "fvd", "fid"]
    assert measured(values, "fvd")["value"] == pytest.approx(0.0, abs=1e-6)  # a folder and itself
    assert measured(values, "lpips")["value"] == 0.0 and measured(values, "psnr")["value"] == np.inf
    assert len(rows) == 4


def test_without_any_weights_nothing_is_measured_by_chance(folders, monkeypatch, capsys, tmp_path):
    """The networks themselves, not toys: one clear line each, and no number."""
    monkeypatch.delenv("MAGVIT_WEIGHTS", raising=False)
    arguments = [f"--samples={folders[1]}", f"--input={folders[0]}", "--metrics=fvd,fid,video_is,lpips,fad"]
    assert main(["evaluate", *arguments, "--protocol=given_clips", f"--json={tmp_path / 'out.json'}"]) != 0
    out, error = capsys.readouterr()
    assert "all of --metrics=fvd,fid,video_is,lpips,fad is left out" in error.splitlines()[-1]
    assert set(json.loads((tmp_path / "out.json").read_text())["missing"]) == {"fvd", "fid", "video_is", "lpips", "fad"}
    for metric, file in (("fvd", "i3d"), ("fid", "inception"), ("video_is", "c3d_ucf101"), ("fad", "vggish")):
        [line] = [line for line in error.splitlines() if line.startswith(f"{metric} is left out: ")]
        assert f"expected {file}.safetensors in a folder given by --weights-dir" in line
    assert not out


def test_clipsim_takes_its_texts_from_a_file(toys, folders, tmp_path, monkeypatch):
    monkeypatch.setitem(networks.ADAPTERS, "clip_vit_b16", lambda name, weights_dir: TOYS[name])
    captions = tmp_path / "captions.tsv"
    captions.write_text("".join(f"{number}.mp4\ta text {'a' * number}\n" for number in range(8)))
    values, _ = workflows.evaluate_folders(folders[1], None, ["clipsim"], captions=captions, say=lambda _: None)
    assert -1 <= measured(values, "clipsim")["value"] <= 1 and measured(values, "clipsim")["made"] == 8
    captions.write_text("0.mp4\tone\n")
    with pytest.raises(UserError, match="no line for 1.mp4; expected 'name<TAB>text'"):
        workflows.evaluate_folders(folders[1], None, ["clipsim"], captions=captions)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (dict(protocol_name="k601"), "protocol 'k601' is unknown"),
        (dict(protocol_name="bair_fvd"), "metric 'psnr' is not measured of folders by bair_fvd; expected some of fvd"),
        (dict(real=None), "metric psnr compares with real clips"),
        (dict(num=5), ""),
    ],
)
def test_what_cannot_be_measured_is_named(toys, folders, more, message):
    arguments = dict(real=folders[0], metrics=["psnr"], say=lambda _: None) | more
    if not message:  # five real clips of 12 frames and five samples of 5
        message = "expected one shape|videos of shapes"
    with pytest.raises(UserError, match=message):
        workflows.evaluate_folders(folders[1], **arguments)


def test_pairs_need_as_many(toys, folders, small_k600):
    with pytest.raises(UserError, match="given_clips: 8 samples for 6 real clips; expected 1 for each"):
        workflows.evaluate_folders(folders[1], folders[0], ["psnr"], say=lambda _: None)


def test_the_best_sample_of_each_condition_counts_over_the_frames_that_were_not_given(tmp_path, monkeypatch):
    chosen = dataclasses.replace(GIVEN_CLIPS, given_frames=2, best_of=2)
    monkeypatch.setitem(table.PROTOCOLS, "given_clips", chosen)
    rng = np.random.default_rng(0)
    for number in range(3):
        video = tiny_models.moving_square(5, 32, 32, seed=number)
        write_mp4(tmp_path / "real" / f"{number}.mp4", video)
        for sample in range(2):  # the given frames are far off, so that they would be seen in the result
            made = np.clip(video + rng.normal(0, 4 + 30 * rng.random(), video.shape), 0, 255).astype(np.uint8)
            made[:2] = 255 - made[:2]
            write_mp4(tmp_path / "made" / f"{number}_{sample}.mp4", made)
    folders = (tmp_path / "made", tmp_path / "real")
    values, _ = workflows.evaluate_folders(*folders, ["psnr"], say=lambda _: None)
    real_BTHWC = np.concatenate(list(real_clips(chosen, folders[1], None, 0)))
    made_BTHWC = np.concatenate(list(made_clips(chosen, folders[0], None)))
    psnr_N = metrics.psnr(np.repeat(real_BTHWC, 2, axis=0)[:, 2:], made_BTHWC[:, 2:])
    found = measured(values, "psnr")
    assert found["value"] == pytest.approx(psnr_N.reshape(3, 2).max(axis=1).mean(), abs=1e-6)
    assert found["made"] == 3


def test_the_command_takes_a_model_or_samples(capsys):
    assert main(["evaluate", "--metrics=psnr"]) == 2
    assert main(["evaluate", "--model=anything", "--captions=texts"]) == 2
    assert "expected either --model or --samples" in (error := capsys.readouterr().err)
    assert "--captions is for --samples" in error

"""`evaluate`: a model on a folder or on the embedded test clips."""

import dataclasses
import json

import numpy as np
import pytest

import magvit_jax
from magvit_jax import metrics, workflows
from magvit_jax.errors import UserError
from magvit_jax.evaluation import fd_small, protocols
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.tokenizer.tokenizer import ClipFormat
from magvit_jax.workflows.evaluate import test_clips as embedded_clips


def evaluate(*arguments, **more):
    said = []
    values, rows = workflows.evaluate(*arguments, **more, say=said.append)
    return values, rows, said


def test_a_generator_on_the_embedded_clips(tiny):
    values, rows, said = evaluate(
        tiny.generator.bundle, None, ["psnr", "codebook", "frame_prediction"], num=5
    )
    assert values["reconstruction"]["clips"] == values["frame_prediction"]["clips"] == 5
    assert 0 < values["reconstruction"]["codebook_use"] <= 1
    prediction = values["frame_prediction"]
    assert prediction["psnr_repeat_last"] > 0 and prediction["psnr_ceiling"] > 0
    names = [row.measure for row in rows]
    assert any("reconstruction PSNR, 5 clips" in name for name in names)
    assert any("PSNR of unseen frames" in name for name in names)
    assert not any("reconstruction SSIM" in name for name in names)
    assert "fd_small" not in values
    assert said == ["reconstruction: 5 of 5 clips", "frame prediction: 5 of 5 clips"]


def test_every_task_on_the_embedded_clips(tiny):
    values, rows, said = evaluate(tiny.generator.bundle, None, ["tasks"], num=5)
    assert list(values["tasks"]) == ["frame_prediction"]  # the other is given no pixel
    score = values["tasks"]["frame_prediction"]
    assert score["clips"] == 5 and score["unseen_share"] == pytest.approx(4 / 9)
    prediction = evaluate(tiny.generator.bundle, None, ["frame_prediction"], num=5)[0]["frame_prediction"]
    for name, same in (("unseen", ""), ("unseen_padded", "_repeat_last"), ("unseen_ceiling", "_ceiling")):
        assert score[f"psnr_{name}"] == pytest.approx(prediction[f"psnr{same}"], abs=1e-4)
    assert len(rows) == 2 and said == ["tasks: 5 of 5 clips"]
    with pytest.raises(UserError, match="holds a tokenizer; metric tasks needs a generator"):
        evaluate(tiny.tokenizer.bundle, None, ["tasks"])


def test_every_long_enough_video_of_a_folder_is_measured(tiny, mixed, caplog):
    values, rows, _ = evaluate(tiny.tokenizer.workdir, mixed, ["psnr", "ssim"])
    assert values["reconstruction"]["clips"] == 1  # the others are broken, or shorter than nine frames
    assert len(rows) == 2
    for name in ("cut.mp4", "nothing.mp4", "portrait.mp4"):
        assert name in caplog.text


def test_fd_small_of_a_tokenizer_is_that_of_its_reconstructions(tiny):
    values, rows, said = evaluate(tiny.tokenizer.bundle, None, ["fd_small"], num=70)
    found = values["fd_small"]
    assert found["protocol"] == "fd_small" and found["network"] == shipped().fingerprint
    assert set(found) == {"protocol", "network", "note", "reconstruction"}
    clips = [batch["video"] for batch in embedded_clips(ClipFormat(9, 16, 16), None, 70)]
    tokenizer = magvit_jax.load_tokenizer(tiny.tokenizer.bundle)
    video, made = np.concatenate(clips), np.concatenate([tokenizer.reconstruct(clip) for clip in clips])
    assert found["reconstruction"]["value"] == pytest.approx(fd_small(video, made), rel=1e-3)
    assert found["reconstruction"]["baseline"] == pytest.approx(
        fd_small(video, metrics.mean_frame(video)), rel=1e-3
    )
    assert (
        found["reconstruction"]["low"] <= found["reconstruction"]["value"] <= found["reconstruction"]["high"]
    )
    assert (found["reconstruction"]["clips"], found["reconstruction"]["frames"]) == (70, 9)
    assert json.loads(json.dumps(values)) == values
    assert [row.measure.split(",")[0] for row in rows] == ["fd_small of reconstruction"]
    assert rows[0].better == "lower" and rows[0].ours == found["reconstruction"]["value"]
    assert said == ["reconstruction: 64 of 70 clips", "reconstruction: 70 of 70 clips"]


def test_sets_of_a_generator_are_also_those_of_its_tasks(tiny, toys):
    asked = ["fd_small", "fvd", "lpips", "clipsim"]
    values, rows, said = evaluate(tiny.generator.bundle, None, asked, num=6)
    found = values["fd_small"]
    assert set(found) - {"protocol", "network", "note"} == {
        "reconstruction",
        "frame_prediction",
        "class_conditional",
    }
    assert found["frame_prediction"]["baseline_name"] == "repeating the last given frame"
    assert found["class_conditional"]["baseline"] == found["reconstruction"]["baseline"]
    assert (
        len({found[name]["value"] for name in ("reconstruction", "frame_prediction", "class_conditional")})
        == 3
    )
    assert len(rows) == 3 + 5 and said[-2] == "generation by class: 6 of 6 clips"
    assert "frame_prediction" not in values  # its PSNR was not asked for

    paired = {(group, metric) for group in ("reconstruction", "frame_prediction") for metric in ("fvd", "lpips")}
    results = {(result["of"], result["metric"]): result for result in values["results"]}
    assert set(results) == paired | {("class_conditional", "fvd")}
    assert all(result["protocol"] == "model_clips" and result["made"] == 6 for result in results.values())
    assert len({result["value"] for result in results.values()}) == 5
    assert set(values["missing"]) == {"clipsim"} and said[0].startswith("clipsim is left out: clip_vit_b16")
    assert values["seconds"]["model"] > 0 and json.loads(json.dumps(values)) == values


def test_numbers_of_ids_and_their_intervals(tiny):
    values, rows, _ = evaluate(tiny.tokenizer.bundle, None, ["psnr", "ssim", "bpp", "codebook"], num=12)
    found = {result["metric"]: result for result in values["results"]}
    assert set(found) == {"codebook_use", "codebook_perplexity", "codebook_entropy", "bpp_entropy", "bpp"}
    assert found["bpp"]["value"] == pytest.approx(6 * (3 * 4 * 4) / (9 * 16 * 16))  # bits, tokens, pixels
    entropy = found["codebook_entropy"]
    assert entropy["low"] < entropy["value"] < entropy["high"]
    assert np.exp(entropy["value"]) == pytest.approx(values["reconstruction"]["codebook_perplexity"])
    ratio = entropy["value"] / np.log(2) / 6
    assert found["bpp_entropy"]["value"] == pytest.approx(ratio * found["bpp"]["value"])
    pixels = values["reconstruction"]
    assert pixels["psnr_low"] < pixels["psnr"] < pixels["psnr_high"]
    assert pixels["ssim_low"] < pixels["ssim"] < pixels["ssim_high"]
    assert f"(95%: {pixels['psnr_low']:.2f} to {pixels['psnr_high']:.2f})" in rows[0].measure
    assert any("bpp of reconstruction [model_clips]" in row.measure for row in rows)


def test_a_protocol_of_reconstruction_cuts_its_own_clips(tiny, mixed, monkeypatch):
    chosen = protocols.PROTOCOLS["ucf101_reconstruction"]
    real = dataclasses.replace(chosen.real, clips=5)
    small = dataclasses.replace(chosen, frames=9, made_size=16, size=16, real=real)
    monkeypatch.setitem(protocols.PROTOCOLS, chosen.name, small)
    asked = dict(num=None, protocol_name=chosen.name)
    values, _, _ = evaluate(tiny.tokenizer.bundle, mixed, ["psnr", "codebook"], **asked)
    assert values["protocol"]["name"] == chosen.name and values["reconstruction"]["clips"] == 5
    assert all(result["protocol"] == chosen.name for result in values["results"])
    monkeypatch.setitem(protocols.PROTOCOLS, chosen.name, chosen)
    for arguments, message in (
        (dict(asked, protocol_name="k600_fvd"), "k600_fvd is a protocol of clips that were made"),
        (asked, "clips of 16 frames of 128x128; the model takes 9 frames of 16x16"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(tiny.tokenizer.bundle, mixed, ["psnr"], **arguments)
    with pytest.raises(UserError, match="'fid' is not measured by ucf101_reconstruction; expected some of fvd"):
        monkeypatch.setitem(protocols.PROTOCOLS, chosen.name, small)
        evaluate(tiny.tokenizer.bundle, mixed, ["fid"], **asked)
    with pytest.raises(UserError, match="expected a folder of its videos as --input"):
        evaluate(tiny.tokenizer.bundle, None, ["psnr"], **asked)


@pytest.mark.parametrize(
    ("model", "metrics", "message"),
    [
        ("tokenizer", ["psnr", "fvt"], "metric 'fvt' is unknown; expected some of psnr, ssim"),
        ("tokenizer", ["frame_prediction"], "holds a tokenizer; metric frame_prediction needs a generator"),
    ],
)
def test_metrics_that_cannot_be_are_named(tiny, model, metrics, message):
    with pytest.raises(UserError, match=message):
        workflows.evaluate(getattr(tiny, model).bundle, None, metrics)


def test_one_clip_has_no_distance(tiny, mixed):
    with pytest.raises(UserError, match="metric fd_small: 1 clip; expected 2 or more"):
        workflows.evaluate(tiny.tokenizer.bundle, mixed, ["fd_small"])


def test_a_folder_without_video_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="has no video file"):
        workflows.evaluate(tiny.tokenizer.bundle, tmp_path, ["psnr"])

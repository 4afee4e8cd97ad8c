"""`evaluate`: a model on a folder or on the embedded test clips."""

import pytest

from magvit_jax import workflows
from magvit_jax.errors import UserError


def test_a_generator_on_the_embedded_clips(tiny):
    values, rows = workflows.evaluate(tiny.generator.bundle, None, ["psnr", "codebook", "frame_prediction"], num=5)
    assert values["reconstruction"]["clips"] == values["frame_prediction"]["clips"] == 5
    assert 0 < values["reconstruction"]["codebook_use"] <= 1
    prediction = values["frame_prediction"]
    assert prediction["psnr_repeat_last"] > 0 and prediction["psnr_ceiling"] > 0
    names = [row.measure for row in rows]
    assert any("reconstruction PSNR, 5 clips" in name for name in names)
    assert any("PSNR of unseen frames" in name for name in names)
    assert not any("reconstruction SSIM" in name for name in names)


def test_every_long_enough_video_of_a_folder_is_measured(tiny, mixed, caplog):
    values, rows = workflows.evaluate(tiny.tokenizer.workdir, mixed, ["psnr", "ssim"])
    assert values["reconstruction"]["clips"] == 1  # the others are broken, or shorter than nine frames
    assert len(rows) == 2
    for name in ("cut.mp4", "nothing.mp4", "portrait.mp4"):
        assert name in caplog.text


@pytest.mark.parametrize(
    ("model", "metrics", "message"),
    [
        ("tokenizer", ["psnr", "fvd"], "metric 'fvd' is unknown; expected some of psnr, ssim"),
        ("tokenizer", ["frame_prediction"], "holds a tokenizer; metric frame_prediction needs a generator"),
    ],
)
def test_metrics_that_cannot_be_are_named(tiny, model, metrics, message):
    with pytest.raises(UserError, match=message):
        workflows.evaluate(getattr(tiny, model).bundle, None, metrics)


def test_a_folder_without_video_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="has no video file"):
        workflows.evaluate(tiny.tokenizer.bundle, tmp_path, ["psnr"])

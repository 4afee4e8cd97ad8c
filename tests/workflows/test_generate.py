"""`generate`: clips of a task written to a folder."""

import importlib

import numpy as np
import pytest
from tiny_models import moving_square

import magvit_jax
from magvit_jax import workflows
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import read_video, write_mp4
from magvit_jax.workflows import UserMask


@pytest.fixture(scope="module")
def generator(tiny):
    return magvit_jax.load_generator(tiny.generator.bundle)


def run(generator, task, output, **more):
    return workflows.generate(generator, task, output, say=lambda _: None, **more)


def test_classes_in_turn(generator, tmp_path):
    clips = run(generator, "class_conditional", tmp_path, num=3)
    assert clips.shape == (3, 9, 16, 16, 3) and clips.dtype == np.uint8
    for i, name in enumerate(generator.class_names[:3]):
        for suffix in (".mp4", ".gif"):
            assert len(read_video(tmp_path / f"class_conditional_{i:04d}_{name}{suffix}")) == 9
    assert read_video(tmp_path / "grid.png").size
    assert not list(tmp_path.glob("*beside*"))


@pytest.mark.parametrize("label", ["grow", "6", 6])
def test_one_class_by_name_or_number(generator, tmp_path, label):
    assert generator.class_names[6] == "grow"
    run(generator, "class_conditional", tmp_path, num=1, label=label)
    assert (tmp_path / "class_conditional_0000_grow.mp4").is_file()


def test_frame_prediction_beside_its_originals(generator, mixed, tmp_path):
    said = []
    clips = workflows.generate(generator, "frame_prediction", tmp_path, source=mixed, num=3, say=said.append)
    assert clips.shape == (3, 9, 16, 16, 3)
    for i in range(3):
        assert len(read_video(tmp_path / f"frame_prediction_{i:04d}_beside.mp4")) == 9
    named = [line for line in said if line.startswith("skipped: ")]
    # One truncated, one empty, and two images: the videos of 5, 6 and 11 frames have the five that are given.
    assert len(named) == 4 and sum("has 1 frame, a clip needs 5" in line for line in named) == 2


def test_one_file_gives_as_many_samples_as_asked_for(generator, mixed, tmp_path):
    clips = run(generator, "frame_prediction", tmp_path, source=mixed / "square.mp4", num=2)
    assert np.any(clips[0] != clips[1])


def test_batches_are_parts_of_one_whole(generator, tmp_path, monkeypatch):
    whole = run(generator, "class_conditional", tmp_path / "whole", num=4, seed=2)
    monkeypatch.setattr(importlib.import_module("magvit_jax.workflows.generate"), "BATCH", 2)
    parts = run(generator, "class_conditional", tmp_path / "parts", num=4, seed=2)
    # The decoder rounds differently for another batch size, which can move a pixel by one step.
    np.testing.assert_allclose(parts.astype(int), whole.astype(int), atol=1)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("inpainting", {}, "task 'inpainting' is unknown to this model"),
        ("frame_prediction", {}, "conditioned on a video or image; expected --input"),
        ("frame_prediction", {"source": "short.mp4"}, "short.mp4 has 4 frames, a clip needs 5"),
        ("frame_prediction", {"source": "absent.mp4"}, "absent.mp4 does not exist"),
        ("class_conditional", {"label": "jump"}, "label 'jump' is unknown"),
        ("class_conditional", {"label": "10"}, "label 10 is unknown"),
        ("class_conditional", {"num": 0}, "num is 0"),
        ("class_conditional", {"source": "short.mp4"}, "given no pixels; expected no --input"),
        ("class_conditional", {"paste": True}, "no pixels: there are none to paste"),
        ("class_conditional", {"prompt": "frame_prediction"}, "has its own prompt"),
        ("class_conditional", {"mask": UserMask(box=(0.0, 0.0, 0.5, 0.5))}, "a mask .* goes with task 'mask'"),
        ("class_conditional", {"decoding": "magvit3"}, "decoding 'magvit3' is unknown"),
        ("frame_prediction", {"source": "whole.mp4", "label": "grow"}, "takes no class; expected no label"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(generator, tmp_path, task, arguments, message):
    write_mp4(tmp_path / "short.mp4", moving_square(4))
    write_mp4(tmp_path / "whole.mp4", moving_square(9))
    if "source" in arguments:
        arguments = arguments | {"source": tmp_path / arguments["source"]}
    with pytest.raises(UserError, match=message):
        run(generator, task, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()

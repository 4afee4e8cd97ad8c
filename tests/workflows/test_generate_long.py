"""Long videos: the given frames first, then as many new ones as asked for, one window in memory."""

import io

import numpy as np
import pytest
import tiny_generators
from tiny_models import moving_square

from magvit_jax import workflows
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import read_video, write_gif
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.workflows import progress

FP, CFP = "frame_prediction", "class_conditional_frame_prediction"


@pytest.fixture(scope="module")
def generator():
    return tiny_generators.generator("causal", (FP, CFP, "central_outpainting"))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_gif(tmp_path_factory.mktemp("film") / "film.gif", moving_square(7))


def run(generator, task, output, frames, **more):
    return workflows.generate_long(
        generator, task, output, frames, say=lambda _: None, stream=io.StringIO(), **more
    )


def test_the_video_is_what_was_given_and_what_the_window_made_of_it(generator, film, tmp_path):
    (path,) = run(generator, FP, tmp_path, 20, source=film, seed=3)
    assert path.name == "frame_prediction_0000.mp4" and [path] == list(tmp_path.iterdir())
    shown = read_video(path)[:, 6::12, 6::12].astype(int)
    begin = moving_square(7)[:5]
    new = [np.asarray(part)[0] for part in generator.extend(begin[None], frames=15, task=FP, seed=3)]
    expected = np.concatenate([begin, to_uint8(np.concatenate(new))]).astype(int)
    assert shown.shape == (20, 16, 16, 3)
    assert (
        np.abs(shown - expected).mean() < 6 < 15 < np.abs(shown - expected[::-1]).mean()
    )  # mp4 is not exact


def test_videos_of_classes_are_named_after_them(generator, film, tmp_path):
    paths = run(generator, CFP, tmp_path, 10, source=film, num=2)
    assert [path.name for path in paths] == [f"{CFP}_0000_class0.mp4", f"{CFP}_0001_class1.mp4"]
    assert [len(read_video(path)) for path in paths] == [10, 10]


def test_progress_counts_frames(generator, film, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "ELSEWHERE", 0.0)
    stream = io.StringIO()
    workflows.generate_long(generator, FP, tmp_path, 12, source=film, say=lambda _: None, stream=stream)
    lines = [line.split(" frames")[0] for line in stream.getvalue().splitlines()]
    assert lines == [f"frame_prediction_0000.mp4: {done} of 12" for done in (5, 9, 12)]


def test_frames_are_written_as_they_come(generator, film, tmp_path, monkeypatch):
    """An interruption in the middle: there were frames before the end, and no half-written file is left."""
    given = []

    def breaks_off(begin, **_):
        given.append(begin.shape)
        yield np.zeros((1, 4, 16, 16, 3), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(generator, "extend", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        run(generator, FP, tmp_path, 10**9, source=film)
    assert given == [(1, 5, 16, 16, 3)] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "frames", "message"),
    [
        ("central_outpainting", 20, "makes no video of 20 frames; expected frame_prediction or"),
        (FP, 5, "frames is 5; expected more than the 5 that are given"),
        (FP, 20, "expected --input"),
    ],
)
def test_what_does_not_fit_is_named(generator, film, tmp_path, task, frames, message):
    source = None if "input" in message else film
    with pytest.raises(UserError, match=message):
        run(generator, task, tmp_path / "out", frames, source=source)
    assert not (tmp_path / "out").exists()

"""A file's frames one at a time: the same as the whole clip, at the file's own size or another."""

import numpy as np
import pytest
from PIL import Image

from magvit_jax.data import ClipSpec, FrameStream, load_clip
from magvit_jax.errors import UserError


def test_frames_of_a_size_are_those_of_the_whole_clip(tmp_path, write_counting):
    path = write_counting(tmp_path / "a.mp4", 20)
    stream = FrameStream(path, (24, 16), stride=3)
    assert (stream.frames, stream.height, stream.width, stream.rate, stream.image) == (
        7,
        24,
        16,
        25 / 3,
        False,
    )
    np.testing.assert_array_equal(
        np.stack(list(stream)), load_clip(path, ClipSpec(1, 24, 16, stride=3), whole=True)
    )
    assert len(list(stream)) == 7  # and again


def test_own_size_is_the_stored_one(tmp_path, write_counting, frame_numbers):
    path = write_counting(tmp_path / "a.mp4", 20)
    stream = FrameStream(path)
    frames = np.stack(list(stream))
    assert frames.shape == (stream.frames, stream.height, stream.width, 3) and stream.rate == 25
    assert frame_numbers(frames) == list(range(20))
    Image.new("RGB", (30, 20), (10, 20, 30)).save(tmp_path / "a.png")
    stream = FrameStream(tmp_path / "a.png")
    (frame,) = stream
    assert stream.image and frame.shape == (20, 30, 3) and (frame == [10, 20, 30]).all()


def test_frames_are_read_as_they_are_asked_for(tmp_path, write_counting, monkeypatch):
    from magvit_jax.data import frames

    given, read_frames = [], frames.read_frames

    def counting(*arguments, **more):
        for frame in read_frames(*arguments, **more):
            given.append(frame)
            yield frame

    monkeypatch.setattr(frames, "read_frames", counting)
    stream = iter(FrameStream(write_counting(tmp_path / "a.mp4", 20)))
    next(stream), next(stream)
    assert len(given) == 2


def test_mistakes_name_the_file(tmp_path, write_counting):
    path = write_counting(tmp_path / "a.mp4", 4)
    (tmp_path / "zero.mp4").write_bytes(b"")
    for name, more, reason in (
        ("none.mp4", {}, "none.mp4 does not exist"),
        (".", {}, "is a folder"),
        ("zero.mp4", {}, "zero.mp4: .*0 bytes"),
        ("a.mp4", {"stride": 0}, "stride is 0: expected 1 or more"),
        ("a.mp4", {"size": (16, 0)}, "width is 0: expected 1 or more"),
    ):
        with pytest.raises(UserError, match=reason):
            FrameStream(tmp_path / name, **more)
    assert len(list(FrameStream(path))) == 4

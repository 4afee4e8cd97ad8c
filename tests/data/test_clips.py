"""One named file for a command: its frames, or one line that says what is wrong."""

import numpy as np
import pytest
from PIL import Image

from magvit_jax.data import ClipSpec, frame_rate, list_images, list_videos, load_clip
from magvit_jax.errors import UserError


def test_first_frames_and_whole_files(tmp_path, write_counting, frame_numbers):
    path = write_counting(tmp_path / "a.mp4", 20)
    assert frame_numbers(load_clip(path, ClipSpec(5, 16, 16))) == [0, 1, 2, 3, 4]
    assert frame_numbers(load_clip(path, ClipSpec(5, 16, 16, stride=4))) == [0, 4, 8, 12, 16]
    whole = load_clip(path, ClipSpec(5, 24, 16, stride=3), whole=True)
    assert whole.shape == (7, 24, 16, 3) and whole.dtype == np.uint8
    assert load_clip(path, ClipSpec(99, 16, 16), whole=True).shape[0] == 20
    assert frame_rate(path) == 25


def test_images(tmp_path):
    Image.new("RGB", (30, 20), (10, 20, 30)).save(tmp_path / "a.png")
    video = load_clip(tmp_path / "a.png", ClipSpec(1, 16, 16))
    assert video.shape == (1, 16, 16, 3) and (video == [10, 20, 30]).all()
    with pytest.raises(UserError, match="a.png has 1 frame, a clip needs 5"):
        load_clip(tmp_path / "a.png", ClipSpec(5, 16, 16))


def test_mistakes_name_the_file(tmp_path, write_counting):
    (tmp_path / "zero.mp4").write_bytes(b"")
    write_counting(tmp_path / "short.mp4", 4)
    spec = ClipSpec(5, 16, 16, stride=2)
    for name, reason in (
        ("none.mp4", "does not exist"),
        (".", "is a folder"),
        ("zero.mp4", "0 bytes"),
        ("short.mp4", "4 frames, a clip needs 9"),
    ):
        with pytest.raises(UserError, match=reason) as error:
            load_clip(tmp_path / name, spec)
        assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match="zero.mp4"):
        frame_rate(tmp_path / "zero.mp4")


def test_listing(tmp_path):
    for name in ("b.MP4", "sub/a.gif", "sub/.hidden.mp4", ".git/c.mp4", "d.png", "e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert list_videos(tmp_path) == [str(tmp_path / "b.MP4"), str(tmp_path / "sub" / "a.gif")]
    assert list_images(tmp_path) == [str(tmp_path / "d.png"), str(tmp_path / "sub" / "a.gif")]
    assert list_videos(tmp_path / "b.MP4") == [str(tmp_path / "b.MP4")]
    with pytest.raises(UserError, match="does not exist"):
        list_videos(tmp_path / "none")


@pytest.mark.parametrize("field", ["frames", "height", "stride"])
def test_impossible_specs(field):
    with pytest.raises(UserError, match=f"data.{field} is 0"):
        ClipSpec(**{"frames": 5, "height": 16, "width": 16, field: 0})

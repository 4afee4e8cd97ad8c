"""Which clips are cut out of inputs, and from which inputs."""

import numpy as np
import pytest
from PIL import Image

from magvit_jax.data import ClipSpec, VideoFolder
from magvit_jax.data.decode import Unreadable
from magvit_jax.data.recordings import Cutting, FileRecordings, SourceRecordings, cut
from magvit_jax.errors import UserError


def numbered(count):
    """Frames of 4x4 whose brightness is their number; says how many were asked for."""
    for number in range(count):
        yield np.full((4, 4, 3), number, np.uint8)


def starts_and_frames(count, frames, stride, every, most=None):
    cutting = Cutting(ClipSpec(frames, 4, 4, stride), every, most)
    clips = list(cut(numbered(count), (4, 4), cutting, "a", 0))
    for clip in clips:
        assert clip.video_THWC.shape == (frames, 4, 4, 3)
    return [(clip.start, clip.video_THWC[:, 0, 0, 0].tolist()) for clip in clips]


@pytest.mark.parametrize("count", [3, 4, 5, 13, 24])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2, 3, 6, 11])
def test_every_whole_clip_is_cut(count, frames, stride, every):
    span = (frames - 1) * stride + 1
    expected = [
        (start, [start + k * stride for k in range(frames)]) for start in range(0, count - span + 1, every)
    ]
    if not expected:
        with pytest.raises(
            Unreadable, match=rf"{count} frames, a clip needs {span} \(3 at stride {stride}\)"
        ):
            starts_and_frames(count, frames, stride, every)
        return
    assert starts_and_frames(count, frames, stride, every) == expected
    assert starts_and_frames(count, frames, stride, every, most=2) == expected[:2]


def test_reading_ends_with_the_last_clip_that_is_wanted():
    frames = numbered(100)
    list(cut(frames, (4, 4), Cutting(ClipSpec(3, 4, 4), 3, most=2), "a", 0))
    assert next(frames)[0, 0, 0] == 6


@pytest.mark.parametrize("arguments", [(0, None), (3, 0)])
def test_cuttings_that_are_none(arguments):
    with pytest.raises(UserError, match="is 0: expected at least 1"):
        Cutting(ClipSpec(3, 4, 4), *arguments)


def clips_of(recordings, spec, **keywords):
    cutting = Cutting(spec, spec.frames * spec.stride, **keywords)
    return {recordings.name(n): list(recordings.clips(n, cutting)) for n in range(len(recordings))}


def test_files_with_their_labels(tmp_path, write_counting, frame_numbers):
    write_counting(tmp_path / "run" / "a.mp4", 11)
    write_counting(tmp_path / "walk" / "b.mp4", 7, height=64, width=48)
    write_counting(tmp_path / "c.avi", 4)
    recordings = FileRecordings(tmp_path, "all", ClipSpec(4, 16, 24), 0.1)
    assert recordings.class_names == ("c", "run", "walk")
    clips = clips_of(recordings, ClipSpec(4, 16, 24))
    assert {name: [clip.start for clip in found] for name, found in clips.items()} == {
        "c.avi": [0],
        "run/a.mp4": [0, 4],
        "walk/b.mp4": [0],
    }
    second = clips["run/a.mp4"][1]
    assert (second.label, second.video_THWC.shape) == (1, (4, 16, 24, 3))
    assert frame_numbers(second.video_THWC) == [4, 5, 6, 7]
    alone = FileRecordings(tmp_path / "run" / "a.mp4", "all", ClipSpec(4, 16, 24), 0.1)
    np.testing.assert_array_equal(
        clips_of(alone, ClipSpec(4, 16, 24))["a.mp4"][1].video_THWC, second.video_THWC
    )


def test_splits_are_those_that_the_model_was_trained_with(tmp_path, write_counting):
    for name in "abcdefgh":
        write_counting(tmp_path / f"{name}.mp4", 4)
    spec = ClipSpec(4, 16, 16)
    for split in ("train", "test"):
        recordings = FileRecordings(tmp_path, split, spec, 0.3)
        trained = VideoFolder(str(tmp_path), split, spec, held_out=0.3)
        mine = {recordings.class_names[clip.label] for (clip,) in clips_of(recordings, spec).values()}
        theirs = {
            trained.class_names[trained.clip(k, None, spec, False)["label"]] for k in range(len(trained))
        }
        assert mine == theirs and len(mine) == {"train": 6, "test": 2}[split]


def test_folders_train_and_test_are_honoured(tmp_path, write_counting):
    for name in ("train/x/a", "train/y/b", "val/x/c"):
        write_counting(tmp_path / f"{name}.mp4", 4)
    spec = ClipSpec(4, 16, 16)
    found = {
        split: list(clips_of(FileRecordings(tmp_path, split, spec, 0.1), spec))
        for split in ("train", "test", "all")
    }
    assert found["train"] == ["train/x/a.mp4", "train/y/b.mp4"] and found["test"] == ["val/x/c.mp4"]
    assert found["all"] == found["train"] + found["test"]
    assert FileRecordings(tmp_path, "test", spec, 0.1).class_names == ("x", "y")


def test_images_are_clips_of_one_frame(tmp_path, write_counting):
    for name, level in (("x/a.png", 10), ("x/b.png", 200)):
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.new("RGB", (20, 30), (level,) * 3).save(tmp_path / name)
    spec = ClipSpec(1, 16, 16)
    clips = clips_of(FileRecordings(tmp_path, "all", spec, 0.1), spec)
    assert [clip.video_THWC.mean() for (clip,) in clips.values()] == [10, 200]
    loose = FileRecordings(tmp_path / "x", "all", spec, 0.1)
    assert loose.class_names == ("x",)
    write_counting(tmp_path / "x" / "c.mp4", 3)
    assert len(clips_of(FileRecordings(tmp_path, "all", spec, 0.1), spec)["x/c.mp4"]) == 3
    with pytest.raises(UserError, match="has 2 images and no video: expected videos, or clips of one frame"):
        (tmp_path / "x" / "c.mp4").unlink()
        FileRecordings(tmp_path, "all", ClipSpec(4, 16, 16), 0.1)


def test_bad_files_are_unreadable_when_their_turn_comes(tmp_path, write_counting):
    write_counting(tmp_path / "good.mp4", 8)
    whole = (tmp_path / "good.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere")
    recordings = FileRecordings(tmp_path, "all", ClipSpec(4, 16, 16), 0.1)
    reasons = {}
    for number in range(len(recordings)):
        try:
            list(recordings.clips(number, Cutting(ClipSpec(4, 16, 16), 4)))
        except Unreadable as error:
            reasons[recordings.name(number)] = str(error)
    assert set(reasons) == {"cut.mp4", "empty.mp4", "gone.mp4"}
    assert "0 bytes" in reasons["empty.mp4"] and "No such file" in reasons["gone.mp4"]


def test_the_identity_tells_files_by_name_and_size(tmp_path, write_counting):
    write_counting(tmp_path / "a.mp4", 8)
    write_counting(tmp_path / "b.mp4", 8)

    def identity(split="all"):
        return FileRecordings(tmp_path, split, ClipSpec(4, 16, 16), 0.1).identity()

    before = identity()
    assert identity() == before and identity("train") != before
    (tmp_path / "a.mp4").rename(tmp_path / "c.mp4")
    renamed = identity()
    assert renamed != before
    write_counting(tmp_path / "c.mp4", 9)
    assert identity() != renamed


@pytest.mark.parametrize(
    ("split", "held_out", "message"),
    [
        ("val", 0.1, "split of files is 'val': expected train, test or all"),
        ("all", 1.5, "expected a fraction between 0 and 1"),
        ("test", 0.1, "has 1 file: expected at least 2"),
    ],
)
def test_splits_that_are_none(tmp_path, write_counting, split, held_out, message):
    write_counting(tmp_path / "a.mp4", 4)
    with pytest.raises(UserError, match=message):
        FileRecordings(tmp_path, split, ClipSpec(4, 16, 16), held_out)


class Two:
    """A source of two clips that are as bright as their label."""

    class_names = ("a", "b")

    def __len__(self):
        return 2

    def clip(self, index, rng, spec, train):
        assert not train
        return {"video": np.full((spec.frames, 4, 4, 3), index, np.uint8), "label": np.int32(index)}


def test_the_clips_of_a_source():
    recordings = SourceRecordings(Two(), {"source": "two"})
    [clip] = recordings.clips(1, Cutting(ClipSpec(3, 4, 4), 3))
    assert (clip.name, clip.label, clip.start, clip.video_THWC.mean()) == ("1", 1, 0, 1)
    assert (recordings.identity(), recordings.class_names, len(recordings)) == (
        {"source": "two"},
        ("a", "b"),
        2,
    )

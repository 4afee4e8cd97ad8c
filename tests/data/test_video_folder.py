"""Folders of videos: labels, splits, windows, skips, and the same clips whatever is cached."""

import logging
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from magvit_jax.data import ClipSpec, VideoFolder, batches, build_source, describe, eval_batches
from magvit_jax.errors import UserError

SPEC = ClipSpec(5, 16, 16)


def folder(path, split="train", spec=SPEC, **kwargs):
    return VideoFolder(str(path), split, spec, **{"held_out": 0.3, **kwargs})


def files(source):
    return {video.path.rsplit("/", 1)[1] for video in source._videos}


def clip(source, index=0, seed=0, spec=SPEC, train=True):
    return source.clip(index, np.random.default_rng(seed), spec, train)


@pytest.fixture(scope="module")
def seven(tmp_path_factory, write_counting):
    """Seven sound files, one of them too short for SPEC, and four bad ones."""
    root = tmp_path_factory.mktemp("seven")
    for number in range(6):
        write_counting(root / f"file{number}.mp4", 20 + number, keys=8)
    write_counting(root / "short.mp4", 4)
    (root / "zero.mp4").write_bytes(b"")
    (root / "text.mkv").write_bytes(b"text" * 100)
    whole = (root / "file0.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (root / ".hidden.mp4").write_bytes(b"")
    (root / "notes.txt").write_text("notes")
    return root


def test_bad_files_are_counted_and_named_and_the_rest_is_used(seven, caplog):
    caplog.set_level(logging.WARNING)
    train, test = folder(seven), folder(seven, "test")
    assert {path.rsplit("/", 1)[1] for path, _ in train.skipped} == {
        "short.mp4",
        "zero.mp4",
        "text.mkv",
        "cut.mp4",
    }
    assert train.skipped == test.skipped
    assert dict(train.skipped)[str(seven / "short.mp4")].startswith("4 frames")
    (message,) = [record.message for record in caplog.records if "skipped" in record.message]
    assert "4 files" in message and "zero.mp4 (empty file (0 bytes))" in message
    assert files(train) | files(test) == {f"file{number}.mp4" for number in range(6)}
    assert not files(train) & files(test) and files(test)
    assert "4 files skipped" in describe(train) and "zero.mp4" in describe(train)


def test_splits_have_the_same_classes_and_labels_name_the_file(seven):
    train, test = folder(seven), folder(seven, "test")
    assert train.class_names == test.class_names == tuple(f"file{number}" for number in range(6))
    for source in (train, test):
        for index in range(len(source)):
            video = source._videos[source._video_ids[index]]
            assert source.class_names[clip(source, index)["label"]] + ".mp4" == video.path.rsplit("/", 1)[1]


def test_the_side_of_a_file_depends_on_names_only(seven):
    shorter = ClipSpec(2, 16, 16)
    assert files(folder(seven, "test", shorter)) - {"short.mp4"} == files(folder(seven, "test"))
    assert files(folder(seven, "test", held_out=0.01)) and files(folder(seven, held_out=0.99))


def test_training_starts_everywhere_and_tests_are_evenly_spread(seven, frame_numbers):
    train, test = folder(seven), folder(seven, "test")
    frames = train._videos[train._video_ids[0]].frames
    starts = {frame_numbers(clip(train, 0, seed)["video"])[0] for seed in range(300)}
    assert starts == set(range(frames - 4))
    numbers = frame_numbers(clip(train, 0, 1)["video"])
    assert np.diff(numbers).tolist() == [1] * 4
    for number, video in enumerate(test._videos):
        mine = np.flatnonzero(test._video_ids == number)
        starts = sorted(frame_numbers(clip(test, index, train=False)["video"])[0] for index in mine)
        assert len(starts) == video.frames // 5
        assert starts[0] == 0 and starts[-1] == video.frames - 5 and np.diff(starts).min() >= 5
    assert np.bincount(test._video_ids[: len(test._videos)]).max() == 1  # one clip of each file first


def test_stride_and_a_lone_window_in_the_middle(seven, frame_numbers):
    spec = ClipSpec(5, 16, 16, stride=3)
    source = folder(seven, "test", spec)
    frames = source._videos[source._video_ids[0]].frames
    first = (frames - 13) // 2
    assert frame_numbers(clip(source, 0, spec=spec, train=False)["video"]) == [
        first + 3 * k for k in range(5)
    ]


@pytest.mark.parametrize("train", [True, False])
def test_cache_worker_copies_and_seeking_give_the_same_clips(seven, train):
    spec = ClipSpec(5, 16, 16, flip=True, random_crop=True)
    cached, uncached = folder(seven, spec=spec), folder(seven, spec=spec, cache_mb=0)
    copy = pickle.loads(pickle.dumps(cached))
    for index in range(8):
        want = clip(cached, index, index, spec, train)
        for source in (uncached, copy):
            got = clip(source, index, index, spec, train)
            np.testing.assert_array_equal(want["video"], got["video"])
            assert want["label"] == got["label"]


def test_batches_of_two_hosts_and_of_one(seven):
    source, spec = folder(seven), ClipSpec(5, 16, 16, flip=True, random_crop=True)
    whole = batches(source, spec, batch_size=4, seed=0)
    halves = [batches(source, spec, batch_size=4, seed=0, shard_index=i, shard_count=2) for i in range(2)]
    for _ in range(3):
        parts = [next(half) for half in halves]
        for name, value in next(whole).items():
            np.testing.assert_array_equal(value, np.concatenate([part[name] for part in parts]))
    for iterator in (whole, *halves):
        iterator.close()


def test_labels_by_sub_folder_and_given_splits(tmp_path, write_counting):
    for name in ("train/run/a", "train/run/b", "train/walk/deep/c", "Val/walk/d", "e"):
        write_counting(tmp_path / f"{name}.mp4", 6)
    train, test = folder(tmp_path), folder(tmp_path, "test")
    assert (files(train), files(test)) == ({"a.mp4", "b.mp4", "c.mp4"}, {"d.mp4"})
    assert train.class_names == test.class_names == ("run", "walk")
    assert clip(test)["label"] == 1
    only = folder(tmp_path / "train")
    assert only.class_names == ("run", "walk")


def test_every_label_keeps_a_training_file(tmp_path, write_counting):
    for name in ("a/1", "a/2", "b/1", "c/1", "d/1"):
        write_counting(tmp_path / f"{name}.mp4", 5)
    train, test = folder(tmp_path, held_out=0.2), folder(tmp_path, "test", held_out=0.2)
    assert {video.label for video in train._videos} == {0, 1, 2, 3}
    assert [video.label for video in test._videos] == [0]


def test_a_single_file_is_cut_in_time(tmp_path, write_counting, frame_numbers, caplog):
    path = write_counting(tmp_path / "only.mp4", 30)
    for root in (tmp_path, path):
        train, test = folder(root, held_out=0.3), folder(root, "test", held_out=0.3)
        seen = [
            {n for seed in range(60) for n in frame_numbers(clip(s, 0, seed)["video"])} for s in (train, test)
        ]
        assert seen == [set(range(21)), set(range(21, 30))]
    assert "only usable video" in caplog.text
    with pytest.raises(UserError, match="30 frames.*takes 32"):
        folder(tmp_path, spec=ClipSpec(16, 16, 16))


def test_resizing_keeps_proportions_and_crops(tmp_path, write_video):
    picture = np.zeros((6, 40, 80, 3), np.uint8)
    picture[:, :, 40:] = 240  # right half bright
    for name in "ab":
        write_video(tmp_path / f"wide_{name}.mp4", picture)
        write_video(tmp_path / f"portrait_{name}.mp4", picture.swapaxes(1, 2))
    spec = ClipSpec(5, 20, 20, random_crop=True, flip=False)
    for split in ("train", "test"):
        source = folder(tmp_path, split, spec, held_out=0.5)
        for index in range(len(source)):
            name = source.class_names[clip(source, index, spec=spec)["label"]]
            side = -1 if name.startswith("wide") else -2
            middle = clip(source, index, spec=spec, train=False)["video"]
            across = middle.astype(float).mean(-1).mean((0, -3 - side))
            assert across[:9].max() < 20 and across[11:].min() > 220  # the edge stays in the centre
            shares = {(clip(source, index, seed, spec)["video"] > 120).mean().round(2) for seed in range(12)}
            assert len(shares) > 3 and min(shares) < 0.4 < 0.6 < max(shares)


def test_half_of_the_training_clips_are_mirrored(tmp_path, write_video):
    picture = np.zeros((6, 16, 16, 3), np.uint8)
    picture[:, :, 8:] = 240
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", picture)
    spec = ClipSpec(5, 16, 16, flip=True)
    source = folder(tmp_path, spec=spec)
    mirrored = [clip(source, 0, seed, spec)["video"][..., 0, :].mean() > 120 for seed in range(40)]
    assert 10 < sum(mirrored) < 30
    assert clip(source, 0, 0, spec, train=False)["video"][..., 0, :].mean() < 20


def test_a_damaged_file_is_replaced_where_it_fails_and_named_once(tmp_path, write_video, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3)).astype(np.uint8)
    for name in "abcd":
        write_video(tmp_path / f"{name}.mp4", noise, keys=5)
    damaged = folder(tmp_path)._videos[0].path
    content = bytearray(Path(damaged).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    Path(damaged).write_bytes(content)
    cached, uncached = folder(tmp_path, cache_mb=100), folder(tmp_path, cache_mb=0)
    assert not cached.skipped  # the damage shows only when it is decoded
    for index in np.flatnonzero(cached._video_ids == 0):
        labels = set()
        for seed in range(12):
            got = [clip(source, index, seed) for source in (cached, uncached)]
            np.testing.assert_array_equal(got[0]["video"], got[1]["video"])
            labels |= {int(one["label"]) for one in got}
        assert labels == {cached._videos[0].label, cached._videos[1].label}
    for source in (cached, uncached):
        assert [path for path, _ in source.skipped] == [damaged]
    assert caplog.text.count("skipped 1 file:") == 1


def test_hopeless_folders_say_so_in_one_line(tmp_path, write_counting):
    config = SimpleNamespace(
        source="video_folder", path=str(tmp_path / "none"), frames=5, height=16, width=16, stride=1,
        flip=False, random_crop=False, smallest_crop=1.0, seed=0, size=0, held_out=0.1, cache_mb=10,
    )  # fmt: skip

    def message():
        with pytest.raises(UserError) as error:
            build_source(config)
        assert "\n" not in str(error.value) and config.path in str(error.value)
        return str(error.value)

    assert "does not exist" in message()
    config.path = str(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    assert "no video file" in message()
    (tmp_path / "zero.mp4").write_bytes(b"")
    assert "none of its 1 videos can be read" in message() and "0 bytes" in message()
    write_counting(tmp_path / "short.mp4", 3)
    assert "longest has 3 frames" in message() and "needs 5" in message()
    config.held_out = 1.5
    write_counting(tmp_path / "a.mp4", 6), write_counting(tmp_path / "b.mp4", 6)
    with pytest.raises(UserError, match="held_out is 1.5"):
        build_source(config)
    config.source = "folder"
    with pytest.raises(UserError, match="'folder'.*video_folder"):
        build_source(config)


def test_real_gestures(real_data):
    spec, root = ClipSpec(17, 32, 32, stride=2), real_data / "video" / "asl_gestures"
    train, test = folder(root, spec=spec, held_out=0.2), folder(root, "test", spec, held_out=0.2)
    assert len(train.class_names) == 14 and "thanks" in train.class_names and not train.skipped
    assert (len(train._videos), len(test._videos)) == (11, 3)
    taken = list(eval_batches(test, spec, batch_size=2))
    assert sum(len(batch["label"]) for batch in taken) == len(test) >= 3
    assert all(batch["video"].std() > 10 for batch in taken)

"""Shards as sources: clips as they were written or as asked, in splits that share no input."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from magvit_jax.data import ClipShards, ClipSpec, TokenShards, batches, build_source, records
from magvit_jax.data.recordings import Cutting
from magvit_jax.data.shard_source import ClipShardRecordings
from magvit_jax.data.shard_writer import ShardFolder
from magvit_jax.errors import UserError

STORED = {"frames": 7, "height": 10, "width": 12, "stride": 2, "every": 14, "most": None}


def stored_clip(shard, number):
    return np.random.default_rng((shard, number)).integers(0, 256, (7, 10, 12, 3), dtype=np.uint8)


def stored_ids(shard, number):
    return np.random.default_rng((shard, number)).integers(0, 64, (2, 3, 4), dtype=np.int32)


def write(folder, kind, counts=(2, 2, 1, 0), **changes):
    """A shard a count, of as many records, all of one input of label shard % 2."""
    identity = {
        "kind": kind,
        "shard_count": len(counts),
        "class_names": ["a", "b"],
        "clip": STORED,
        "input": {},
    }
    target = ShardFolder(folder, identity | {"tokenizer": {"fingerprint": "f"}} | changes)
    for shard, count in enumerate(counts):
        facts = [{"name": f"{shard}.mp4", "start": 14 * k, "label": shard % 2} for k in range(count)]
        if kind == "clips":
            made = [records.encode_clip(stored_clip(shard, k), fact) for k, fact in enumerate(facts)]
        else:
            made = [records.encode_ids(stored_ids(shard, k), 6, fact) for k, fact in enumerate(facts)]
        target.write(shard, made, list)
    target.finish()
    return str(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write(tmp_path_factory.mktemp("clips"), "clips")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tokens"), "tokens")


WHOLE = ClipSpec(7, 10, 12, stride=2)


def test_whole_clips_come_back_as_written(clips):
    source = ClipShards(clips, "all", WHOLE)
    assert (len(source), source.class_names) == (5, ("a", "b"))
    expected = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    for index, (shard, number) in enumerate(expected):
        for train in (False, True):
            clip = source.clip(index, np.random.default_rng(0), WHOLE, train)
            np.testing.assert_array_equal(clip["video"], stored_clip(shard, number))
            assert (clip["label"], clip["label"].dtype) == (shard % 2, np.int32)


def test_splits_share_no_shard(clips):
    sides = {split: ClipShards(clips, split, WHOLE, held_out=0.4) for split in ("train", "test", "all")}
    found = {
        split: [source.clip(k, None, WHOLE, False)["video"].tobytes() for k in range(len(source))]
        for split, source in sides.items()
    }
    assert [len(found[split]) for split in ("train", "test")] == [4, 1]
    assert found["train"] + found["test"] == found["all"]


def test_training_clips_are_cut_out_of_larger_ones(clips):
    source = ClipShards(clips, "all", WHOLE)
    asked = ClipSpec(2, 8, 8, stride=4, flip=True, random_crop=True)
    stored, places = stored_clip(0, 0), set()
    for seed in range(60):
        video = source.clip(0, np.random.default_rng(seed), asked, True)["video"]
        for flipped in (False, True):
            upright = video[:, :, ::-1] if flipped else video
            places |= {
                (t, y, x, flipped)
                for t in range(5)
                for y in range(3)
                for x in range(5)
                if np.array_equal(stored[t : t + 3 : 2, y : y + 8, x : x + 8], upright)
            }
    starts, ys, xs, flips = map(set, zip(*places, strict=True))
    assert (starts, ys, xs, flips) == (set(range(5)), set(range(3)), set(range(5)), {False, True})
    test = source.clip(0, None, ClipSpec(2, 8, 8, stride=4), False)["video"]
    np.testing.assert_array_equal(test, stored[2:5:2, 1:9, 2:10])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            ClipSpec(8, 10, 12, stride=2),
            "data.frames: a clip needs 8, and those in .* have 7; expected no more",
        ),
        (ClipSpec(7, 11, 12, stride=2), "data.height: a clip needs 11"),
        (ClipSpec(7, 10, 13, stride=2), "data.width: a clip needs 13"),
        (ClipSpec(2, 10, 12, stride=3), "data.stride is 3: .* has one frame of 2; expected a multiple"),
        (ClipSpec(5, 10, 12, stride=4), "data.frames: a clip needs 9"),
    ],
)
def test_clips_that_are_not_there(clips, spec, message):
    with pytest.raises(UserError, match=message):
        ClipShards(clips, "train", spec)


def test_tokens_come_back_as_written(tokens):
    source = TokenShards(tokens, "all", WHOLE)
    for index, (shard, number) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]):
        clip = source.clip(index, None, WHOLE, True)
        np.testing.assert_array_equal(clip["ids"], stored_ids(shard, number))
        assert (clip["ids"].dtype, clip["label"]) == (np.int32, shard % 2)
    assert source.summary.endswith("3 all shards, 5 clips")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ClipSpec(3, 10, 12, stride=2), "data.frames is 3: .* has tokens of clips with frames 7"),
        (ClipSpec(7, 10, 12, stride=1), "data.stride is 1: .* stride 2"),
        (ClipSpec(7, 10, 12, stride=2, flip=True), "data.flip is True: tokens are as they were written"),
        (ClipSpec(7, 10, 12, stride=2, random_crop=True), "data.random_crop is True"),
    ],
)
def test_tokens_of_other_clips_are_refused(tokens, spec, message):
    with pytest.raises(UserError, match=message):
        TokenShards(tokens, "train", spec)


def test_folders_train_and_test(tmp_path):
    write(tmp_path / "train", "tokens", (3,))
    write(tmp_path / "test", "tokens", (1, 1))
    assert [len(TokenShards(str(tmp_path), split, WHOLE)) for split in ("train", "test")] == [3, 2]
    with pytest.raises(UserError, match="no index.json; expected a folder of shards, or one with"):
        TokenShards(str(tmp_path), "all", WHOLE)
    with pytest.raises(UserError, match="has 1 shard with records: expected at least 2"):
        TokenShards(str(tmp_path / "train"), "test", WHOLE)
    write(tmp_path / "other" / "train", "tokens", (1,))
    write(tmp_path / "other" / "test", "tokens", (1,), tokenizer={"fingerprint": "g"})
    with pytest.raises(UserError, match="tokenizer of train/ and test/ differ"):
        TokenShards(str(tmp_path / "other"), "test", WHOLE)


def test_shards_of_the_other_kind(clips, tokens):
    with pytest.raises(UserError, match="holds shards of clips; expected shards of tokens"):
        TokenShards(clips, "train", WHOLE)
    with pytest.raises(UserError, match="holds shards of tokens; expected shards of clips"):
        ClipShards(tokens, "train", WHOLE)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_tokens(tokens, workers):
    fields = dict(source="token_shards", path=tokens, frames=7, height=10, width=12, stride=2)
    source = build_source(
        ConfigDict(dict(fields, flip=False, random_crop=False, smallest_crop=1.0, held_out=0.3))
    )
    iterator = batches(source, WHOLE, batch_size=4, seed=0, workers=workers)
    batch = next(iterator)
    iterator.close()
    assert {name: (x.shape, x.dtype.name) for name, x in batch.items()} == {
        "ids": ((4, 2, 3, 4), "int32"),
        "label": ((4,), "int32"),
        "index": ((4,), "uint32"),
    }
    expected = {stored_ids(shard, number).tobytes() for shard in (0, 1) for number in (0, 1)}
    assert {ids.tobytes() for ids in batch["ids"]} == expected


def test_stored_clips_are_inputs_for_other_shards(clips):
    recordings = ClipShardRecordings(clips, "all", 0.1)
    assert [recordings.name(k) for k in range(3)] == ["0.mp4@0", "0.mp4@14", "1.mp4@0"]
    found = list(recordings.clips(1, Cutting(ClipSpec(2, 10, 12, stride=4), 4)))
    assert [(clip.name, clip.start, clip.label) for clip in found] == [
        ("0.mp4", 14, 0),
        ("0.mp4", 18, 0),
        ("0.mp4", 22, 0),
    ]
    np.testing.assert_array_equal(found[1].video_THWC, stored_clip(0, 1)[2:5:2])
    smaller = list(recordings.clips(0, Cutting(ClipSpec(7, 5, 6, stride=2), 14)))
    assert [clip.video_THWC.shape for clip in smaller] == [(7, 5, 6, 3)]
    with pytest.raises(UserError, match="stride 3 and every 4: the stored clips have one frame of 2"):
        list(recordings.clips(0, Cutting(ClipSpec(2, 10, 12, stride=3), 4)))
    assert recordings.identity() != ClipShardRecordings(clips, "train", 0.1).identity()

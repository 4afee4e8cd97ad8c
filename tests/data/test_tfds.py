"""TFDS datasets by name, made here with TFDS's own tools and read without TensorFlow."""

import io
import pickle
import shutil
import sys

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from magvit_jax.data import ClipSpec, Tfds, TfdsExamples, batches, build_source, tfds
from magvit_jax.data.recordings import Cutting
from magvit_jax.errors import UserError

td = pytest.importorskip("tensorflow_datasets")


def video_of(number, frames=None):
    """Example `number`: random frames of 10x12, of which there are 4 + number."""
    return np.random.default_rng(number).integers(0, 256, (frames or 4 + number, 10, 12, 3), dtype=np.uint8)


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def pngs(video):
    return [io.BytesIO(png(frame)) for frame in video]


def video_feature(frames):
    feature = td.features.Video(shape=(frames, 10, 12, 3))
    feature.dtype = np.dtype("uint8")  # writing its description asks TensorFlow otherwise
    return feature


def dataset(name, features, splits):
    """A builder; `splits` are examples by split name."""

    def info(self):
        made = features()
        made = td.features.FeaturesDict(made) if isinstance(made, dict) else made
        return td.core.DatasetInfo(builder=self, features=made)

    members = {
        "name": name,
        "VERSION": td.core.Version("1.0.0"),
        "_info": info,
        "_split_generators": lambda self, _: {key: enumerate(value) for key, value in splits.items()},
        "_generate_examples": lambda self: iter(()),
    }
    return type(name, (td.core.GeneratorBasedBuilder,), members)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    td.disable_progress_bar()
    label = td.features.ClassLabel(names=["walk", "run"])
    films = [{"film": pngs(video_of(n)), "action": n % 2, "title": f"{n}"} for n in range(6)]
    views = {
        "left": td.features.Image(shape=(None, None, 3)),
        "right": td.features.Image(shape=(None, None, 1)),
    }
    steps = [
        [
            {"main": main, "side": side, "action": np.float32([n])}
            for main, side in zip(pngs(video_of(n, 5)), pngs(255 - video_of(n, 5)), strict=True)
        ]
        for n in range(3)
    ]
    step = {key: td.features.Image(shape=(10, 12, 3)) for key in ("main", "side")}
    step["action"] = td.features.Tensor(shape=(1,), dtype=np.float32)
    sides = [{"left": png(video_of(n)[0]), "right": png(video_of(n)[0, ..., 0])} for n in range(3)]
    fixed = [{"video": video_of(n, 5)[..., :1], "label": n % 2} for n in range(3)]
    grey = td.features.Tensor(shape=(5, 10, 12, 1), dtype=np.uint8)
    with tfds._video_feature_without_tensorflow():
        for builder in (
            dataset(
                "films",
                lambda: {"film": video_feature(None), "action": label, "title": td.features.Text()},
                {"train": films[:4], "validation": films[4:]},
            ),
            dataset("views", lambda: views, {"train": sides}),
            dataset("steps", lambda: td.features.Sequence(step, length=5), {"train": steps}),
            dataset(
                "fixed", lambda: {"video": grey, "label": label}, {"train": fixed[:2], "test": fixed[2:]}
            ),
        ):
            builder(data_dir=root, file_format="array_record").download_and_prepare()
    shutil.copytree(root / "films", root / "serial")
    path = root / "serial" / "1.0.0" / "dataset_info.json"
    path.write_text(path.read_text().replace("array_record", "tfrecord").replace("films", "serial"))
    return str(root)


def spec(frames, **keywords):
    return ClipSpec(frames, 10, 12, **keywords)


def which(frame):
    """(example, frame) that this frame of `films` is."""
    for number in range(6):
        for at, other in enumerate(video_of(number)):
            if np.array_equal(frame, other):
                return number, at
    raise AssertionError("a frame of no example")


def test_videos_with_labels_and_splits(data_dir):
    source = Tfds(TfdsExamples("films:1.0.0", "train", data_dir), spec(3))
    assert (len(source), source.class_names, source.skipped) == (4, ("walk", "run"), ())
    assert source.summary == "TFDS dataset films/1.0.0: split train, 4 examples"
    seen = set()
    for index in range(4):
        clip = source.clip(index, None, spec(3), False)
        number, first = which(clip["video"][0])
        np.testing.assert_array_equal(clip["video"], video_of(number)[first : first + 3])
        assert (first, clip["label"], clip["label"].dtype) == ((1 + number) // 2, number % 2, np.int32)
        seen.add(number)
    assert seen == {0, 1, 2, 3}
    assert len(TfdsExamples("films", "train[:50%]", data_dir)) == 2


def test_training_clips_move_and_are_the_same_again(data_dir):
    source = Tfds(TfdsExamples("films", "validation", data_dir), spec(3))
    asked = ClipSpec(2, 8, 8, stride=2, flip=True, random_crop=True)

    def clip(seed):
        return source.clip(0, np.random.default_rng(seed), asked, True)["video"]

    drawn = [clip(seed) for seed in range(30)]
    assert all(video.shape == (2, 8, 8, 3) for video in drawn)
    assert len({video.tobytes() for video in drawn}) > 10
    np.testing.assert_array_equal(clip(7), drawn[7])
    whole = ClipSpec(2, 10, 12, stride=2, flip=True)
    found = set()
    for seed in range(30):
        video = source.clip(0, np.random.default_rng(seed), whole, True)["video"]
        for flipped in (False, True):
            upright = video[:, :, ::-1] if flipped else video
            starts = [
                (n, t) for n in (4, 5) for t in range(2 + n) if (video_of(n)[t : t + 3 : 2] == upright).all()
            ]
            found |= {(start[1], flipped) for start in starts}
    assert {start for start, _ in found} >= {0, 3} and {flipped for _, flipped in found} == {False, True}


def test_only_the_frames_of_the_clip_are_decoded(data_dir, monkeypatch):
    decoded = []
    rgb = tfds.rgb
    monkeypatch.setattr(tfds, "rgb", lambda frame: decoded.append(frame) or rgb(frame))
    source = Tfds(TfdsExamples("films", "validation", data_dir), spec(3))
    source.clip(0, None, spec(3), False)
    assert len(decoded) == 3


def test_short_examples_are_replaced_by_the_next_and_named(data_dir, caplog):
    source = Tfds(TfdsExamples("films", "train", data_dir), spec(6))
    for index in range(4):
        assert which(source.clip(index, None, spec(6), False)["video"][0])[0] in (2, 3)
    names, reasons = zip(*source.skipped, strict=True)
    assert len(names) == 2 and all(name.startswith("films/1.0.0/train ") for name in names)
    assert set(reasons) == {f"{n} frames, a clip needs 6 (6 at stride 1)" for n in (4, 5)}
    assert "skipped 1 file: train " in caplog.text


def test_images_and_grey_tensors(data_dir):
    source = Tfds(TfdsExamples("views", "train", data_dir, "left"), spec(1))
    assert source.class_names == ("views",)
    firsts = {video_of(n)[0].tobytes() for n in range(3)}
    assert {source.clip(n, None, spec(1), False)["video"].tobytes() for n in range(3)} == firsts
    right = Tfds(TfdsExamples("views", "train", data_dir, "right"), spec(1)).clip(0, None, spec(1), False)[
        "video"
    ]
    assert right.shape == (1, 10, 12, 3) and (right == right[..., :1]).all()
    fixed = Tfds(TfdsExamples("fixed", "test", data_dir), spec(5)).clip(0, None, spec(5), False)
    np.testing.assert_array_equal(fixed["video"], video_of(2, 5)[..., :1].repeat(3, axis=-1))


def test_examples_that_are_sequences_of_steps(data_dir):
    """As of bair_robot_pushing_small: each of the two cameras is a video, and there is no label."""
    for feature, sign in (("main", 1), ("side", -1)):
        examples = TfdsExamples("steps", "train", data_dir, feature)
        assert (examples.frames, examples.class_names) == (5, ("steps",))
        expected = {
            (video_of(n, 5)[1:4] if sign > 0 else 255 - video_of(n, 5)[1:4]).tobytes() for n in range(3)
        }
        source = Tfds(examples, spec(3))
        assert {source.clip(n, None, spec(3), False)["video"].tobytes() for n in range(3)} == expected
    with pytest.raises(UserError, match=r"expected one of its videos \(main, side\) or images \(none\)"):
        TfdsExamples("steps", "train", data_dir)


def test_as_the_source_of_a_config(data_dir):
    fields = dict(
        source="tfds",
        path="films",
        frames=3,
        height=10,
        width=12,
        stride=1,
        flip=False,
        random_crop=False,
        smallest_crop=1.0,
    )
    group = dict(data_dir=data_dir, train_split="train", test_split="validation", feature="film")
    config = ConfigDict(dict(fields, held_out=0.1, tfds=group))
    assert [len(build_source(config, split)) for split in ("train", "test")] == [4, 2]
    with pytest.raises(UserError, match="split of tfds data is 'all'"):
        build_source(config, "all")
    iterator = batches(build_source(config), spec(3), batch_size=4, seed=0)
    batch = next(iterator)
    iterator.close()
    assert batch["video"].shape == (4, 3, 10, 12, 3) and sorted(batch["label"].tolist()) == [0, 0, 1, 1]


def test_another_process_opens_it_anew(data_dir):
    source = Tfds(TfdsExamples("films", "train", data_dir), spec(3))
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(
        copy.clip(2, None, spec(3), False)["video"], source.clip(2, None, spec(3), False)["video"]
    )


def test_whole_examples_for_shards(data_dir):
    examples = TfdsExamples("films", "validation", data_dir)
    recordings = tfds.TfdsRecordings(examples)
    found = {}
    for number in range(2):
        for clip in recordings.clips(number, Cutting(spec(3), 3)):
            example, first = which(clip.video_THWC[0])
            assert (clip.name, clip.label, clip.start) == (f"validation/{number}", example % 2, first)
            found.setdefault(example, []).append(first)
    assert found == {4: [0, 3], 5: [0, 3, 6]}
    assert recordings.identity()["dataset"] == "films/1.0.0"
    assert recordings.identity() != TfdsExamples("films", "train", data_dir).identity()
    folder = TfdsExamples(f"{data_dir}/films/1.0.0", "validation")
    assert folder.identity() == recordings.identity()


@pytest.mark.parametrize(
    ("name", "split", "feature", "message"),
    [
        (
            "ucf101:2.0.0",
            "train",
            "",
            r"'ucf101:2.0.0' is not in {dir}; expected it there: prepare it with `tfds build ",
        ),
        ("films:3.0.0", "train", "", "'films:3.0.0' is not in {dir}"),
        ("films", "test", "", "split 'test': expected one of train, validation, or a part of one"),
        ("films", "train[", "", r"split 'train\[': expected one of"),
        (
            "films",
            "train",
            "title",
            r"feature is 'title'; expected one of its videos \(film\) or images \(none\)",
        ),
        (
            "views",
            "train",
            "",
            r"feature is ''; expected one of its videos \(none\) or images \(left, right\)",
        ),
        (
            "serial",
            "train",
            "",
            "is stored as tfrecord, which has no random access; expected array_record: `tfds build",
        ),
        ("", "train", "", "data.path is empty"),
    ],
)
def test_what_is_not_there_is_named(data_dir, name, split, feature, message):
    with pytest.raises(UserError, match=message.replace("{dir}", data_dir)) as raised:
        TfdsExamples(name, split, data_dir, feature)
    assert "\n" not in str(raised.value)


def test_where_tfds_looks_by_default(monkeypatch, tmp_path):
    with pytest.raises(
        UserError, match=r"'ucf101' is not in .*tensorflow_datasets; .* name the folder .*data.tfds.data_dir"
    ):
        TfdsExamples("ucf101", "train")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(
        UserError, match=r"tensorflow_datasets is not installed; expected `pip install 'magvit_jax\[tfds\]'"
    ):
        TfdsExamples("ucf101", "train")


def test_clips_that_no_example_has(data_dir):
    with pytest.raises(UserError, match="data.frames is 3: views/1.0.0 has images, set it to 1"):
        Tfds(TfdsExamples("views", "train", data_dir, "left"), spec(3))
    with pytest.raises(UserError, match="fixed/1.0.0: 5 frames, a clip needs 6"):
        Tfds(TfdsExamples("fixed", "train", data_dir), spec(6))
    source = Tfds(TfdsExamples("films", "train", data_dir), spec(30))
    with pytest.raises(UserError, match="films/1.0.0: none of its 4 train files can be decoded any more"):
        source.clip(0, None, spec(30), False)


@pytest.mark.parametrize(
    "frame", [b"no picture", np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8)]
)
def test_frames_that_are_none(frame):
    with pytest.raises(tfds.Unreadable):
        tfds.rgb(frame)

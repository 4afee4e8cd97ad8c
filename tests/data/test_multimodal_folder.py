"""Clips with their sound in sync, texts and conditions; what is skipped, and what is said of it."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from sounding import RATE, ramp, seconds, write

from magvit_jax.data import MultimodalFolder, MultimodalSpec, read_sound
from magvit_jax.errors import UserError

SPEC = MultimodalSpec(
    frames=5, height=16, width=16, fps=8.0, samples=4000, sample_rate=RATE, flip=False, random_crop=False
)
FIELDS = dict(
    sound="required",
    sound_tolerance=0.1,
    captions="none",
    templates=(),
    textless=True,
    companions={},
    held_out=0.3,
    cache_mb=64,
)


def source(path, split="all", spec=SPEC, **fields):
    return MultimodalFolder(str(path), split, spec, **FIELDS | fields)


def first_clip(found, train=False, seed=0, spec=SPEC):
    return found.clip(0, np.random.default_rng(seed), spec, train)


def frame_numbers(video):
    return [round(float(frame.mean()) / 4) for frame in video]


def reasons(found):
    return {path.rsplit("/", 1)[1]: reason for path, reason in found.skipped}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Two seconds at 25 frames a second, whose sound tells the time."""
    folder = tmp_path_factory.mktemp("plain")
    write(folder / "a.mkv", 50, audio=ramp(0, 2))
    return folder


def test_form_of_a_clip(plain):
    clip = first_clip(source(plain))
    assert {name: (x.shape, x.dtype.name) for name, x in clip.items() if name != "caption"} == {
        "video": ((5, 16, 16, 3), "uint8"),
        "label": ((), "int32"),
        "audio": ((4000,), "float32"),
        "has_audio": ((), "bool"),
    }
    assert clip["caption"] == "" and bool(clip["has_audio"])


def test_sound_and_frames_are_in_sync(plain):
    found, starts = source(plain), set()
    for seed in range(12):
        clip = first_clip(found, train=True, seed=seed)
        numbers = frame_numbers(clip["video"])
        times = numbers[0] / 25 + np.arange(5) / 8
        assert numbers == [int(np.floor(time * 25 + 0.5 + 1e-6)) for time in times]
        np.testing.assert_allclose(seconds(clip["audio"]), numbers[0] / 25 + np.arange(4000) / RATE, atol=2e-3)
        starts.add(numbers[0])
    assert len(starts) > 6 and max(starts) <= 50 - 15


def test_sound_of_another_rate_and_of_two_channels_is_in_sync_too(tmp_path, caplog):
    write(tmp_path / "a.mkv", 50, fps=24, audio=ramp(0, 2.08, 44_100), rate=44_100, channels=2)
    with caplog.at_level(logging.WARNING):
        found, again = source(tmp_path), source(tmp_path)
    clip = first_clip(found)
    start = frame_numbers(clip["video"])[0]
    middle = slice(200, -200)
    np.testing.assert_allclose(seconds(clip["audio"])[middle], (start / 24 + np.arange(4000) / RATE)[middle], atol=2e-3)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"{tmp_path}: videos of 24 frames a second are taken at 8, the nearest frame each; "
        "sound of 44100 Hz is resampled to 8000 Hz; channels are averaged"
    ]
    assert len(again) == len(found)


def test_sound_that_begins_late_and_ends_early_is_silence_there(tmp_path):
    write(tmp_path / "a.mkv", 20, audio=ramp(0.08, 0.72), audio_at=0.08)
    found = source(tmp_path, spec=dataclasses.replace(SPEC, samples=5000))
    clip = first_clip(found, train=True, spec=dataclasses.replace(SPEC, samples=5000))
    start = frame_numbers(clip["video"])[0] / 25
    told, time = seconds(clip["audio"]), start + np.arange(5000) / RATE
    heard = (time > 0.081) & (time < 0.719)
    np.testing.assert_allclose(told[heard], time[heard], atol=2e-3)
    silent = (time < 0.079) | (time > 0.721)
    assert silent.any() and not told[silent].any()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A file with sound, one without, one with too little of it, one that is too short."""
    folder = tmp_path_factory.mktemp("mixed")
    write(folder / "sounding.mkv", 30, audio=ramp(0, 1.2))
    write(folder / "silent.mkv", 30)
    write(folder / "half.mkv", 30, audio=ramp(0, 0.6))
    write(folder / "short.mkv", 12, audio=ramp(0, 0.48))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def test_required_sound_skips_files_without_enough_of_it_by_name(mixed):
    found = source(mixed)
    assert reasons(found) == {
        "silent.mkv": "no sound track",
        "half.mkv": "its sound lasts from 0.00 to 0.60 s, its video from 0.00 to 1.20 s: expected no more than "
        "data.sound_tolerance=0.1 s without sound",
        "short.mkv": "0.48 s, a clip needs 0.62 s (5 frames, 8 a second)",
        "broken.mp4": reasons(found)["broken.mp4"],
    }
    assert len(found) == 1 and "1 all files (1 with sound, 0 with text)" in found.summary
    assert len(source(mixed, sound_tolerance=0.7)) == 2


def test_optional_sound_keeps_them_marks_their_clips_and_says_so(mixed, caplog):
    with caplog.at_level(logging.WARNING):
        found = source(mixed, sound="optional")
    assert sorted(reasons(found)) == ["broken.mp4", "short.mkv"]
    clips = [found.clip(i, np.random.default_rng(0), SPEC, False) for i in range(len(found))]
    heard = {found.class_names[clip["label"]]: bool(clip["has_audio"]) for clip in clips}
    assert heard == {"half": False, "silent": False, "sounding": True}
    assert all(clip["audio"].any() == clip["has_audio"] for clip in clips)
    assert "2 of 3 files are used without sound: half.mkv (its sound lasts" in caplog.text
    assert "silent.mkv (no sound track)" in caplog.text


def test_without_sound_none_is_read(mixed):
    found = source(mixed, sound="none")
    assert set(first_clip(found)) == {"video", "label", "caption"} and len(found) == 3


def test_what_is_not_kept_in_memory_is_the_same(plain):
    kept, decoded = source(plain), source(plain, cache_mb=0)
    for seed in (3, 4):
        clips = [first_clip(found, train=True, seed=seed) for found in (kept, decoded)]
        for name in ("video", "audio"):
            np.testing.assert_array_equal(*(clip[name] for clip in clips))


def test_test_clips_are_spread_over_the_file(plain):
    found = source(plain)
    assert len(found) == 3  # 2 s hold three clips of 0.625 s
    starts = [frame_numbers(found.clip(i, np.random.default_rng(0), SPEC, False)["video"])[0] for i in range(3)]
    assert sorted(starts) == [0, 17, 34]


def test_splits_share_no_file_and_one_file_is_not_divided(tmp_path, plain):
    for name in "abcde":
        write(tmp_path / f"{name}.mkv", 20, audio=ramp(0, 0.8))
    train, test = (source(tmp_path, split) for split in ("train", "test"))
    sides = [
        {int(found.clip(i, np.random.default_rng(0), SPEC, False)["label"]) for i in range(len(found))}
        for found in (train, test)
    ]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 5 and all(sides)
    with pytest.raises(UserError, match="has 1 usable videos and 0 that are not; expected at least 2"):
        source(plain, "train")


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    """Three videos; flow of one frame less, and depth, for the first; something wrong with the others'."""
    root = tmp_path_factory.mktemp("styled")
    for name in ("good", "noflow", "cut"):
        write(root / "video" / "x" / f"{name}.mkv", 30)
        write(root / "depth" / "x" / f"{name}.mp4", 30, step=6)
    write(root / "flow" / "x" / "good.mkv", 29, step=2)
    write(root / "flow" / "x" / "cut.mkv", 20)
    return root


def test_flow_and_depth_show_the_same_frames(styled):
    companions = {name: str(styled / name) for name in ("flow", "depth")}
    found = source(styled / "video", sound="none", companions=companions)
    skipped = reasons(found)
    assert "no flow: expected" in skipped["noflow.mkv"] and "/flow/x/noflow.mp4" in skipped["noflow.mkv"]
    assert "cut.mkv has 20 frames, its video 30: expected as many" in skipped["cut.mkv"]
    for seed in range(8):
        clip = first_clip(found, train=True, seed=seed)
        numbers = np.asarray(frame_numbers(clip["video"]))
        np.testing.assert_allclose(clip["depth"].mean(axis=(1, 2, 3)), 6 * numbers % 240, atol=2)
        np.testing.assert_allclose(clip["flow"].mean(axis=(1, 2, 3)), 2 * np.minimum(numbers, 28), atol=2)


def test_a_mirror_is_everybodys_or_nobodys(tmp_path, styled):
    with pytest.raises(UserError, match="data.flip is True with data.flow"):
        source(styled / "video", spec=dataclasses.replace(SPEC, flip=True), companions={"flow": str(styled / "flow")})


def captions_of(folder, *rows):
    text = "".join(row if isinstance(row, str) else json.dumps({"file": row[0], "text": row[1]}) + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(text)


@pytest.fixture
def told(tmp_path):
    for name in ("one", "two_words"):
        write(tmp_path / f"{name}.mkv", 16)
    return tmp_path


def test_captions_are_drawn_in_training_and_are_the_first_in_tests(told):
    captions_of(told, ("one.mkv", "a first"), "\n", ("one.mkv", " a  second "), ("one.mkv", "a third"))
    found = source(told, sound="none", captions="file")
    assert found.texts == ("a first", "a second", "a third")
    drawn = {found.clip(0, np.random.default_rng(seed), SPEC, True)["caption"] for seed in range(20)}
    assert drawn == set(found.texts)
    assert [found.clip(i, np.random.default_rng(9), SPEC, False)["caption"] for i in range(2)] == ["a first", ""]
    assert "1 with text" in found.summary
    assert reasons(source(told, sound="none", captions="file", textless=False)) == {"two_words.mkv": "no text"}


def test_captions_out_of_labels(told):
    found = source(told, sound="none", captions="labels", templates=("{label}", "see {label}"))
    assert found.texts == ("one", "see one", "see two words", "two words")


@pytest.mark.parametrize(
    "rows, expected",
    [
        ([], "captions.jsonl is empty"),
        ([("one.mkv", "fine"), "{no json\n"], "captions.jsonl, line 2: no JSON"),
        ([("one.mkv", "  ")], 'captions.jsonl, line 1: .*: expected {"file": ..., "text": ...}'),
        (['["one.mkv", "fine"]\n'], 'captions.jsonl, line 1: .*: expected {"file": ..., "text": ...}'),
        ([("three.mkv", "fine")], "captions.jsonl, line 1: 'three.mkv' is not in "),
    ],
)
def test_bad_files_of_captions_are_named_with_the_line(told, rows, expected):
    captions_of(told, *rows)
    with pytest.raises(UserError, match=expected):
        source(told, sound="none", captions="file")


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(sound="loud"), "data.sound is 'loud': expected one of required, optional, none"),
        (dict(sound_tolerance=-1), "data.sound_tolerance is -1: expected seconds, 0 or more"),
        (dict(captions="words"), "data.captions is 'words': expected one of labels, file, none"),
        (dict(captions="file"), "captions.jsonl does not exist: expected lines"),
        (dict(captions="labels"), "data.templates is empty"),
        (dict(captions="labels", templates=("{name}",)), "data.templates: .*'name'.* no placeholder but {label}"),
        (dict(templates=("a",)), "data.templates are given, but data.captions is 'none'"),
    ],
)
def test_bad_choices_are_named(mixed, fields, expected):
    with pytest.raises(UserError, match=expected):
        source(mixed, **fields)


def test_a_folder_where_nothing_can_be_used_says_why(tmp_path):
    write(tmp_path / "silent.mkv", 30)
    with pytest.raises(UserError, match="0 usable videos and 1 that are not, such as .*silent.mkv: no sound track"):
        source(tmp_path)


@pytest.mark.parametrize(
    "change, expected",
    [
        (dict(samples=5001), "data.samples is 5001: expected at most 5000, 5 frames at 8 a second with 8000 Hz"),
        (dict(fps=0.0), "data.fps is 0.0"),
        (dict(frames=0), "data.frames is 0: expected a whole number"),
    ],
)
def test_bad_specs_are_named(change, expected):
    with pytest.raises(UserError, match=expected):
        dataclasses.replace(SPEC, **change)


def test_real_clips_with_sound(real_data, tmp_path):
    for name in ("chaplin", "bigbuckbunny"):
        (tmp_path / f"{name}.mp4").symlink_to(real_data / "video" / "clips" / f"{name}.mp4")
    spec = dataclasses.replace(SPEC, frames=9, height=32, width=32, samples=17_920, sample_rate=16_000)
    found = source(tmp_path, spec=spec, sound_tolerance=0.25)
    assert found.class_names == ("bigbuckbunny", "chaplin") and len(found) == 4 + 8
    for index in range(2):  # the first clip of each file begins with its first frame
        clip = first_clip(found, spec=spec) if index == 0 else found.clip(1, np.random.default_rng(0), spec, False)
        whole = read_sound(tmp_path / f"{found.class_names[clip['label']]}.mp4", 16_000)
        np.testing.assert_array_equal(clip["audio"], whole.audio_S[:17_920])
        assert np.abs(clip["audio"]).max() > 0.01 and whole.start == 0.0

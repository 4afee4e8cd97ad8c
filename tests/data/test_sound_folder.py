"""Clips of sound out of folders: what is cut, how files are divided, and what is left out and said."""

import numpy as np
import pytest
from sounds import tone, write_wav

from magvit_jax.data import SoundFolder, SoundSpec
from magvit_jax.errors import UserError

SPEC = SoundSpec(samples=100, sample_rate=16_000)


def ramp(samples, start=0.0):
    return (start + np.arange(samples) / 32767)[:, None]


@pytest.fixture
def folder(tmp_path):
    write_wav(tmp_path / "a.wav", ramp(250), 16_000)
    write_wav(tmp_path / "b.wav", ramp(199, 0.5), 16_000)
    write_wav(tmp_path / "short.wav", ramp(99), 16_000)
    write_wav(tmp_path / "c.wav", tone(440, 8_000)[:, None], 8_000)
    (tmp_path / "broken.mp3").write_bytes(b"no sound")
    return str(tmp_path)


def test_clips_lie_side_by_side_and_files_too_short_or_broken_are_named(folder):
    source = SoundFolder(folder, "all", SPEC, held_out=0.3)
    assert len(source) == 2 + 1 + 80
    clips = [source.clip(i, np.random.default_rng(0), SPEC, False)["audio"] for i in range(3)]
    np.testing.assert_allclose(clips[0], ramp(250)[:100, 0], atol=1e-6)
    np.testing.assert_allclose(clips[1], ramp(250)[100:200, 0], atol=1e-6)
    np.testing.assert_allclose(clips[2], ramp(199, 0.5)[:100, 0], atol=1e-4)
    assert all(clip.dtype == np.float32 for clip in clips)
    reasons = {path.rsplit("/", 1)[1]: reason for path, reason in source.skipped}
    assert "99 samples: expected 100" in reasons["short.wav"]
    assert "not a readable sound" in reasons["broken.mp3"]
    assert "8000 Hz resampled to 16000 Hz" in source.summary


def test_training_clips_begin_anywhere_and_follow_the_generator(folder):
    source = SoundFolder(folder, "all", SPEC, held_out=0.3)
    starts = {
        round(float(source.clip(0, np.random.default_rng(seed), SPEC, True)["audio"][0]) * 32767)
        for seed in range(20)
    }
    assert len(starts) > 10 and max(starts) <= 150
    same = [source.clip(0, np.random.default_rng(7), SPEC, True)["audio"] for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_train_and_test_share_no_file(folder):
    train, test = (SoundFolder(folder, split, SPEC, held_out=0.3) for split in ("train", "test"))
    assert len(train) + len(test) == 83
    assert min(len(train), len(test)) > 0


def test_a_folder_without_two_usable_sounds_is_refused(tmp_path):
    write_wav(tmp_path / "a.wav", ramp(250), 16_000)
    write_wav(tmp_path / "b.wav", ramp(50), 16_000)
    with pytest.raises(UserError, match="1 usable sounds: expected at least 2.*b.wav: 50 samples"):
        SoundFolder(str(tmp_path), "train", SPEC, held_out=0.3)
    with pytest.raises(UserError, match="samples is 0"):
        SoundSpec(0, 16_000)


def test_the_end_of_every_file_can_be_held_out(folder):
    train, test = (SoundFolder(folder, split, SPEC, held_out=0.5, held_out_by="time") for split in ("train", "test"))
    # a has 125 samples on either side, b 99.5 and is left out, c 4,000.
    assert (len(train), len(test)) == (1 + 40 + 1, 1 + 40)
    first, last = (source.clip(0, np.random.default_rng(0), SPEC, False)["audio"] for source in (train, test))
    np.testing.assert_allclose(first, ramp(250)[:100, 0], atol=1e-6)
    np.testing.assert_allclose(last, ramp(250)[125:225, 0], atol=1e-6)
    drawn = [train.clip(0, np.random.default_rng(seed), SPEC, True)["audio"][-1] for seed in range(30)]
    assert max(drawn) <= ramp(250)[124, 0] + 1e-6
    assert len(SoundFolder(folder, "all", SPEC, held_out=0.5, held_out_by="time")) == 83


def test_one_recording_is_enough_where_its_end_is_held_out(tmp_path):
    write_wav(tmp_path / "a.wav", ramp(250), 16_000)
    assert len(SoundFolder(str(tmp_path), "test", SPEC, held_out=0.5, held_out_by="time")) == 1
    with pytest.raises(UserError, match="expected at least 1, and 1 cannot be used.*75 samples"):
        SoundFolder(str(tmp_path), "test", SPEC, held_out=0.3, held_out_by="time")
    with pytest.raises(UserError, match="held_out_by is 'day': expected one of file, time"):
        SoundFolder(str(tmp_path), "test", SPEC, held_out=0.3, held_out_by="day")


def test_a_silent_file_is_one_clip_however_long(tmp_path):
    write_wav(tmp_path / "a.wav", ramp(250, 0.1), 16_000)
    write_wav(tmp_path / "silent.wav", np.zeros((5000, 1)), 16_000)
    source = SoundFolder(str(tmp_path), "all", SPEC, held_out=0.3)
    found = [source.clip(i, np.random.default_rng(i), SPEC, True)["audio"] for i in range(len(source))]
    assert [bool(audio.any()) for audio in found] == [True, True, False]

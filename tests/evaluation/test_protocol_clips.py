"""Protocols as data, and the clips that they cut out of a folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import moving_square

from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import GIVEN_CLIPS, PROTOCOLS, RealSet, protocol, protocol_page
from magvit_jax.evaluation.protocols.clips import (
    at_measured_size,
    crop_corners,
    made_clips,
    real_clips,
    window_starts,
)
from magvit_jax.media.video_io import write_mp4, write_png

K600 = protocol("k600_fvd")
BAIR = protocol("bair_fvd_debiased")


def tiny(chosen, **more):
    """A protocol with clips of 4 frames of 32 pixels, measured at 16."""
    return dataclasses.replace(chosen, frames=4, made_size=32, size=16, resize="bilinear", **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three videos of 9, 12 and 7 frames, one of them wide, and one that is too short. Read only."""
    path = tmp_path_factory.mktemp("videos")
    for name, frames, height, width in (("a", 9, 32, 64), ("b", 12, 40, 40), ("c", 7, 64, 32), ("short", 3, 32, 32)):
        write_mp4(path / f"{name}.mp4", moving_square(frames, height, width, seed=frames))
    return path


def test_the_thesis_numbers():
    """6.5.6 and 8.4.6, written out once more."""
    assert (K600.samples, K600.folds, K600.made_size, K600.size, K600.resize) == (50_000, 4, 128, 64, "bilinear")
    assert (K600.real.windows, K600.real.crops, K600.given_frames, K600.frames) == (2, "three", 5, 16)
    assert (BAIR.real.videos, BAIR.real.windows, BAIR.real.clips, BAIR.samples) == (256, 15, 3_840, 25_600)
    assert protocol("bair_fvd").real.placement == "first" and protocol("bair_fvd").real.clips == 256
    assert protocol("bair_pixels").best_of == 100 and protocol("bair_pixels").samples == 256 * 100
    ucf = protocol("ucf101_generation")
    assert (ucf.samples, ucf.folds, ucf.real.clips, ucf.metrics) == (10_000, 4, 10_000, ("fvd", "video_is"))
    msrvtt = protocol("msrvtt_zero_shot_fvd")
    assert (msrvtt.real.clips, msrvtt.samples, msrvtt.folds, msrvtt.size) == (2_048, 2_048, 20, 256)
    assert msrvtt.samples * msrvtt.folds == 40_960 and msrvtt.resize == "bicubic"
    clipsim = protocol("msrvtt_zero_shot_clipsim")
    assert clipsim.samples == 59_794 and clipsim.network("clipsim", "x") == "clip_vit_b16"
    assert protocol("msrvtt_zero_shot_clipsim_b32").network("clipsim", "x") == "clip_vit_b32"
    assert protocol("ucf101_zero_shot").real.clips == 10_000 and protocol("nuscenes_fvd").real.windows == 16


def test_protocols_are_known_by_their_names_and_frozen():
    assert all(name == chosen.name and chosen.source for name, chosen in PROTOCOLS.items())
    with pytest.raises(dataclasses.FrozenInstanceError):
        K600.samples = 3
    with pytest.raises(UserError, match="protocol 'k600' is unknown; expected one of model_clips, given_clips"):
        protocol("k600")


def test_the_page_shows_the_table():
    page = Path(__file__).parents[2] / "docs" / "evaluation.md"
    assert protocol_page() in page.read_text()


def test_where_windows_lie():
    assert window_starts("first", 1, 30, 16) == [0]
    assert window_starts("centre", 1, 30, 16) == [7]
    assert window_starts("spread", 2, 300, 16) == [0, 284]
    assert window_starts("spread", 5, 20, 16) == [0, 1, 2, 3, 4]
    assert window_starts("all", 15, 30, 16) == list(range(15))  # all of BAIR's 30 frames
    assert window_starts("all", 0, 18, 16) == [0, 1, 2]


def test_where_crops_lie():
    assert crop_corners("centre", (128, 200), (128, 128)) == [(0, 36)]
    assert crop_corners("three", (128, 200), (128, 128)) == [(0, 0), (0, 36), (0, 72)]
    assert crop_corners("three", (200, 128), (128, 128)) == [(0, 0), (36, 0), (72, 0)]


def test_windows_and_crops_of_every_video(folder, caplog):
    clips = real_clips(tiny(K600), folder)
    assert (clips.count, clips.videos) == (3 * 2 * 3, 3)
    found = np.concatenate(list(clips))
    assert found.shape == (18, 4, 16, 16, 3) and found.dtype == np.uint8
    assert "short.mp4 (3 frames, k600_fvd takes 4)" in caplog.text
    assert clips.warning == "k600_fvd takes 29,000 videos of Kinetics-600 (evaluation), here are 3"
    # Of a wide video three crops differ, of a square one none does.
    assert np.abs(found[0].astype(int) - found[2]).mean() > 1
    np.testing.assert_array_equal(found[6], found[8])


def test_all_windows_of_a_video(folder):
    whole = dataclasses.replace(BAIR.real, windows=0, crops="centre", clips=None)
    clips = real_clips(tiny(BAIR, real=whole), folder)
    assert clips.count == (9 - 3) + (12 - 3) + (7 - 3)
    found = np.concatenate(list(clips))
    # Frame 1 of a window is frame 0 of the next.
    np.testing.assert_array_equal(found[0, 1:], found[1, :-1])


def test_random_clips_hang_on_the_seed_alone(folder):
    real = RealSet("x", "train", None, "random", 1, "random", 14)
    chosen = tiny(K600, real=real)
    first, again, other = (np.concatenate(list(real_clips(chosen, folder, seed=seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape[0] == 14 and (first != other).any()
    # A share of the clips is the same as in the whole: processes divide them.
    shares = [np.concatenate(list(real_clips(chosen, folder).share(k, 3))) for k in range(3)]
    np.testing.assert_array_equal(shares[1], first[1::3])


def test_random_clips_begin_anywhere_that_leaves_them_whole(tmp_path):
    """Of 5 frames of known brightness, clips of 4 begin at the first or the second; a video of 4 has one clip."""
    chosen = tiny(K600, real=RealSet("x", "train", None, "random", 1, "random", 12))
    for frames, begins in ((5, {0, 1}), (4, {0})):
        video = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None] * 40, (frames, 32, 32, 3))
        write_mp4(tmp_path / str(frames) / "v.mp4", video)
        clips = np.concatenate(list(real_clips(chosen, tmp_path / str(frames))))
        assert {round(float(clip[0].mean()) / 40) for clip in clips} == begins


def test_fewer_clips_than_the_protocols_are_said(folder):
    chosen = tiny(protocol("msrvtt_zero_shot_fvd"))
    clips = real_clips(chosen, folder, num=2)
    assert clips.count == 2 and "takes 2,048 real clips, here are 2" in clips.warning


def test_the_central_square_is_averaged_down():
    video = np.zeros((1, 2, 32, 48, 3), np.uint8)
    video[:, :, :, 8:24] = 200  # the left half of the central square
    small = at_measured_size(video, tiny(K600))
    assert small.shape == (1, 2, 16, 16, 3)
    np.testing.assert_array_equal(small[0, 0, 3, :, 0], [200] * 8 + [0] * 8)
    with pytest.raises(UserError, match="bair_fvd: clips of 32x48 pixels; expected 64x64"):
        at_measured_size(video, protocol("bair_fvd"))


def test_sizes_are_rounded_and_not_cut():
    video = np.tile(np.uint8([10, 11]), (1, 1, 32, 16))[..., None].repeat(3, axis=-1)
    video[:, :, ::2, ::2] = 11  # every mean is 10.75
    found = at_measured_size(video, tiny(K600))
    np.testing.assert_array_equal(found, 11)


def test_a_drawn_share_of_the_videos_keeps_their_order(folder):
    real = RealSet("x", "train", None, "first", 1, "centre", 2)
    whole = dataclasses.replace(real, clips=None)
    some, every = (np.concatenate(list(real_clips(tiny(K600, real=r), folder))) for r in (real, whole))
    places = [int(np.flatnonzero([(clip == other).all() for other in every])[0]) for clip in some]
    assert len(places) == 2 and places == sorted(places)


def test_enlarging_is_bicubic_as_pillows():
    """Pillow rounds between the two sides, hence the tolerance; it also cuts at 0 and 255 there, hence the range."""
    video = np.random.default_rng(0).integers(60, 190, size=(1, 1, 16, 16, 3), dtype=np.uint8)
    chosen = dataclasses.replace(protocol("ucf101_zero_shot"), made_size=16, size=32)
    theirs = np.asarray(Image.fromarray(video[0, 0]).resize((32, 32), Image.Resampling.BICUBIC))
    found = at_measured_size(video, chosen)[0, 0]
    assert np.abs(found[4:-4, 4:-4].astype(int) - theirs[4:-4, 4:-4]).max() <= 1


def test_made_clips_are_taken_as_they_are(folder, tmp_path):
    for number in range(3):
        write_mp4(tmp_path / f"{number}.mp4", moving_square(5, 32, 32, seed=number))
    clips = made_clips(tiny(K600), tmp_path)
    assert clips.names == ["0.mp4", "1.mp4", "2.mp4"]
    assert (clips.share(0, 2).names, clips.share(1, 2).names) == (["0.mp4", "2.mp4"], ["1.mp4"])
    assert "k600_fvd takes 200,000 made clips, here are 3" in clips.warning
    assert np.concatenate(list(clips)).shape == (3, 4, 16, 16, 3)
    whole = made_clips(GIVEN_CLIPS, tmp_path)
    assert np.concatenate(list(whole)).shape == (3, 5, 32, 32, 3) and whole.warning == ""
    with pytest.raises(UserError, match="short.mp4: 3 frames; k600_fvd takes 4"):
        made_clips(tiny(K600), folder)
    with pytest.raises(UserError, match="12 frames of 40x40; expected 9 frames of 32x64 as a.mp4 has"):
        made_clips(GIVEN_CLIPS, folder)
    (tmp_path / "3.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="3.mp4: not a readable video"):
        made_clips(GIVEN_CLIPS, tmp_path)


def test_pictures_are_clips_of_one_frame(tmp_path):
    for number in range(2):
        write_png(tmp_path / f"{number}.png", moving_square(1, 40, 60, seed=number)[0])
    chosen = dataclasses.replace(protocol("imagenet128_reconstruction"), made_size=32, size=32)
    assert np.concatenate(list(real_clips(chosen, tmp_path))).shape == (2, 1, 32, 32, 3)


def test_an_empty_folder_is_named(tmp_path, folder):
    with pytest.raises(UserError, match="has no video or image file"):
        real_clips(K600, tmp_path)
    with pytest.raises(UserError, match="none of its 4 files can be used"):
        real_clips(dataclasses.replace(K600, frames=99), folder)

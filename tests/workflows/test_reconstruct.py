"""`reconstruct`: every readable file of a folder, whatever its shape; the others are skipped, named and counted."""

import numpy as np
import pytest

import magvit_jax
from magvit_jax import workflows
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import read_video
from magvit_jax.workflows.reconstruct import output_name


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return magvit_jax.load_tokenizer(tiny.tokenizer.bundle)


def test_a_folder_with_bad_files_among_good_ones(tokenizer, mixed, tmp_path):
    said = []
    before = {path: path.read_bytes() for path in mixed.rglob("*.*")}
    scores = workflows.reconstruct(tokenizer, mixed, tmp_path / "out", say=said.append)
    assert {name.rsplit("/")[-1] for name in scores} == {
        "square.mp4",
        "portrait.mp4",
        "odd.gif",
        "image.png",
        "alpha.png",
    }
    assert all(0 < score < 60 for score in scores.values())
    skipped = [line for line in said if line.startswith("skipped: ")]
    assert sorted(line.split("/")[-1].split(":")[0] for line in skipped) == ["cut.mp4", "nothing.mp4"]
    assert "2 of 7 files skipped" in said
    for stem, frames in (("square_mp4", 11), ("sub_portrait_mp4", 6), ("odd_gif", 5)):
        for end in (".mp4", ".gif", "_beside.mp4", "_beside.gif"):
            video = read_video(tmp_path / "out" / (stem + end))
            assert len(video) == frames, stem + end
            assert video.shape[2] >= video.shape[1] * (1.5 if "beside" in end else 1)
    for name in ("image_png.png", "alpha_png.png"):
        assert read_video(tmp_path / "out" / name).shape == (1, 16, 32, 3)
    assert read_video(tmp_path / "out" / "grid.png").size
    assert {path: path.read_bytes() for path in mixed.rglob("*.*")} == before


def test_the_score_is_that_of_the_picture(tokenizer, mixed, tmp_path):
    scores = workflows.reconstruct(tokenizer, mixed / "image.png", tmp_path, say=lambda _: None)
    pair = read_video(tmp_path / "image_png.png")[0].astype(np.float64) / 255.0
    mse = np.square(pair[:, :16] - pair[:, 16:]).mean()
    assert list(scores.values()) == [pytest.approx(-10 * np.log10(mse), abs=1e-6)]
    original = read_video(mixed / "image.png")[0]
    assert abs(pair[:, :16].mean() * 255 - original[:, 2:22].mean()) < 8


def test_long_videos_are_tokenized_in_windows(tokenizer, tmp_path):
    from magvit_jax.workflows.reconstruct import _windows

    window = tokenizer.clip.frames  # more of a past than in training would make frames worse
    video = np.random.default_rng(0).integers(0, 256, (window + 3, 8, 8, 3), dtype=np.uint8)
    output = _windows(tokenizer, video)
    assert output.shape == video.shape
    np.testing.assert_array_equal(output[:window], tokenizer.reconstruct(video[None, :window])[0])
    last = np.concatenate([video[window:], np.repeat(video[-1:], window - 3, axis=0)])
    np.testing.assert_array_equal(output[window:], tokenizer.reconstruct(last[None])[0, :3])


def test_other_sizes_and_those_that_do_not_fit(tokenizer, mixed, tmp_path):
    workflows.reconstruct(tokenizer, mixed / "image.png", tmp_path, height=8, width=24, say=lambda _: None)
    assert read_video(tmp_path / "image_png.png").shape == (1, 8, 48, 3)
    with pytest.raises(UserError, match="height a multiple of 4"):
        workflows.reconstruct(tokenizer, mixed, tmp_path / "no", height=10, say=lambda _: None)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.mp4", "nothing.mp4: .*0 bytes"),
        ("cut.mp4", "cut.mp4: "),
        ("absent.mp4", "absent.mp4 does not exist"),
        ("notes.txt", "notes.txt: "),
    ],
)
def test_a_single_bad_file_is_an_error(tokenizer, mixed, tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        workflows.reconstruct(tokenizer, mixed / name, tmp_path / "out", say=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_folders_with_nothing_to_read_are_errors(tokenizer, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty has no video or image file"):
        workflows.reconstruct(tokenizer, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "empty" / "a.mp4").write_bytes(b"")
    (tmp_path / "empty" / "b.png").write_bytes(b"no picture")
    said = []
    with pytest.raises(UserError, match="none of its 2 video and image files could be read"):
        workflows.reconstruct(tokenizer, tmp_path / "empty", tmp_path / "out", say=said.append)
    assert len(said) == 2
    assert not (tmp_path / "out").exists()


def test_files_of_one_stem_do_not_overwrite_each_other(tmp_path):
    names = {output_name(tmp_path / name, tmp_path) for name in ("a.mp4", "a.gif", "b/a.mp4")}
    assert len(names) == 3

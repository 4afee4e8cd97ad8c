"""`reconstruct`: every readable file of a folder, whatever its shape; the others are skipped, named and counted."""

import numpy as np
import pytest
from tiny_models import moving_square, random_params

import magvit_jax
from magvit_jax import metrics, workflows
from magvit_jax.data import ClipSpec, FrameStream, load_clip
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import read_video, write_mp4
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
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


def test_a_video_is_reconstructed_as_one_whole(tokenizer, tmp_path):
    write_mp4(tmp_path / "long.mp4", moving_square(37), fps=12)
    scores = workflows.reconstruct(tokenizer, tmp_path / "long.mp4", tmp_path / "out", stream=True, say=lambda _: None)
    video = load_clip(tmp_path / "long.mp4", ClipSpec(1, 16, 16), whole=True)
    expected = np.asarray(tokenizer.reconstruct(video[None]))[0]
    psnr = float(metrics.psnr(video, np.rint(expected * 255).astype(np.uint8)))
    assert list(scores.values()) == [pytest.approx(psnr, abs=1e-3)]
    shown = read_video(tmp_path / "out" / "long_mp4.gif")[:, 6::12, 6::12]  # enlarged by twelve
    assert np.abs(shown / 255.0 - expected).mean() < 0.02  # a palette of 256 colours a frame


def test_by_default_a_long_video_goes_through_in_windows_of_the_trained_length(tokenizer, tmp_path):
    """Frames with a longer past than any in training would come out worse."""
    window = tokenizer.clip.frames
    write_mp4(tmp_path / "long.mp4", moving_square(2 * window + 1))
    scores = workflows.reconstruct(tokenizer, tmp_path / "long.mp4", tmp_path / "out", say=lambda _: None)
    video = load_clip(tmp_path / "long.mp4", ClipSpec(1, 16, 16), whole=True)
    filled = np.concatenate([video, np.repeat(video[-1:], window - 1, axis=0)])
    parts = [np.asarray(tokenizer.reconstruct(filled[i : i + window][None]))[0] for i in range(0, len(filled), window)]
    expected = np.rint(np.concatenate(parts)[: len(video)] * 255).astype(np.uint8)
    assert list(scores.values()) == [pytest.approx(float(metrics.psnr(video, expected)), abs=1e-3)]


def test_sizes_that_the_strides_do_not_divide_are_padded_and_cropped(tokenizer, mixed, tmp_path):
    said = []
    workflows.reconstruct(tokenizer, mixed / "image.png", tmp_path, height=8, width=24, say=said.append)
    assert read_video(tmp_path / "image_png.png").shape == (1, 8, 48, 3)
    workflows.reconstruct(tokenizer, mixed / "image.png", tmp_path, height=10, width=24, say=said.append)
    assert read_video(tmp_path / "image_png.png").shape == (1, 10, 48, 3)
    workflows.reconstruct(tokenizer, mixed / "odd.gif", tmp_path, height=16, width=15, say=said.append)
    assert len(read_video(tmp_path / "odd_gif.mp4")) == 5
    assert "padded" not in said[0]
    assert "1 frame of 10x24 (padded to 1 frame of 12x24 and cropped back)" in said[1]
    assert "5 frames of 16x15 (padded to 9 frames of 16x16 and cropped back)" in said[2]
    with pytest.raises(UserError, match="height is 0: expected 1 or more"):
        workflows.reconstruct(tokenizer, mixed, tmp_path / "no", height=0, say=said.append)
    assert not (tmp_path / "no").exists()


def test_whole_files_keep_their_size_and_frames(tokenizer, mixed, tmp_path):
    said = []
    scores = workflows.reconstruct(tokenizer, mixed, tmp_path / "out", whole=True, stream=True, say=said.append)
    assert len(scores) == 5 and "2 of 7 files skipped" in said
    written = {path.name: read_video(path).shape for path in (tmp_path / "out").iterdir()}
    assert set(written) == {
        *("square_mp4.mp4", "square_mp4_beside.mp4", "sub_portrait_mp4.mp4", "sub_portrait_mp4_beside.mp4"),
        *("odd_gif.mp4", "odd_gif_beside.mp4", "image_png.png", "alpha_png.png"),
    }
    assert written["sub_portrait_mp4.mp4"] == (6, 48, 26, 3)
    assert written["odd_gif.mp4"] == (5, 22, 34, 3)  # mp4 has even sides only
    assert written["image_png.png"] == (1, 20, 48, 3)
    assert any("6 frames of 48x26 (padded to 9 frames of 48x28 and cropped back)" in line for line in said)
    video = read_video(mixed / "sub" / "portrait.mp4")
    padded = np.pad(video, ((0, 3), (0, 0), (0, 2), (0, 0)), mode="edge")
    expected = np.asarray(tokenizer.reconstruct(padded[None]))[0, :6, :, :26]
    psnr = float(metrics.psnr(video, np.rint(expected * 255).astype(np.uint8)))
    assert scores[str(mixed / "sub" / "portrait.mp4")] == pytest.approx(psnr, abs=1e-3)
    with pytest.raises(UserError, match="whole takes the size of the file"):
        workflows.reconstruct(tokenizer, mixed, tmp_path / "no", whole=True, height=16, say=said.append)


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("a.mp4: damaged")])
def test_what_is_not_finished_has_no_name(tokenizer, tmp_path, monkeypatch, error):
    write_mp4(tmp_path / "a.mp4", moving_square(60))
    whole_file = FrameStream.__iter__

    def breaks_off(self):
        for i, frame in enumerate(whole_file(self)):
            if i == 50:
                assert len(list((tmp_path / "out").iterdir())) == 4  # two being written, under other names
                raise error
            yield frame

    monkeypatch.setattr(FrameStream, "__iter__", breaks_off)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a_mp4.mp4").write_bytes(b"of an earlier run")
    (tmp_path / "out" / "a_mp4_beside.mp4").write_bytes(b"of an earlier run")
    with pytest.raises((KeyboardInterrupt, UserError)):
        workflows.reconstruct(tokenizer, tmp_path / "a.mp4", tmp_path / "out", whole=True, say=lambda _: None)
    left = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert left == {name: b"of an earlier run" for name in ("a_mp4.mp4", "a_mp4_beside.mp4")}


def test_a_model_that_does_not_stream_says_so(tokenizer, mixed, tmp_path):
    model = MagvitV2(
        base_channels=8,
        channel_multipliers=(1, 1),
        strides=((4, 1, 1),),
        blocks=0,
        mid_blocks=0,
        quantizer=LookupFreeQuantizer(6),
        norm_groups=4,
        statistics="clip",
    )
    clip = ClipFormat(5, 16, 16)
    windows, said = Tokenizer(model, random_params(model, clip.shape), clip), []
    workflows.reconstruct(windows, mixed / "square.mp4", tmp_path, say=said.append)
    assert "in windows of 5 frames, each by itself" in said[0]
    assert "11 frames of 16x16 (padded to 15 frames of 16x16 and cropped back)" in said[1]
    workflows.reconstruct(windows, mixed / "image.png", tmp_path, say=said.append)
    assert "1 frame of 16x16, PSNR" in said[3]  # an image is a clip of its own


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

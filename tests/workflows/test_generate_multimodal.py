"""Files in, files out: conditions at the model's rates, videos with their sound in one mp4, and what is refused."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from magvit_jax.data.sound import read_sound
from magvit_jax.errors import UserError
from magvit_jax.media.sound_io import write_wav
from magvit_jax.media.video_io import read_video, write_mp4, write_png
from magvit_jax.workflows import Files, UserMask, generate_multimodal, generate_multimodal_long

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_multimodal as tiny  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import sounding  # noqa: E402


@pytest.fixture
def generator():
    return tiny.scripted()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A clip of known codes at 24 frames a second and 16 kHz, and parts of it."""
    root, codes = tmp_path_factory.mktemp("files"), tiny.true_codes(1, 6)
    video = tiny.pixels_of(codes["video"])[0].repeat(3, axis=0)
    audio = tiny.sound_of(codes["audio"])[0].repeat(2)
    write_mp4(root / "clip.mp4", video, 24, crf=0, audio_S=audio, sample_rate=16_000)
    write_mp4(root / "silent.mp4", video, 24, crf=0)
    write_mp4(root / "short.mp4", video[:12], 24)
    write_mp4(root / "cut.mp4", video, 24, audio_S=audio[:9000], sample_rate=16_000)
    write_wav(root / "sound.wav", audio, 16_000)
    write_wav(root / "brief.wav", audio[:6000], 16_000)
    write_wav(root / "nearly.wav", audio[:17_000], 16_000)
    write_png(root / "image.png", video[0])
    write_png(root / "mask.png", np.repeat(np.uint8([[[255] * 3] * 4 + [[0] * 3] * 4]), 8, axis=0))
    return root


@pytest.mark.parametrize(
    ("task", "given", "rows"),
    [
        ("unconditional", {}, 1),
        ("image_to_video", dict(video="clip.mp4"), 2),
        ("inpainting", dict(video="clip.mp4"), 2),
        ("stylization", dict(flow="clip.mp4", depth="silent.mp4"), 3),
        ("audio_to_video", dict(audio="sound.wav"), 1),
    ],
)
def test_the_picture_shows_what_was_given_and_what_was_made(generator, files, tmp_path, monkeypatch, task, given, rows):
    shown = []
    monkeypatch.setattr("magvit_jax.media.output.write_grid", lambda path, clips: shown.extend(clips))
    paths = {name: files / path for name, path in given.items()}
    generate_multimodal(generator, task, tmp_path, files=Files(**paths), prompt="digit", num=10, say=str)
    assert len(shown) == 10 and len(shown[0]) == rows and list(shown[0])[-1] == task
    clip = tiny.pixels_of(tiny.true_codes(1, 6)["video"])[0]
    seen = {name: video for name, video in shown[1].items() if name != task}
    if task == "inpainting":  # the middle half of the height and width is not given
        assert not seen["given masked"][:, 2:6, 2:6].any() and seen["given masked"][:, :2].any()
    elif seen:
        lengths = {"given image": 1, "given video": 1, "given flow": 9, "given depth": 9}
        for name, video in seen.items():
            assert len(video) == lengths[name]
            np.testing.assert_allclose(video, clip[: len(video)], atol=8)  # yuv rounds


def test_a_video_at_another_rate_gives_the_codes_of_its_clip(generator, files, tmp_path):
    """Every third of 24 frames a second; both conversions are said, once."""
    said = []
    generate_multimodal(generator, "video_to_audio", tmp_path, files=Files(files / "clip.mp4"), say=said.append)
    found = np.asarray(generator.program.prefixes[0].codes["video"])
    assert np.mean(found == tiny.true_codes(1, 6)["video"]) > 0.8  # a mean may lie next to a step, and yuv rounds it
    assert sum("24 frames a second are taken at 8, the nearest frame each" in line for line in said) == 1
    # The file holds the video that was given and the sound that was made, in step with it.
    path = tmp_path / "video_to_audio_0000.mp4"
    assert read_video(path).shape[0] == 9
    heard, made = read_sound(path, 8000).audio_S[:9000], tiny.sound_of(tiny.true_codes(1, 0)["audio"])[0]
    assert np.corrcoef(heard, made[: heard.size])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("task", "given", "heard"),
    [
        ("audio_to_video", dict(audio="sound.wav"), 9),
        ("audio_to_video", dict(video="clip.mp4"), 9),
        ("audio_to_video", dict(audio="clip.mp4"), 9),
        ("audio_video_continuation", dict(video="clip.mp4"), 1),
        ("audio_video_continuation", dict(video="silent.mp4", audio="sound.wav"), 1),
        ("audio_video_continuation", dict(video="image.png", audio="sound.wav"), 1),
    ],
)
def test_sound_comes_from_where_it_is(generator, files, tmp_path, task, given, heard):
    said = []
    given = Files(**{name: files / value for name, value in given.items()})
    path = generate_multimodal(generator, task, tmp_path, files=given, say=said.append)[0]
    found = np.asarray(generator.program.prefixes[0].codes["audio"])[0]
    assert np.mean(found[:, 0] == tiny.true_codes(1, 6)["audio"][0, :heard, 0]) >= 0.8 and found.shape == (heard, 2)
    assert any("16000 Hz" in line and "resampled to 8000 Hz" in line for line in said)
    assert read_sound(path, 8000).audio_S.size >= 9000


def test_a_folder_is_taken_in_turn_and_every_example_is_written(generator, files, tmp_path):
    paths = generate_multimodal(
        generator, "image_to_video", tmp_path, files=Files(files), prompt="left", num=9, say=lambda line: None
    )
    assert [path.name for path in paths] == [f"image_to_video_{i:04d}.mp4" for i in range(9)]
    assert {path.name for path in tmp_path.iterdir()} >= {"grid.png", "image_to_video_0008.gif"}
    first, second = (np.asarray(prefixes.codes["video"]) for prefixes in generator.program.prefixes)
    assert (len(first), len(second)) == (8, 1)
    np.testing.assert_array_equal(second[0], first[8 % 6])  # of six videos and images


def test_stylization_painting_and_images(generator, files, tmp_path):
    said, clip = [], files / "clip.mp4"
    arguments = dict(prompt="a digit quickly", say=said.append)
    generate_multimodal(generator, "stylization", tmp_path, files=Files(flow=clip, depth=clip), **arguments)
    mask = UserMask(file=files / "mask.png")
    generate_multimodal(generator, "outpainting", tmp_path, files=Files(clip, mask=mask), **arguments)
    image = generate_multimodal(generator, "text_to_image", tmp_path, **arguments)[0]
    codes = [prefixes.codes for prefixes in generator.program.prefixes]
    np.testing.assert_array_equal(codes[0]["flow"], codes[0]["depth"])
    assert (codes[1]["masked"][..., 1] == -1).all() and (codes[1]["masked"][..., 0] >= 0).all()
    assert image.suffix == ".png" and read_video(image).shape == (1, 8, 8, 3)
    assert said.count("the model does not know the words: quickly") == 3


def test_a_chain_writes_every_step(generator, files, tmp_path):
    paths = generate_multimodal(
        generator,
        "text_to_video",
        tmp_path,
        prompt="a digit",
        then=("video_to_audio",),
        then_prompt="left",
        num=2,
        say=lambda line: None,
    )
    assert [path.name for path in paths] == [f"chain_{i:04d}_2_video_to_audio.mp4" for i in range(2)]
    assert [prefixes.text_count_B.tolist() for prefixes in generator.program.prefixes] == [[2, 2], [1, 1]]
    silent, sounding = tmp_path / "chain_0001_1_text_to_video.mp4", paths[1]
    np.testing.assert_array_equal(read_video(silent), read_video(sounding))
    assert read_sound(sounding, 8000).audio_S.any()
    with pytest.raises(UserError, match="has no sound track"):
        read_sound(silent, 8000)


@pytest.mark.parametrize(("task", "given"), [("text_to_video", None), ("audio_video_continuation", "clip.mp4")])
def test_a_long_video_has_its_frames_and_its_sound(generator, files, tmp_path, task, given):
    say = dict(say=lambda line: None, stream=io.StringIO())
    own = Files() if given is None else Files(files / given)
    path = generate_multimodal_long(generator, task, tmp_path, 21, files=own, prompt="a digit", **say)[0]
    assert read_video(path).shape[0] == 21
    latents = [np.asarray(x.codes["video"]).shape[1] for x in generator.program.prefixes if "video" in x.codes]
    assert latents == ([2, 2, 2] if given is None else [1, 1, 1])  # 9 + 3 x 4 frames; 9 + 8 + 4
    if given is not None:
        assert read_sound(path, 8000).audio_S.size / 8000 == pytest.approx(21 / 8, abs=0.13)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("video_to_audio", dict(video="short.mp4"), "short.mp4: 0.50 s; expected 9 frames at 8 a second, 1.12 s"),
        ("video_to_audio", dict(video="image.png"), "image.png: an image; expected a video of 9 frames"),
        ("video_to_audio", dict(video="none.mp4"), "none.mp4: no such file; expected a video or an image"),
        ("video_to_audio", dict(video="sound.wav"), "sound.wav: .*no video stream"),
        ("video_to_audio", {}, "'video_to_audio'|task video_to_audio needs --input: a file with its video"),
        ("audio_video_continuation", dict(video="silent.mp4"), "silent.mp4: has no sound track; expected a video with"),
        ("audio_video_continuation", dict(video="image.png"), "image.png: an image has no sound"),
        ("audio_video_continuation", dict(video="cut.mp4"), "cut.mp4: its sound lasts from .* its video from"),
        ("audio_to_video", dict(audio="brief.wav"), "sound of 0.38 s; expected 1.12 s, or at most 0.25 s less"),
        ("audio_to_video", dict(audio="silent.mp4"), "silent.mp4: has no sound track"),
        ("audio_to_video", {}, "task audio_to_video needs --audio: a file with its audio"),
        ("text_to_video", dict(video="clip.mp4"), "task text_to_video has no use for --input"),
        ("image_to_video", dict(video="clip.mp4", audio="sound.wav"), "task image_to_video has no use for --audio"),
        ("stylization", dict(flow="clip.mp4"), "task stylization needs --depth: a file with its depth"),
        ("stylization", dict(flow="clip.mp4", depth="short.mp4"), "short.mp4: 0.50 s; expected 9 frames"),
    ],
)
def test_mistakes_are_named(generator, files, tmp_path, task, given, message):
    given = Files(**{name: files / value for name, value in given.items()})
    with pytest.raises(UserError, match=message) as raised:
        generate_multimodal(generator, task, tmp_path / "out", files=given, prompt="a digit", say=lambda line: None)
    assert "\n" not in str(raised.value) and not generator.program.plans and not (tmp_path / "out").exists()


def test_silence_at_the_end_of_a_sound_is_said(generator, files, tmp_path):
    said = []
    generate_multimodal(
        generator, "audio_to_video", tmp_path, files=Files(audio=files / "nearly.wav"), say=said.append
    )
    assert any("nearly.wav: the last 0.062 s are silence" in line for line in said)
    codes = np.asarray(generator.program.prefixes[0].codes["audio"])
    np.testing.assert_array_equal(codes[0, :8, 0], tiny.true_codes(1, 6)["audio"][0, :8, 0])


def test_a_sound_that_begins_late_is_said_and_stays_in_step(generator, files, tmp_path):
    """A tenth of a second: silence in front, for a video's own sound and for that of another."""
    for name, begin in (("late", 0.1), ("later", 0.4)):
        sounding.write(tmp_path / f"{name}.mov", 27, fps=24, audio=np.full(10_000, 0.3), audio_at=begin, size=(16, 16))
    for task, given in (
        ("audio_video_continuation", Files(tmp_path / "late.mov")),
        ("audio_to_video", Files(audio=tmp_path / "late.mov")),
    ):
        said = []
        generate_multimodal(generator, task, tmp_path / "out", files=given, say=said.append)
        assert any("late.mov: the first 0.1" in line and "are silence" in line for line in said)
    # Most of the first latent is silence, and all others are as loud as each other.
    first, *others = np.asarray(generator.program.prefixes[-1].codes["audio"])[0, :, 0].tolist()
    assert len(others) == 8 and first not in others and len(set(others)) == 1
    with pytest.raises(UserError, match="later.mov: its sound begins 0.4. s after its first frame"):
        generate_multimodal(generator, "audio_to_video", tmp_path / "out", files=Files(audio=tmp_path / "later.mov"))


def test_a_mask_that_is_a_video_keeps_the_pace_of_its_clip(generator, files, tmp_path):
    """Of 27 frames at 24 a second every third is taken, as of the clip: the white side changes in the middle."""
    white = np.zeros((27, 8, 8, 3), np.uint8)
    white[:15, :, :4], white[15:, :, 4:] = 255, 255
    write_mp4(tmp_path / "mask.mp4", white, 24, crf=0)
    said, mask = [], UserMask(file=tmp_path / "mask.mp4")
    generate_multimodal(
        generator, "outpainting", tmp_path, files=Files(files / "clip.mp4", mask=mask), say=said.append
    )
    codes = np.asarray(generator.program.prefixes[0].codes["masked"])[0]
    assert (codes[0, :, 0] >= 0).all() and (codes[0, :, 1] == -1).all()
    assert (codes[-1, :, 0] == -1).all() and (codes[-1, :, 1] >= 0).all()
    assert any("mask.mp4: 24 frames a second are taken at 8" in line for line in said)


def test_sounds_of_a_folder_and_texts_of_a_chain_are_taken_in_turn(generator, files, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("sound.wav", "clip.mp4"):
        (folder / name).write_bytes((files / name).read_bytes())
    generate_multimodal(generator, "audio_to_video", tmp_path, files=Files(folder), num=3, say=lambda line: None)
    assert generator.program.prefixes[0].codes["audio"].shape[0] == 3
    generate_multimodal(
        generator,
        "text_to_video",
        tmp_path,
        prompt=["a digit", "left"],
        then=("video_to_audio",),
        num=2,
        say=lambda line: None,
    )
    assert [prefixes.text_count_B.tolist() for prefixes in generator.program.prefixes[1:]] == [[2, 1]] * 2


def test_long_videos_that_cannot_be(generator, files, tmp_path):
    for task, frames, message in (
        ("video_to_audio", 30, "'video_to_audio' makes no video that can be extended"),
        ("text_to_image", 30, "'text_to_image' makes no video that can be extended"),
        ("audio_to_video", 30, "'audio_to_video' makes no video that can be extended"),
        ("text_to_video", 9, "frames is 9; expected more than the 9 of a clip"),
        ("unconditional", 30, "needs a model of frame_prediction or image_to_video; this one knows: unconditional"),
    ):
        if task == "unconditional":
            generator = tiny.scripted(tasks=(task,))
        with pytest.raises(UserError, match=message):
            generate_multimodal_long(generator, task, tmp_path, frames, prompt="a digit")
        assert not generator.program.plans

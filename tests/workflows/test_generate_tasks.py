"""`generate` with every task, with a user's own mask, and with images: what is read, what is written, what is
kept."""

import dataclasses

import numpy as np
import pytest
import tiny_generators
from tiny_models import moving_square

from magvit_jax import metrics, workflows
from magvit_jax.errors import UserError
from magvit_jax.media.given import given_only
from magvit_jax.media.pixels import upscale
from magvit_jax.media.video_io import read_video, write_gif, write_mp4, write_png
from magvit_jax.workflows import UserMask

PIXELS = [name for name in tiny_generators.TASKS if name != "class_conditional"]
INSIDE = UserMask(box=(0.25, 0.25, 0.75, 0.75))


@pytest.fixture(scope="module")
def generator():
    return tiny_generators.generator("causal")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Twelve frames of the model's size, where a clip has nine; a gif keeps flat colours as they are."""
    return write_gif(tmp_path_factory.mktemp("film") / "film.gif", moving_square(12))


def run(generator, task, output, **more):
    said = []
    clips = workflows.generate(generator, task, output, say=said.append, **more)
    return clips, said


def assert_shows(shown, clip):
    """A gif has 256 colours a frame: near is as good as it gets."""
    assert shown.shape == clip.shape
    assert (
        np.abs(shown.astype(int) - clip).mean() < 8 < 12 < np.abs(shown.astype(int) - clip[::-1, ::-1]).mean()
    )


@pytest.mark.parametrize("task", PIXELS)
def test_every_task_is_shown_beside_its_original_and_what_was_given(generator, film, tmp_path, task):
    clips, said = run(generator, task, tmp_path, source=film, num=1)
    stem = f"{task}_0000" + ("_class0" if task.startswith("class") else "")
    names = {f"{stem}{end}" for end in (".mp4", ".gif", "_beside.mp4", "_beside.gif")} | {"grid.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert_shows(read_video(tmp_path / f"{stem}.gif")[:, ::12, ::12], clips[0])
    beside = read_video(tmp_path / f"{stem}_beside.gif")[:, 4 + 18 :]
    assert len(beside) == 9
    original = moving_square(12)[:9]
    given = given_only(
        original, generator.mixture.tasks[generator.tasks.index(task)].given(generator.clip.shape)
    )
    for column, clip in enumerate((original, given, clips[0])):
        left = 4 + column * (192 + 4)
        assert_shows(beside[:, 0:192:12, left : left + 192 : 12], clip)
    assert said[0] == f"1 clips of task {task}: {tmp_path}"
    assert said[1].startswith("PSNR against the original: ") and "dB of the unseen pixels" in said[1]


@pytest.mark.parametrize("task", ["frame_prediction", "central_outpainting", "mask"])
def test_pasted_pixels_are_those_of_the_file(generator, film, tmp_path, task):
    mask = INSIDE if task == "mask" else None
    clips, said = run(generator, task, tmp_path, source=film, num=2, paste=True, mask=mask)
    original = moving_square(12)[:9]
    given = np.zeros((9, 16, 16), bool)
    if task == "frame_prediction":
        given[:5] = True
    else:
        given[:, 4:12, 4:12] = True
    np.testing.assert_array_equal(clips[:, given], np.stack([original[given]] * 2))
    assert np.any(clips[0, ~given] != clips[1, ~given])
    assert "inf dB of the given pixels" in said[-1]


def test_the_scores_are_of_the_given_and_of_the_other_pixels(generator, film, tmp_path):
    clips, said = run(generator, "vertical_outpainting", tmp_path, source=film, num=1)
    original, middle = moving_square(12)[:9], np.zeros((9, 16, 16), bool)
    middle[:, :, 4:12] = True
    scores = [float(metrics.psnr_where(original, clips[0], where)) for where in (middle, ~middle)]
    expected = "PSNR against the original: {:.2f} dB of the given pixels, {:.2f} dB of the unseen pixels"
    assert said[-1] == expected.format(*scores)


def test_a_file_may_end_where_nothing_more_is_given(generator, tmp_path):
    write_gif(tmp_path / "six.gif", moving_square(12)[:6])
    write_gif(tmp_path / "twelve.gif", moving_square(12))
    clips, said = run(generator, "frame_prediction", tmp_path / "out", source=tmp_path / "six.gif", num=1)
    longer, _ = run(generator, "frame_prediction", tmp_path / "longer", source=tmp_path / "twelve.gif", num=1)
    np.testing.assert_array_equal(clips, longer)
    assert len(read_video(tmp_path / "out" / "frame_prediction_0000_beside.gif")) == 9
    sixth = np.zeros((6, 16, 16), bool)
    sixth[5] = True
    score = float(metrics.psnr_where(moving_square(12)[:6], clips[0][:6], sixth))
    assert said[-1].endswith(f"{score:.2f} dB of the unseen pixels")
    with pytest.raises(UserError, match="six.gif has 6 frames, a clip needs 9"):
        run(generator, "frame_interpolation", tmp_path / "no", source=tmp_path / "six.gif")


def test_one_given_frame_may_be_an_image(generator, tmp_path):
    write_png(tmp_path / "first.png", moving_square(12)[0])
    write_gif(tmp_path / "film.gif", moving_square(12))
    task = "class_conditional_frame_prediction"
    clips = [
        run(generator, task, tmp_path / "out", source=tmp_path / name, num=1, label=2)[0]
        for name in ("first.png", "film.gif")
    ]
    np.testing.assert_array_equal(*clips)
    assert (tmp_path / "out" / f"{task}_0000_class2.mp4").is_file()


def test_a_mask_like_a_tasks_region_gives_what_the_task_gives(generator, film, tmp_path):
    clips, said = run(generator, "mask", tmp_path / "mask", source=film, num=2, mask=INSIDE, steps=2)
    assert said[0].startswith("the mask comes nearest to task central_outpainting,")
    assert (tmp_path / "mask" / "mask_0001_beside.mp4").is_file()
    expected, _ = run(generator, "central_outpainting", tmp_path / "task", source=film, num=2, steps=2)
    np.testing.assert_array_equal(clips, expected)


def test_the_outside_of_a_box_may_be_given_and_a_prompt_be_named(generator, film, tmp_path):
    outside = UserMask(box=INSIDE.box, given="outside")
    clips, said = run(generator, "mask", tmp_path / "a", source=film, num=1, mask=outside)
    assert "nearest to task central_inpainting" in said[0]
    expected, _ = run(generator, "central_inpainting", tmp_path / "b", source=film, num=1)
    np.testing.assert_array_equal(clips, expected)
    other, said = run(
        generator, "mask", tmp_path / "c", source=film, num=1, mask=outside, prompt="dynamic_inpainting"
    )
    assert np.any(other != clips) and not said[0].startswith("the mask")
    named = dict(num=1, mask=outside, prompt="class_conditional_frame_prediction", label="class1")
    run(generator, "mask", tmp_path / "d", source=film, **named)
    assert (tmp_path / "d" / "mask_0000_class1.mp4").is_file()


def write_mask(path, white, frames=None, size=16):
    """White where `white` is, in a file of the size: of one frame, or of so many."""
    picture = np.where(white[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    picture = upscale(picture, size // 16)
    if frames is None:
        return write_png(path, picture)
    return write_mp4(path, np.stack([picture] * frames))  # a gif would hold equal frames once


def test_masks_from_files(generator, film, tmp_path):
    """An image, a video as long as the clip, one as long as the film, and one of a larger film's own size."""
    white = np.zeros((16, 16), bool)
    white[4:12, 4:12] = True
    large = write_gif(tmp_path / "large.gif", upscale(moving_square(12), 4))
    files = [
        (write_mask(tmp_path / "image.png", white), film),
        (write_mask(tmp_path / "nine.mp4", white, 9), film),
        (write_mask(tmp_path / "twelve.mp4", white, 12), film),
        (write_mask(tmp_path / "large.png", white, size=64), large),
        (write_mask(tmp_path / "small.png", white), large),
    ]
    clips = [
        run(generator, "mask", tmp_path / "out", source=source, num=1, mask=UserMask(file=file), steps=1)[0]
        for file, source in files
    ]
    box, _ = run(generator, "mask", tmp_path / "out", source=film, num=1, mask=INSIDE, steps=1)
    for clip in clips[:3]:
        np.testing.assert_array_equal(clip, box)
    np.testing.assert_array_equal(clips[3], clips[4])
    inverted = UserMask(file=write_mask(tmp_path / "black.png", ~white), given="outside")
    again, _ = run(generator, "mask", tmp_path / "out", source=film, num=1, mask=inverted, steps=1)
    np.testing.assert_array_equal(again, box)


def test_a_moving_mask_is_given_frame_by_frame(generator, film, tmp_path):
    white = np.zeros((9, 16, 16), bool)
    for frame in range(9):
        white[frame, :, frame : frame + 6] = True
    file = write_gif(
        tmp_path / "moving.gif", np.where(white[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=-1)
    )
    clips, _ = run(
        generator, "mask", tmp_path / "out", source=film, num=1, mask=UserMask(file=file), paste=True
    )
    original = moving_square(12)[:9]
    np.testing.assert_array_equal(clips[0][white], original[white])
    assert np.mean(clips[0][~white] != original[~white]) > 0.5


def test_a_mask_as_long_as_the_clip_is_taken_frame_by_frame_at_any_stride(film, tmp_path):
    """Of a longer one, as of the video, every second frame is taken."""
    generator = tiny_generators.generator("causal")
    generator.clip = dataclasses.replace(generator.clip, stride=2)
    source = write_gif(tmp_path / "long.gif", moving_square(18))
    white = np.zeros((9, 16, 16, 3), bool)
    for frame in range(9):
        white[frame, :, frame : frame + 6] = True
    short = np.where(white, np.uint8(255), np.uint8(0))
    long = np.stack([short, 255 - short], axis=1).reshape(18, 16, 16, 3)
    for name, video in (("short.gif", short), ("long.gif", long)):
        mask = UserMask(file=write_gif(tmp_path / "masks" / name, video))
        arguments = dict(source=source, num=1, mask=mask, paste=True, steps=1)
        clips, _ = run(generator, "mask", tmp_path / "out", **arguments)
        given = white[..., 0]
        np.testing.assert_array_equal(clips[0][given], moving_square(18)[::2][given])
        assert np.mean(clips[0][~given] != moving_square(18)[::2][~given]) > 0.5


def test_what_is_wrong_with_a_mask_is_named(generator, film, tmp_path):
    white = np.zeros((16, 16), bool)
    white[4:12] = True
    wrong = [
        (
            UserMask(file=write_mask(tmp_path / "a.png", white, size=32)),
            "a.png: mask of 32x32; expected 16x16 as",
        ),
        (
            UserMask(file=write_mask(tmp_path / "b.mp4", white, 4)),
            "b.mp4: mask of 4 frames .*; expected 1 or 9",
        ),
        (UserMask(file=write_mask(tmp_path / "c.png", white | True)), "c.png: all pixels are given"),
        (UserMask(file=write_mask(tmp_path / "d.png", white & False)), "d.png: no pixel is given"),
        (UserMask(file=tmp_path / "e.png"), "e.png does not exist"),
        (UserMask(box=(0.0, 0.0, 1.0, 1.0)), "is the whole clip"),
        (UserMask(box=(0.5, 0.5, 0.501, 0.501)), "not empty"),
    ]
    for mask, message in wrong:
        with pytest.raises(UserError, match=message):
            run(generator, "mask", tmp_path / "out", source=film, mask=mask)
    for box in ((0.5, 0.0, 0.25, 1.0), (0.0, 0.0, 8.0, 8.0), (0.0, 0.5, 1.0), (-0.1, 0.0, 1.0, 0.5)):
        with pytest.raises(UserError, match=r"box .*: expected top,left,bottom,right as shares of the clip"):
            UserMask(box=box)
    with pytest.raises(UserError, match="expected one of --mask and --box"):
        UserMask(file=film, box=INSIDE.box)
    for task, arguments, message in (
        ("mask", {"source": film}, "task 'mask': a mask"),
        ("mask", {"mask": INSIDE}, "expected --input"),
        ("mask", {"mask": INSIDE, "source": film, "prompt": "inpainting"}, "task 'inpainting' is unknown"),
        ("mask", {"mask": INSIDE, "source": film, "label": "class1"}, "takes no class"),
    ):
        with pytest.raises(UserError, match=message):
            run(generator, task, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_goes_on_past_files_that_the_mask_does_not_fit(generator, film, tmp_path):
    white = np.zeros((16, 16), bool)
    white[4:12] = True
    mask = UserMask(file=write_mask(tmp_path / "mask.png", white, size=32))
    folder = tmp_path / "films"
    write_gif(folder / "a.gif", upscale(moving_square(9), 4))
    write_gif(folder / "b.gif", upscale(moving_square(9), 2))
    _, said = run(generator, "mask", tmp_path / "out", source=folder, mask=mask, num=2)
    assert said[0].startswith("skipped: ") and "mask of 32x32; expected 64x64 as" in said[0]
    assert (tmp_path / "out" / "mask_0001.mp4").is_file()  # the second sample is of the same file


def test_images_are_written_as_png(tmp_path):
    tasks = ("class_conditional", "central_inpainting")
    generator = tiny_generators.generator("image", tasks=tasks)
    images, said = run(generator, "class_conditional", tmp_path / "a", num=4)
    assert images.shape == (4, 1, 16, 16, 3) and said == [
        f"4 images of task class_conditional: {tmp_path / 'a'}"
    ]
    names = [f"class_conditional_{i:04d}_class{i % 3}.png" for i in range(4)]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [*names, "grid.png"]
    for name, image in zip(names, images, strict=True):
        np.testing.assert_array_equal(read_video(tmp_path / "a" / name), image)
    write_png(tmp_path / "photo.png", upscale(moving_square(1)[0], 3))
    write_mp4(tmp_path / "film.mp4", moving_square(3))
    inpainted, _ = run(generator, "central_inpainting", tmp_path / "b", source=tmp_path / "photo.png", num=1)
    written = {path.name for path in (tmp_path / "b").iterdir()}
    assert written == {"central_inpainting_0000.png", "central_inpainting_0000_beside.png", "grid.png"}
    np.testing.assert_array_equal(read_video(tmp_path / "b" / "central_inpainting_0000.png"), inpainted[0])


def test_names_hold_task_index_and_class_and_no_folder(tmp_path):
    generator = tiny_generators.generator("image", tasks=("class_conditional",), classes=2)
    generator.class_names = ("tench, a fish", "a/b")
    run(generator, "class_conditional", tmp_path, num=2)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("class_conditional_0000_tench_a_fish.png", "class_conditional_0001_a_b.png", "grid.png"),
    }

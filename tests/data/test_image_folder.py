"""Folders of images as one-frame videos."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from magvit_jax.data import ClipSpec, ImageFolder, batches, build_source
from magvit_jax.data.images import read_image
from magvit_jax.errors import UserError

SPEC = ClipSpec(1, 16, 16)


def picture(height=20, width=30):
    """Left half red, right half blue."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2, 0], rgb[:, width // 2 :, 2] = 255, 255
    return Image.fromarray(rgb)


@pytest.fixture
def images(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number, suffix in enumerate(("png", "jpg", "webp", "bmp", "gif")):
            picture().save(tmp_path / label / f"{number}.{suffix}")
    return tmp_path


def test_labels_splits_and_batches(images):
    train, test = (ImageFolder(str(images), split, SPEC, held_out=0.3) for split in ("train", "test"))
    assert (len(train), len(test)) == (7, 3) and train.class_names == test.class_names == ("cat", "dog")
    iterator = batches(train, SPEC, batch_size=7, seed=0)
    batch = next(iterator)
    iterator.close()
    assert batch["video"].shape == (7, 1, 16, 16, 3) and set(batch["label"].tolist()) == {0, 1}
    for index in range(len(test)):
        video = test.clip(index, None, SPEC, False)["video"][0].astype(int)
        assert (np.abs(video[:, :7] - [255, 0, 0]) < 40).all() and (
            np.abs(video[:, 9:] - [0, 0, 255]) < 40
        ).all()


def test_bad_images_are_skipped_and_named(images):
    (images / "cat" / "zero.png").write_bytes(b"")
    (images / "cat" / "text.jpg").write_bytes(b"text" * 50)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    for suffix in ("png", "jpg"):
        noise.save(images / f"cut.{suffix}")
        content = (images / f"cut.{suffix}").read_bytes()
        (images / f"cut.{suffix}").write_bytes(content[: len(content) // 2])
    source = ImageFolder(str(images), "train", SPEC)
    assert {path.rsplit("/", 1)[1] for path, _ in source.skipped} == {
        "zero.png",
        "text.jpg",
        "cut.png",
        "cut.jpg",
    }
    assert source.class_names == ("cat", "dog")


def test_later_failures_fall_forward_the_same_cached_or_not(images):
    sources = [ImageFolder(str(images), "train", SPEC, cache_mb=size) for size in (0, 10)]
    broken = sources[0]._pictures[2].path
    with open(broken, "wb") as file:
        file.write(b"gone")
    got = [source.clip(2, np.random.default_rng(0), SPEC, True) for source in sources]
    np.testing.assert_array_equal(got[0]["video"], got[1]["video"])
    assert [source.skipped[0][0] for source in sources] == [broken, broken]


def test_loose_images_share_the_folders_name(tmp_path):
    for number in range(3):
        picture().save(tmp_path / f"{number}.png")
    assert ImageFolder(str(tmp_path), "train", SPEC).class_names == (tmp_path.name,)


def test_modes_become_upright_rgb(tmp_path):
    ramp = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)

    def read(image, name="a.png", **options):
        image.save(tmp_path / name, **options)
        return read_image(str(tmp_path / name))

    for image in (Image.fromarray(ramp), Image.fromarray(ramp.astype(np.uint16) * 257)):
        np.testing.assert_array_equal(read(image), np.repeat(ramp[..., None], 3, 2))
    half = np.full((8, 8, 4), 100, np.uint8)
    half[:4, :, 3], half[4:, :, 3] = 255, 0
    laid = read(Image.fromarray(half))
    assert (laid[:4] == 100).all() and (laid[4:] == 255).all()
    np.testing.assert_array_equal(read(picture().quantize(4)), np.asarray(picture()))
    cmyk = read(picture().convert("CMYK"), "a.jpg", quality=100).astype(int)
    assert np.abs(cmyk - np.asarray(picture())).mean() < 5
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    turned = read(picture(20, 30), "b.jpg", exif=exif)
    assert turned.shape == (30, 20, 3) and turned[3, 10, 0] > 200 and turned[-3, 10, 2] > 200


def test_smaller_crops_are_enlarged(tmp_path):
    """Crops of 60 to 100% of the shorter side, anywhere: what of a ramp from 0 to 200 over 40 columns is seen."""
    ramp = np.broadcast_to((np.arange(40) * 5).astype(np.uint8), (30, 40))
    for number in range(2):
        Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(tmp_path / f"{number}.png")
    spec = ClipSpec(1, 30, 30, random_crop=True, smallest_crop=0.6)
    source = ImageFolder(str(tmp_path), "all", spec)

    def columns(spec, train, seed=0):
        """(first, last) column that is seen, as a share of the shorter side."""
        row = source.clip(0, np.random.default_rng(seed), spec, train)["video"][0, 15, :, 0].astype(float)
        step = np.median(np.diff(row[3:-3]))
        return (row[3] / 5 - 3 * step / 5) / 30, 29 * (row[-4] - row[3]) / (row.size - 7) / 5 / 30

    shares = np.array([columns(spec, True, seed) for seed in range(200)])
    widths = shares[:, 1] * 30 / 29
    assert 0.57 < widths.min() < 0.64 and 0.96 < widths.max() < 1.03
    assert np.abs(np.quantile(widths, [0.25, 0.5, 0.75]) - [0.7, 0.8, 0.9]).max() < 0.05
    assert shares[:, 0].min() < 0.05 and (shares[:, 0] + widths).max() > 1.25
    assert columns(spec, True, 7) == columns(spec, True, 7) != columns(spec, True, 8)
    whole = ClipSpec(1, 30, 30, random_crop=True)
    for seed in range(5):
        assert columns(whole, True, seed)[1] * 30 / 29 == pytest.approx(1, abs=0.01)
    assert columns(spec, False) == columns(whole, False)


def test_smaller_crops_of_what_cannot_have_them():
    with pytest.raises(UserError, match="smallest_crop is 0.8, but data.random_crop is False"):
        ClipSpec(1, 30, 30, smallest_crop=0.8)
    with pytest.raises(UserError, match="smallest_crop is 1.2: expected a share"):
        ClipSpec(1, 30, 30, random_crop=True, smallest_crop=1.2)
    config = ConfigDict(dict(source="video_folder", smallest_crop=0.8))
    with pytest.raises(
        UserError, match="smallest_crop is 0.8 of video_folder data: expected 1; only image_folder and"
    ):
        build_source(config)


def test_mistakes(images, tmp_path_factory):
    with pytest.raises(UserError, match="frames is 9"):
        ImageFolder(str(images), "train", ClipSpec(9, 16, 16))
    lone = tmp_path_factory.mktemp("lone")
    with pytest.raises(UserError, match="no image file"):
        ImageFolder(str(lone), "train", SPEC)
    (lone / "zero.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of its 1 images can be read"):
        ImageFolder(str(lone), "train", SPEC)
    picture().save(lone / "a.png")
    with pytest.raises(UserError, match="at least 2"):
        ImageFolder(str(lone), "train", SPEC)


def test_real_images(real_data):
    source = ImageFolder(str(real_data / "images"), "train", ClipSpec(1, 32, 32))
    assert source.class_names == ("imagenet_sample", "photos") and not source.skipped

"""Images with texts, and a config's choice of where they come from."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from sounding import write

from magvit_jax.data import CaptionedImages, MultimodalSpec, build_image_source, image_spec
from magvit_jax.data.embedded_sounding import DIGITS
from magvit_jax.errors import UserError

_multimodal = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "configs" / "_multimodal.py")))
SPEC = image_spec(
    MultimodalSpec(frames=5, height=8, width=8, fps=8.0, samples=9, sample_rate=100, flip=False, random_crop=False)
)
FIELDS = dict(captions="file", templates=(), held_out=0.5, cache_mb=8)


@pytest.fixture
def pictures(tmp_path):
    """Four grey pictures, of which three have texts."""
    for number in range(4):
        Image.new("RGB", (12, 10), (50 * number,) * 3).save(tmp_path / f"p{number}.png")
    lines = [f'{{"file": "p{n}.png", "text": "grey {n}{more}"}}' for n in range(3) for more in ("", " again")]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return str(tmp_path)


def test_an_image_comes_with_one_of_its_own_texts(pictures):
    source = CaptionedImages(pictures, "all", SPEC, **FIELDS)
    assert len(source) == 3 and len(source.texts) == 6
    seen = set()
    for index in range(3):
        for seed in range(8):
            clip = source.clip(index, np.random.default_rng(seed), SPEC, True)
            assert clip["video"].shape == (1, 8, 8, 3)
            number = clip["video"].mean() / 50
            assert clip["caption"].startswith(f"grey {number:.0f}")
            seen.add(clip["caption"])
        assert not source.clip(index, np.random.default_rng(0), SPEC, False)["caption"].endswith("again")
    assert seen == set(source.texts)


def test_images_without_any_text_are_refused(pictures):
    with pytest.raises(UserError, match="data.images.templates is empty"):
        CaptionedImages(pictures, "all", SPEC, **FIELDS | dict(captions="labels"))
    with pytest.raises(UserError, match="none of its 4 all images has a text"):
        CaptionedImages(pictures, "all", SPEC, **FIELDS | dict(captions="none"))


def config(videos="", **images):
    sizes = dict(frames=5, height=8, width=8, samples=1000, seed=0, cache_mb=8, held_out=0.5)
    images = dict(_multimodal.TWO_STAGES, captions="labels", templates=("{label}",), **images)
    return ConfigDict(dict(_multimodal.FILES, path=str(videos), images=images) | sizes)


def test_frames_of_the_data_s_own_videos(tmp_path):
    for name in ("big_dog", "cat"):
        write(tmp_path / f"{name}.mkv", 25)
    source = build_image_source(config(tmp_path, source="frames"), "train")
    clips = [source.clip(0, np.random.default_rng(seed), SPEC, True) for seed in range(12)]
    assert {clip["caption"] for clip in clips} <= {"big dog", "cat"}
    assert clips[0].keys() == {"video", "label", "caption"}
    assert all(clip["video"].shape == (1, 8, 8, 3) for clip in clips)
    assert len({clip["video"].mean() for clip in clips}) > 5  # any frame


def test_frames_of_the_embedded_videos(tmp_path):
    data = config(source="frames")
    data.update(_multimodal.EMBEDDED | dict(size=10, images=dict(data.images, templates=("{digit}",))))
    clip = build_image_source(data, "train").clip(3, np.random.default_rng(0), SPEC, True)
    assert clip["video"].shape == (1, 8, 8, 3) and clip["caption"] in DIGITS


def test_a_folder_of_images_and_none(pictures):
    found = build_image_source(config(source="image_folder", path=pictures), "train")
    assert isinstance(found, CaptionedImages) and found.root == pictures
    assert build_image_source(config(source="none"), "train") is None


@pytest.mark.parametrize(
    "images, expected",
    [
        (dict(source="web"), "data.images.source is 'web': expected one of none, frames, image_folder"),
        (dict(source="frames", captions="none"), "data.images.captions is 'none': images are made from text"),
    ],
)
def test_bad_choices_are_named(images, expected):
    found = config()
    found.images.update(images)
    with pytest.raises(UserError, match=expected):
        build_image_source(found, "train")

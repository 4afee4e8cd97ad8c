"""The gallery: every task of a model for one clip, in one page that loads nothing."""

import re

import numpy as np
import pytest
import tiny_generators
from tiny_models import moving_square

from magvit_jax import metrics, workflows
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import write_gif, write_png
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.workflows import UserMask
from magvit_jax.workflows.evaluate import test_clips as embedded_clips

BOX = UserMask(box=(0.25, 0.25, 0.75, 0.75))


@pytest.fixture(scope="module")
def generator():
    return tiny_generators.generator("causal")


def page_of(generator, output, **more):
    path = workflows.gallery(generator, output, say=lambda _: None, **more)
    return path.read_text()


def test_every_task_is_on_it_and_nothing_comes_from_elsewhere(generator, tmp_path):
    source = write_gif(tmp_path / "film.gif", moving_square(12))
    page = page_of(generator, tmp_path / "out", source=source, mask=BOX, model="my/model")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["gallery.html"]
    labels = re.findall(r'<div class="label">([^<]*)</div><div><img', page)
    words = [name.replace("_", " ") for name in tiny_generators.TASKS]
    assert len(labels) == 11
    for name in words:
        assert sum(label.split(":")[0].split(" ·")[0] == name for label in labels) == 1
    assert labels[0].startswith("frame prediction ·")  # in the order of the thesis
    assert labels[-1].startswith("mask (as central outpainting) ·")
    assert "film.gif: 9 frames of 16x16, 3x4x4 tokens. Model my/model, fingerprint tiny." in page
    assert page.count("data:image/webp;base64,") == 11 and page.count("data:image/png;base64,") == 1
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert page.count(f"magvit generate --model=my/model --task={'frame_prediction'} --input={source}") == 1
    assert "--task=class_conditional --output" in page


def test_the_numbers_are_those_of_the_samples(generator, tmp_path):
    video = np.asarray(next(iter(embedded_clips(generator.clip, None, 1)))["video"])
    page = page_of(generator, tmp_path, num=2, seed=5)
    clips = to_uint8(generator.generate("central_inpainting", video=video, num=2, seed=5))
    given = generator.mixture.tasks[generator.tasks.index("central_inpainting")].given(generator.clip.shape)
    truth = np.repeat(video, 2, axis=0)
    unseen, kept = (metrics.psnr_where(truth, clips, where).mean() for where in (~given, given))
    assert f"central inpainting · {unseen:.1f} dB unseen, {kept:.1f} dB given" in page
    padded = np.where(given[..., None], video, 0)
    assert f"{float(metrics.psnr_where(video, padded, ~given)[0]):.2f} dB</td>" in page.replace(
        "<small></small>", ""
    )
    assert re.search(r"<td class=\"\">class conditional</td><td class=\"\">0.0%</td>", page)


def test_labels_are_named(generator, tmp_path):
    page = page_of(generator, tmp_path, num=3)
    assert "class conditional: class0, class1, class2" in page
    assert "class conditional: class1<" in page_of(generator, tmp_path, label="class1", num=1)


def test_images(tmp_path):
    generator = tiny_generators.generator("image", ("class_conditional", "central_inpainting"))
    page = page_of(generator, tmp_path, source=write_png(tmp_path / "a.png", moving_square(1)[0]), num=1)
    assert "a.png: an image of 16x16, 1x4x4 tokens" in page


def test_what_does_not_fit_is_named(generator, tmp_path):
    short = write_gif(tmp_path / "short.gif", moving_square(7))
    for arguments, message in (
        ({"source": short}, "short.gif has 7 frames, a clip needs 9"),
        ({"source": tmp_path}, "is a folder; expected one video or image file"),
        ({"label": "class9"}, "label 'class9' is unknown"),
        ({"num": 0}, "num is 0"),
        ({"mask": UserMask(file=short)}, "a mask file goes with --input"),
    ):
        with pytest.raises(UserError, match=message):
            page_of(generator, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()

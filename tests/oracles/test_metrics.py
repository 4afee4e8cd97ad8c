"""PSNR, SSIM, MS-SSIM and BLEU against the packages that everybody uses, on real frames and captions."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from magvit_jax import metrics  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def frames(real_data):
    """A reference picture and two distorted ones, uint8 [1, H, W, 3], sides above 160 and one of them odd."""
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((real_data / "metrics").glob("*.png"))]
    assert len(pictures) == 3
    resized = [np.asarray(Image.fromarray(x).resize((203, 176), Image.Resampling.BICUBIC)) for x in pictures]
    return {name: picture[None] for name, picture in zip(("p0", "p1", "ref"), resized, strict=True)}


@pytest.fixture(scope="module")
def video(real_data):
    """Four frames of a real video, and the same after being made smaller and larger again."""
    from magvit_jax.data.decode import read_frames

    path = sorted((real_data / "video" / "clips").glob("*.mp4"))[0]
    clip = np.stack([np.asarray(Image.fromarray(f).resize((192, 176))) for f in read_frames(path, 5, 4)])
    small = [np.asarray(Image.fromarray(f).resize((48, 44)).resize((192, 176))) for f in clip]
    return clip, np.stack(small)


def nchw(frames_THWC):
    import torch

    return torch.from_numpy(np.moveaxis(frames_THWC.astype(np.float64) / 255, -1, 1))


@pytest.mark.parametrize("other", ["p0", "p1"])
def test_psnr_and_ssim_are_scikit_images(frames, other):
    skimage = pytest.importorskip("skimage.metrics")
    a, b = frames["ref"], frames[other]
    found = metrics.psnr(a, b)
    assert found == pytest.approx(skimage.peak_signal_noise_ratio(a[0], b[0], data_range=255), abs=1e-9)
    expected = skimage.structural_similarity(
        a[0] / 255,
        b[0] / 255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1,
    )
    assert metrics.ssim(a, b) == pytest.approx(expected, abs=1e-9)


def test_ssim_and_ms_ssim_are_pytorch_msssims(frames, video):
    theirs = pytest.importorskip("pytorch_msssim")
    import torch

    # Their own window is a float32 one, which costs 5e-6 of a value: here it is float64.
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    more = dict(data_range=1.0, size_average=False, win=(window / window.sum()).expand(3, 1, 1, 11))
    for a, b in ((frames["ref"], frames["p0"]), (frames["ref"], frames["p1"]), video):
        x, y = nchw(a), nchw(b)
        expected = theirs.ssim(x, y, **more).numpy().mean()
        assert metrics.ssim(a, b) == pytest.approx(expected, abs=1e-9)
        expected = theirs.ms_ssim(x, y, **more).numpy().mean()
        assert metrics.ms_ssim(a, b, odd="zeros") == pytest.approx(expected, abs=1e-9)
    even = metrics.ms_ssim(*video)
    assert even == metrics.ms_ssim(*video, odd="zeros") and 0.5 < even < 0.999


@pytest.fixture(scope="module")
def captions(real_data):
    """(hypotheses, references) as words: of each picture its first caption against the others."""
    found = json.loads((real_data / "text" / "coco_captions_10_images.json").read_text())
    groups = [[text.lower().replace(".", " ").split() for text in texts] for texts in found.values()]
    assert len(groups) == 10 and min(map(len, groups)) > 2
    return [group[0] for group in groups], [group[1:] for group in groups]


def test_bleu_is_nltks(captions):
    nltk = pytest.importorskip("nltk.translate.bleu_score")
    hypotheses, references = captions
    assert metrics.bleu(hypotheses, references) == pytest.approx(nltk.corpus_bleu(references, hypotheses), abs=1e-12)
    smooth = nltk.SmoothingFunction().method1
    for hypothesis, known in zip(hypotheses, references, strict=True):
        expected = nltk.sentence_bleu(known, hypothesis, smoothing_function=smooth)
        assert metrics.bleu([hypothesis], [known], smoothing="epsilon") == pytest.approx(expected, abs=1e-12)


def test_bleu_is_sacrebleus(captions):
    sacrebleu = pytest.importorskip("sacrebleu")
    hypotheses, references = captions
    longest = max(map(len, references))
    streams = [[" ".join(known[k]) if k < len(known) else None for known in references] for k in range(longest)]
    expected = sacrebleu.corpus_bleu(
        [" ".join(words) for words in hypotheses], streams, tokenize="none", smooth_method="none"
    )
    assert 100 * metrics.bleu(hypotheses, references) == pytest.approx(expected.score, abs=1e-9)

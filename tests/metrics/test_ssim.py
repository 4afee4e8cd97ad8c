"""SSIM and MS-SSIM by their conventions, against formulas written out and scikit-image."""

import numpy as np
import pytest
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from magvit_jax.errors import UserError
from magvit_jax.metrics import SSIM_CONVENTION, ms_ssim, ssim
from magvit_jax.metrics.ssim import SCALE_WEIGHTS, _halved

CONVENTION = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)


def picture(height=176, width=192):
    return astronaut()[:height, 60 : 60 + width][None] / 255.0


def noisy(video, amount, seed=0):
    return np.clip(video + np.random.default_rng(seed).normal(0, amount, video.shape), 0, 1)


def contrast_of(a, b):
    """Mean of contrast times structure of one channel: SSIM's map over its luminance, by scikit-image's windows."""
    from scipy.ndimage import gaussian_filter

    smooth = lambda x: gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]  # noqa: E731
    covariance = smooth(a * b) - smooth(a) * smooth(b)
    variances = smooth(a * a) - smooth(a) ** 2 + smooth(b * b) - smooth(b) ** 2
    return np.mean((2 * covariance + 0.03**2) / (variances + 0.03**2))


def test_ms_ssim_written_out_over_five_scales():
    a = picture()
    b = noisy(a, 0.1)
    channels = []
    for channel in range(3):
        x, y = a[0, ..., channel], b[0, ..., channel]
        product = 1.0
        for scale, weight in enumerate(SCALE_WEIGHTS):
            if scale == 4:
                product *= structural_similarity(x, y, **CONVENTION) ** weight
                break
            product *= contrast_of(x, y) ** weight
            x, y = (z.reshape(z.shape[0] // 2, 2, -1, 2).mean((1, 3)) for z in (x, y))
        channels.append(product)
    assert ms_ssim(a, b) == pytest.approx(np.mean(channels), abs=1e-9)
    assert 0.5 < ms_ssim(a, b) < 0.99


def test_ms_ssim_of_a_clip_and_itself_is_one_and_noise_lowers_it():
    a = np.stack([picture(161, 165)] * 2)
    np.testing.assert_allclose(ms_ssim(a, a), [1.0, 1.0], atol=1e-12)
    values = [float(ms_ssim(a[0], noisy(a[0], amount))) for amount in (0.02, 0.1, 0.3)]
    assert 1 > values[0] > values[1] > values[2] > 0


def test_a_negative_of_a_picture_has_no_similarity_and_no_nan():
    a = picture()
    assert ms_ssim(a, 1.0 - a) == 0.0


def test_odd_sides_by_both_conventions():
    row = np.float64([1.0, 3.0, 4.0]).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(_halved(row, "repeat"), [[[[2.0, 4.0]]]])  # both sides are odd
    np.testing.assert_array_equal(_halved(np.repeat(row, 2, axis=2), "zeros"), [[[[0.5, 3.5]]]])
    a = picture(165, 163)
    b = noisy(a, 0.1)
    repeated, zeros = float(ms_ssim(a, b)), float(ms_ssim(a, b, odd="zeros"))
    assert repeated != zeros and abs(repeated - zeros) < 0.02
    even = picture()
    assert ms_ssim(even, noisy(even, 0.1)) == ms_ssim(even, noisy(even, 0.1), odd="zeros")


def test_the_convention_is_named_and_its_mistakes_are_too():
    assert "11x11" in SSIM_CONVENTION
    with pytest.raises(UserError, match="ms_ssim: frames of .160, 200. pixels, expected 161 or more"):
        ms_ssim(np.zeros((1, 160, 200, 3)), np.zeros((1, 160, 200, 3)))
    with pytest.raises(UserError, match="odd sides 'mirror'"):
        ms_ssim(picture(), picture(), odd="mirror")
    with pytest.raises(UserError, match="ssim: frames of"):
        ssim(np.zeros((1, 10, 20, 3)), np.zeros((1, 10, 20, 3)))

import numpy as np
import pytest
from skimage.data import astronaut
from skimage.metrics import structural_similarity
from skimage.transform import resize

from magvit_jax.errors import UserError
from magvit_jax.metrics import mean_frame, psnr, psnr_per_frame, repeat_frame, ssim


def moving_photograph(frames=3, height=48, width=40):
    image = resize(astronaut(), (96, 96), anti_aliasing=True)
    return np.stack([image[10 + t : 10 + t + height, 20 + 2 * t : 20 + 2 * t + width] for t in range(frames)])


def noisy(video, amount, seed=0):
    return np.clip(video + np.random.default_rng(seed).normal(0, amount, video.shape), 0, 1)


def test_psnr_written_out():
    a, b = np.zeros((2, 3, 4, 4, 3)), np.full((2, 3, 4, 4, 3), 0.1)
    b[1] = 0
    b[1, 0, 0, 0, 0] = 1.0
    np.testing.assert_allclose(psnr(a, b), [20.0, 10 * np.log10(3 * 4 * 4 * 3)])
    assert psnr(a[0], b[0]).shape == ()
    assert np.isinf(psnr(a, a)).all()


def test_psnr_of_bytes_equals_psnr_of_floats():
    video = (moving_photograph() * 255).astype(np.uint8)
    other = np.maximum(video, 7) - 7  # bytes must not wrap around
    np.testing.assert_allclose(psnr(video, other), psnr(video / 255.0, (other / 255.0)))


def test_psnr_per_frame_is_not_psnr_of_the_clip():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = a + np.float32([0.1, 0.01]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(psnr_per_frame(a, b), [20.0, 40.0], rtol=1e-6)
    np.testing.assert_allclose(psnr(a, b), -10 * np.log10((0.01 + 0.0001) / 2), rtol=1e-6)


@pytest.mark.parametrize("amount", [0.0, 0.02, 0.3])
def test_ssim_equals_scikit_image(amount):
    a = moving_photograph()
    b = noisy(np.roll(a, 1, axis=2), amount)
    oracle = [
        structural_similarity(
            x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1
        )
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b), np.mean(oracle), atol=1e-9)
    np.testing.assert_allclose(ssim(np.stack([a, b]), np.stack([b, b])), [np.mean(oracle), 1.0], atol=1e-9)


def test_ssim_takes_float32_and_odd_sizes():
    a = moving_photograph(height=13, width=11)
    assert abs(ssim(a, noisy(a, 0.1)) - ssim(a.astype(np.float32), noisy(a, 0.1).astype(np.float32))) < 1e-4


def test_baselines_written_out():
    clip = np.arange(4, dtype=np.uint8).reshape(1, 4, 1, 1, 1) * 51
    np.testing.assert_array_equal(repeat_frame(clip, 2).reshape(-1), [102] * 4)
    np.testing.assert_allclose(mean_frame(clip).reshape(-1), [0.3] * 4)
    assert repeat_frame(clip, 2).dtype == np.uint8


def test_mistakes_are_named():
    with pytest.raises(UserError, match="one shape"):
        psnr(np.zeros((2, 4, 4, 3)), np.zeros((3, 4, 4, 3)))
    with pytest.raises(UserError, match="int64"):
        psnr(np.zeros((2, 4, 4, 3), int), np.zeros((2, 4, 4, 3), int))
    with pytest.raises(UserError, match="11 or more"):
        ssim(np.zeros((2, 10, 40, 3)), np.zeros((2, 10, 40, 3)))

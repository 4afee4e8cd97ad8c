"""Protocols against written-out numbers."""

import numpy as np
import pytest

from magvit_jax import metrics
from magvit_jax.evaluation import (
    evaluate_frame_prediction,
    evaluate_recognition,
    evaluate_reconstruction,
    train_classifier,
)


def flat(*levels):
    """A clip [1, T, 16, 16, 3] whose frames are of these grey levels, out of 255."""
    frames = np.asarray(levels, np.uint8)[None, :, None, None, None]
    return np.broadcast_to(frames, (1, len(levels), 16, 16, 3)).copy()


def psnr(mse):
    return -10 * np.log10(mse)


def test_frame_prediction_scores_unseen_frames_only():
    video = flat(0, 51, 102, 204)
    guess = flat(255, 255, 51, 255).astype(np.float32) / 255.0  # wild where frames were given
    result = evaluate_frame_prediction(lambda _: guess, lambda v: v / np.float32(255), 2, [{"video": video}])
    assert result.clips == 1
    assert result.psnr == pytest.approx(psnr((0.2**2 + 0.2**2) / 2), abs=1e-4)
    assert result.psnr_repeat_last == pytest.approx(psnr((0.2**2 + 0.6**2) / 2), abs=1e-4)
    assert result.psnr_ceiling > 100 and result.ssim_ceiling == pytest.approx(1.0)
    assert result.ssim_repeat_last == pytest.approx(metrics.ssim(video[:, 2:], flat(51, 51))[0])


def test_frame_prediction_is_a_mean_over_clips_and_not_over_batches():
    near, far = flat(0, 0, 51), flat(0, 0, 255)
    black = lambda video: np.zeros(video.shape, np.float32)  # noqa: E731
    batches = [{"video": np.concatenate([near, near])}, {"video": far}]
    result = evaluate_frame_prediction(black, black, 1, batches)
    assert result.clips == 3
    expected = (2 * psnr(0.2**2 / 2) + psnr(1 / 2)) / 3
    assert result.psnr == pytest.approx(expected, abs=1e-6) == pytest.approx(result.psnr_ceiling, abs=1e-6)


def test_reconstruction_beside_the_mean_frame():
    video = np.concatenate([flat(0, 102), flat(51, 51 + 102)])
    ids = np.array([[[[0]], [[3]]], [[[3]], [[5]]]])
    output = video.astype(np.float32) / 255.0 + np.array([0.1, 0.3], np.float32).reshape(2, 1, 1, 1, 1)
    batches = [{"video": video[:1]}, {"video": video[1:]}]
    answers = iter([(ids[:1], output[:1]), (ids[1:], output[1:])])
    result = evaluate_reconstruction(lambda _: next(answers), 8, batches)
    assert result.clips == 2
    assert result.psnr == pytest.approx((psnr(0.01) + psnr(0.09)) / 2, abs=1e-4)
    assert result.psnr_mean_frame == pytest.approx(psnr(0.2**2), abs=1e-6)
    assert result.codebook_use == pytest.approx(3 / 8)
    assert result.codebook_perplexity == pytest.approx(np.exp(-(2 * 0.25 * np.log(0.25) + 0.5 * np.log(0.5))))


def test_an_image_has_no_mean_frame_to_be_compared_with():
    image = flat(102)
    result = evaluate_reconstruction(lambda _: (np.array([[[[0]]]]), image / np.float32(510)), 8, [{"video": image}])
    assert result.psnr_mean_frame is None and np.isfinite(result.psnr)


def bright_halves(count, seed):
    """Clips whose label is the half that is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    clips = rng.integers(0, 100, (count, 5, 16, 16, 3), dtype=np.uint8)
    for clip, label in zip(clips, labels, strict=True):
        clip[:, :, 8 * label : 8 * label + 8] += 100
    return clips, labels


@pytest.fixture(scope="module")
def classifier():
    return train_classifier(*bright_halves(64, 0), 2, steps=15, batch_size=16)


def test_the_classifier_learns_what_is_easy(classifier):
    clips, labels = bright_halves(100, 1)  # no multiple of the batch: the last is filled up and cut
    predicted = classifier.predict(clips)
    assert predicted.shape == (100,)
    assert (predicted == labels).mean() > 0.95


def test_the_classifier_is_the_same_each_time(classifier):
    again = train_classifier(*bright_halves(64, 0), 2, steps=15, batch_size=16)
    other = train_classifier(*bright_halves(64, 0), 2, steps=15, batch_size=16, seed=1)
    kernels = [np.asarray(model.params["kernel0"]) for model in (classifier, again, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.any(kernels[0] != kernels[2])


class Fixed:
    """A classifier that says what it was told to."""

    def __init__(self, **answers):
        self.answers = answers

    def predict(self, name):
        return np.asarray(self.answers[name])


def test_recognition_counts_hits_against_guessing():
    judge = Fixed(generated=[0, 1, 2, 3, 0, 1], held_out=[0, 1, 1, 3])
    result = evaluate_recognition(
        judge, 4, "generated", np.array([0, 1, 2, 0, 1, 2]), "held_out", np.array([0, 1, 2, 3])
    )
    assert (result.clips, result.accuracy, result.chance, result.ceiling) == (6, 0.5, 0.25, 0.75)
    # P(3 or more hits of 6 at 1/4) = 1 - (0.75^6 + 6 * 0.25 * 0.75^5 + 15 * 0.25^2 * 0.75^4)
    by_hand = 1 - (0.75**6 + 6 * 0.25 * 0.75**5 + 15 * 0.25**2 * 0.75**4)
    assert result.p_value == pytest.approx(by_hand)

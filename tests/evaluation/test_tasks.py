"""The protocol of tasks against written-out numbers: which pixels count for what."""

import numpy as np
import pytest

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation import MeasuredTask, evaluate_tasks


def flat(level, clips=1):
    return np.full((clips, 2, 16, 16, 3), level, np.uint8)


def psnr(mse):
    return -10 * np.log10(mse)


LEFT = np.zeros((2, 16, 16), bool)
LEFT[:, :, :4] = True


def test_unseen_and_given_pixels_are_scored_apart():
    video, first_numbers = flat(102), []
    sample = np.full(video.shape, 0.5, np.float32)
    sample[..., :4, :] = 0.25

    def generate(video, first):
        first_numbers.append(first)
        return np.repeat(sample, len(video), axis=0)

    task = MeasuredTask(generate, lambda video: np.where(LEFT[..., None], video, 0.0), LEFT)
    batches = [{"video": np.concatenate([video, video])}, {"video": video}]
    scores = evaluate_tasks({"left": task}, lambda video: video / np.float32(255) + np.float32(0.05), batches)
    score = scores["left"]
    assert (score.clips, score.unseen_share) == (3, 0.75)
    assert first_numbers == [0, 2]  # clip i is the same sample however the clips are batched
    assert score.psnr_unseen == pytest.approx(psnr(0.1**2), abs=1e-4)
    assert score.psnr_unseen_padded == pytest.approx(psnr(0.4**2), abs=1e-4)
    assert score.psnr_given == pytest.approx(psnr(0.15**2), abs=1e-4)
    assert score.psnr_unseen_ceiling == score.psnr_given_ceiling == pytest.approx(psnr(0.05**2), abs=1e-4)


def test_the_mean_is_over_clips_and_over_all_tasks_at_once():
    batches = [{"video": np.concatenate([flat(51), flat(51)])}, {"video": flat(255)}]
    black = MeasuredTask(lambda video, first: np.zeros(video.shape), lambda video: video * 0, LEFT)
    white = MeasuredTask(lambda video, first: np.ones(video.shape), lambda video: video * 0 + 1, ~LEFT)
    scores = evaluate_tasks({"black": black, "white": white}, lambda video: np.zeros(video.shape), batches)
    assert scores["black"].psnr_unseen == pytest.approx((2 * psnr(0.2**2) + psnr(1.0)) / 3)
    best = 10 * np.log10(12 * 255**2)  # 58.92 dB: no clip counts for more, not even an equal one
    assert scores["white"].psnr_given == pytest.approx((2 * psnr(0.8**2) + best) / 3)
    assert scores["white"].unseen_share == 0.25


def test_psnr_over_some_pixels():
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(size=(3, 2, 4, 5, 3)) for _ in range(2))
    where = rng.uniform(size=(2, 4, 5)) < 0.4
    places = list(zip(*np.nonzero(where), strict=True))
    naive = [psnr(np.mean([(a[clip][i] - b[clip][i]) ** 2 for i in places])) for clip in range(3)]
    np.testing.assert_allclose(metrics.psnr_where(a, b, where), naive)
    np.testing.assert_allclose(metrics.psnr_where(a, b, np.ones((2, 4, 5), bool)), metrics.psnr(a, b))
    for wrong in (np.zeros((2, 4, 5), bool), np.ones((4, 5), bool)):
        with pytest.raises(UserError, match=r"expected one or more of \(2, 4, 5\)"):
            metrics.psnr_where(a, b, wrong)

"""Metrics of sets by toy networks: what is compared with what, and what every result says."""

import json

import numpy as np
import pytest
import toy_networks

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation import MetricSet, Seconds, protocol
from magvit_jax.evaluation.measured import measure_counts, measure_frechet, measure_inception, measure_mean
from magvit_jax.evaluation.protocols import GIVEN_CLIPS, MODEL_CLIPS

NETWORKS = toy_networks.all_of_them()


def opened(names, chosen=MODEL_CLIPS, **more):
    return MetricSet(names, chosen, NETWORKS, Seconds(), **more)


def measured(metric_set, group="reconstruction"):
    return {result.metric: result for result in metric_set.results()[group]}


def features(name, video, kind):
    return toy_networks.reference(NETWORKS[name], video)[kind]


def test_every_metric_is_of_its_own_features():
    real, made = toy_networks.clips(70), toy_networks.clips(70, seed=1)
    metric_set = opened(["psnr", "ssim", "lpips", "fvd", "fid", "is", "video_is"], resamples=20)
    for part in (slice(0, 30), slice(30, 70)):
        metric_set.add_real(real[part])
        metric_set.add_made("reconstruction", made[part], paired=True)
        metric_set.add_pairs("reconstruction", real[part], made[part])
    found = measured(metric_set)
    expected = {
        "fvd": metrics.frechet_distance(*(features("i3d", x, "logits") for x in (real, made))),
        "fid": metrics.frechet_distance(*(features("inception", x, "pooled") for x in (real, made))),
        "is": metrics.inception_score(metrics.softmax(features("inception", made, "logits_unbiased"))),
        "video_is": metrics.inception_score(metrics.softmax(features("c3d_ucf101", made, "logits"))),
        "lpips": toy_networks.reference(NETWORKS["lpips_vgg"], real, made)["distance"].mean(),
        "psnr": metrics.psnr(real, made).mean(),
        "ssim": metrics.ssim(real, made).mean(),
    }
    for name, value in expected.items():
        result = found[name]
        assert result.value == pytest.approx(value, rel=1e-4), name
        assert result.low < result.value < result.high and result.made == 70, name
        assert result.protocol == "model_clips"
        assert json.loads(json.dumps(result.to_json())) == result.to_json()
    assert found["fvd"].network == "i3d@toy-i3d" and found["psnr"].network == ""
    assert found["lpips"].better == found["fvd"].better == "lower" and found["is"].better == "higher"


def test_floats_count_as_the_bytes_they_are_stored_as():
    real, made = toy_networks.clips(20), toy_networks.clips(20, seed=1)
    values = []
    floats = made / np.float32(255)
    for video in (made, floats, floats + np.float32(0.001), floats - np.float32(0.001)):
        metric_set = opened(["fvd", "psnr"], resamples=0)
        metric_set.add_real(real)
        metric_set.add_made("reconstruction", video, paired=True)
        metric_set.add_pairs("reconstruction", real, video)
        values.append({name: result.value for name, result in measured(metric_set).items()})
    assert values[0] == values[1] == values[2] == values[3]


def test_clipsim_pairs_every_clip_with_its_text():
    video, texts = toy_networks.clips(9), ["a cat", "dog", "banana"] * 3
    metric_set = opened(["clipsim"])
    metric_set.add_made("class_conditional", video[:4], paired=False, texts=texts[:4])
    metric_set.add_made("class_conditional", video[4:], paired=False, texts=texts[4:])
    network = NETWORKS["clip_vit_b16"]
    frames = np.asarray(network.function({}, network.prepare(video)[0])["frames"])
    expected = metrics.clip_similarity(frames, network.texts(texts)).mean()
    assert measured(metric_set, "class_conditional")["clipsim"].value == pytest.approx(expected, rel=1e-5)


def test_folds_are_measured_apart_and_averaged():
    real, chosen = toy_networks.clips(40), protocol("bair_fvd")
    folds = [toy_networks.clips(30, seed=seed) for seed in (1, 2, 3, 4)]
    metric_set = opened(["fvd"], chosen, resamples=10)
    metric_set.add_real(real)
    for number, fold in enumerate(folds):
        metric_set.add_made("samples", fold, paired=False, fold=number)
    result = measured(metric_set, "samples")["fvd"]
    of = features("i3d", real, "logits")
    expected = [metrics.frechet_distance(of, features("i3d", fold, "logits")) for fold in folds]
    np.testing.assert_allclose(result.folds, expected, rtol=1e-4)
    assert result.value == pytest.approx(np.mean(expected), rel=1e-4)
    assert result.spread == pytest.approx(np.std(expected, ddof=1), rel=1e-4)
    assert (result.real, result.made, result.warning) == (40, 120, "")


def test_the_best_of_several_counts_for_pixels_and_the_mean_for_lpips():
    real = np.repeat(toy_networks.clips(3, side=32), 100, axis=0)
    made = np.clip(real + np.random.default_rng(0).integers(1, 40, size=(300, 1, 1, 1, 1)), 0, 255).astype(np.uint8)
    assert np.all(np.isfinite(metrics.psnr(real, made)))
    metric_set = opened(["psnr", "lpips"], protocol("bair_pixels"))
    metric_set.add_pairs("samples", real, made)
    found = measured(metric_set, "samples")
    assert found["psnr"].value == pytest.approx(metrics.psnr(real, made).reshape(3, 100).max(axis=1).mean())
    lpips = toy_networks.reference(NETWORKS["lpips_vgg"], real, made)["distance"]
    assert found["lpips"].value == pytest.approx(lpips.mean(), rel=1e-4)


def test_too_few_samples_say_so_and_give_the_number():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 8))
    result = measure_frechet("fvd", GIVEN_CLIPS, a, [b], network="x@y", paired=False, resamples=20)
    assert result.value == pytest.approx(metrics.frechet_distance(a, b))
    assert result.warning == "5 samples for 8 features: the covariance is singular and the value too large"
    with pytest.raises(UserError, match="fvd: 1 made sample; expected 2 or more for a covariance"):
        measure_frechet("fvd", GIVEN_CLIPS, a, [b[:1]], network="x@y", paired=False)
    few = measure_inception("is", GIVEN_CLIPS, [rng.dirichlet(np.ones(4), size=7)], network="x@y")
    assert "7 samples for 4 classes" in few.warning
    one = measure_mean("psnr", GIVEN_CLIPS, np.float64([3.0]), better="higher")
    assert (one.value, one.low, one.high) == (3.0, None, None)


def test_as_many_samples_as_features_are_too_few_and_one_more_is_not():
    """A covariance of N samples has rank N - 1."""
    a, b = np.random.default_rng(0).normal(size=(2, 5, 4))
    shared = dict(network="x@y", paired=False, resamples=0)
    warnings = [measure_frechet("fvd", GIVEN_CLIPS, a[:n], [b], **shared).warning for n in (4, 5)]
    assert warnings == ["4 samples for 4 features: the covariance is singular and the value too large", ""]


def test_intervals_lie_around_their_numbers():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 3))
    same = measure_frechet("fvd", GIVEN_CLIPS, a, [a + 1e-3], network="x@y", paired=True)
    assert 0 <= same.low <= same.value <= same.high < 0.1  # a distance is never negative
    # Repeated samples lower a score of few: uncentred, the interval would end below the number.
    score = measure_inception("is", GIVEN_CLIPS, [np.eye(12)], network="x@y")
    assert score.value == pytest.approx(12) and score.low <= 12 <= score.high


def test_fewer_folds_than_the_protocols_are_said():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 50, 3))
    result = measure_frechet("fvd", protocol("k600_fvd"), a, [b], network="x@y", paired=False, resamples=0)
    assert result.warning == "k600_fvd takes 4 folds, here is 1" and result.low is None


def test_numbers_of_ids_draw_whole_clips():
    rng = np.random.default_rng(0)
    ids = [np.full((2, 3, 3), code) for code in rng.integers(64, size=40)]
    result = measure_counts("use", MODEL_CLIPS, ids, 64, lambda c: c.perplexity, better="higher")
    counts = metrics.CodebookCounts.empty(64).update(np.stack(ids))
    assert result.value == pytest.approx(counts.perplexity)
    # Every clip is one code: drawn id by id the interval would be almost nothing wide.
    assert result.high - result.low > 0.1 * result.value


def test_an_unknown_metric_is_named():
    with pytest.raises(UserError, match="metric 'fvt' is unknown; expected some of psnr, ssim"):
        opened(["fvt"])

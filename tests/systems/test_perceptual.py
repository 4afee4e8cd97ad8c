"""The perceptual term in training: a real small network, the published one, and none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import quiet_train, tiny_config

from magvit_jax import bundles, pretrained, systems
from magvit_jax.errors import UserError
from magvit_jax.evaluation.classifier import ClipClassifier
from magvit_jax.pretrained import networks, resnet, weights
from magvit_jax.systems import perceptual
from magvit_jax.systems.perceptual import Perceptual
from magvit_jax.tokenizer.perceptual import perceptual_distance
from magvit_jax.tokenizer.quantizer import QuantizerLosses


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A network of `fd_small`'s kind with random parameters, as `tools/train_fd_small.py` writes one."""
    fields = dict(classes=3, widths=(4, 8), halve=False, norm_groups=0, pooled=True)
    params = ClipClassifier(**fields).init(jax.random.key(0), jnp.zeros((1, 5, 12, 12, 3)))["params"]
    config = dict(
        format_version=bundles.FORMAT_VERSION,
        kind="clip_classifier",
        name="fd_small",
        model=dict(fields, widths=[4, 8]),
        clip=dict(frames=5, height=12, width=12, stride=1),
        fingerprint="",
    )
    return bundles.write(
        bundles.Bundle(config, jax.tree.map(np.asarray, params)), tmp_path_factory.mktemp("network") / "bundle"
    )


def on(bundle, weight=2.0):
    return ("perceptual.network=fd_small", f"perceptual.path={bundle}", f"perceptual.weight={weight}")


def test_the_loss_has_the_distance_in_it_and_the_output_feels_it(bundle):
    with_it, without = (systems.build(tiny_config("tokenizer", *more)).loss for more in (on(bundle), ()))
    video, output = jax.random.uniform(jax.random.key(0), (2, 2, 5, 16, 16, 3))
    terms = QuantizerLosses(*(jnp.float32(0.1),) * 4)

    @jax.jit
    def distances(output):
        alone = jax.value_and_grad(lambda y: perceptual_distance(with_it.perceptual.network, video, y))(output)
        losses = (lambda y, loss=loss: loss(video, y, terms, jnp.int32(0)) for loss in (with_it, without))
        return alone, *(jax.value_and_grad(loss, has_aux=True)(output) for loss in losses)

    (distance, slope), (found, found_slope), (plain, plain_slope) = distances(output)
    assert float(found[1]["perceptual_loss"]) == pytest.approx(float(distance), rel=1e-5)
    assert float(found[0] - plain[0]) == pytest.approx(2 * float(distance), rel=1e-3)
    np.testing.assert_allclose(found_slope - plain_slope, 2 * slope, atol=1e-5)
    assert float(distance) > 0 and float(jnp.abs(slope).max()) > 0 and "perceptual_loss" not in plain[1]


def test_the_network_is_needed_to_train_and_not_to_load(bundle, tmp_path):
    config = tiny_config("tokenizer", *on(bundle), "training.steps=2")
    quiet_train(config, tmp_path / "run")
    moved = bundle.rename(bundle.with_name("moved"))
    try:
        assert bundles.from_workdir(tmp_path / "run").kind == "tokenizer"
        config.training.steps = 4
        with pytest.raises(UserError, match="no bundle of fd_small"):
            quiet_train(config, tmp_path / "run")
    finally:
        moved.rename(bundle)


def test_without_the_published_weights_it_says_so_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("MAGVIT_WEIGHTS", raising=False)
    config = tiny_config("tokenizer", "perceptual.network=resnet50", "perceptual.weight=0.1")
    with pytest.raises(UserError, match="perceptual.network: resnet50: no weights.*--config.perceptual.weight=0"):
        quiet_train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_resnet50_compares_the_logits_of_every_frame(tmp_path, monkeypatch):
    """Of its bundle, in a folder of weights; the network itself is small here."""
    monkeypatch.setattr(resnet, "STAGES", ((1, 4), (1, 4)))
    monkeypatch.setattr(perceptual, "RESNET_SIZE", (20, 20))
    row, rng = pretrained.NETWORKS["resnet50"], np.random.default_rng(0)
    shapes = networks.abstract_params(networks.DEFINITIONS["resnet50"](jnp.float32))
    arrays = {name: rng.normal(0, 0.1, x.shape).astype(np.float32) for name, x in shapes.items()}
    arrays = {name: np.abs(x) if name.endswith("var") else x for name, x in arrays.items()}
    weights.write(arrays, row, tmp_path)
    video, output = jax.random.uniform(jax.random.key(0), (2, 2, 3, 16, 12, 3))
    found = perceptual_distance(Perceptual(0.1, "resnet50", str(tmp_path)).network, video, output)

    loaded = pretrained.load("resnet50", tmp_path)
    logits = [
        np.asarray(loaded(jax.image.resize(x.reshape(6, 16, 12, 3), (6, 20, 20, 3), "linear"))["logits"])
        for x in (video, output)
    ]
    assert logits[0].shape == (6, 1000)
    assert float(found) == pytest.approx(float(np.mean((logits[0] - logits[1]) ** 2)), rel=1e-4)


def test_without_weight_nothing_is_loaded():
    assert Perceptual(0.0, "resnet50", "").weight == 0
    system = systems.build(tiny_config("tokenizer", "perceptual.network=resnet50"))
    system.load_networks()

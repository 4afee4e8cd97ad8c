"""The 3D-VQ models of ch. 3 and the image model that they are inflated from, as published, at full size."""

import functools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.partitioning import logical_context, make_mesh
from magvit_jax.tokenizer.inflation import inflate
from magvit_jax.training.sharded import abstract_state
from magvit_jax.training.step import make_train_step

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

#: Tab. 3.1, and videos of an epoch as of 6.5.6.
EPOCHS = {
    "ucf101": (500, 2000, 9_537),
    "bair": (400, 800, 43_264),
    "kinetics600": (45, 180, 384_000),
    "ssv2": (135, 400, 169_000),
    "nuscenes": (1280, 5120, 5_400),
    "objectron": (1000, 2000, 14_400),
    "web12m": (5, 20, 12_000_000),
}
VIDEO = [f"{name}:{variant}" for name in EPOCHS for variant in "bl"] + ["youtube8m"]


def load(name, *overrides):
    return load_config(f"magvit/{name}", [f"--config.{value}" for value in overrides])


@functools.cache
def system(name):
    return systems.build(load(name, "perceptual.weight=0"))


def flat(config, prefix=""):
    items = {}
    for key, value in config.items():
        items |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
    return items


def count(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def test_there_is_a_config_for_every_published_model():
    folder = Path(__file__).parents[2] / "configs" / "magvit"
    tokenizers = {p.stem for p in folder.glob("[a-z]*.py") if not p.stem.endswith("_transformer")}
    assert tokenizers == {*EPOCHS, "youtube8m", "imagenet"}


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_of_table_3_1(name):
    base, large, videos = EPOCHS[name]
    for variant, epochs, batch in (("b", base, 128), ("l", large, 256)):
        config = load(f"{name}:{variant}")
        assert config.training.steps == epochs * videos // batch and config.data.batch_size == batch
        assert config.optimizer.warmup_steps == config.adversarial.optimizer.warmup_steps == videos // batch


@pytest.mark.parametrize("name", VIDEO)
def test_the_recipe_of_3_3_1(name):
    """ "The same learning recipe across all datasets", and what the authors' code adds to it."""
    config = load(name)
    recipe = {
        "model.quantizer.size": 1024,
        "model.quantizer.width": 256,
        "loss.reconstruction": 1.0,
        "loss.commitment": 0.25,
        "loss.codebook": 1.0,
        "loss.entropy": 0.1,
        "loss.entropy_annealing_factor": 1.0,
        "loss.entropy_temperature": 0.01,
        "adversarial.weight": 0.1,
        "adversarial.loss": "non_saturating",
        "adversarial.r1_cost": 10.0,
        "adversarial.r1_every": 1,
        "adversarial.lecam_weight": 0.001,
        "discriminator.pooling": "average",
        "perceptual.weight": 0.1,
        "training.ema_decay": 0.999,
    }
    for player in ("optimizer", "adversarial.optimizer"):
        recipe |= {f"{player}.learning_rate": 1e-4, f"{player}.b1": 0.0, f"{player}.b2": 0.99}
        recipe |= {f"{player}.schedule": "cosine", f"{player}.weight_decay": 0.0}
    found = flat(config)
    assert {key: found[key] for key in recipe} == recipe
    large = name == "youtube8m" or name.endswith(":l")
    assert found["model.base_channels"] == found["discriminator.base_channels"] == (128 if large else 64)
    size = config.data.frames, config.data.height, config.data.width
    assert systems.build(config).model.latent_shape(*size) == (4, 16, 16)
    assert size == ((16, 64, 64) if name.startswith("bair") else (16, 128, 128))


@pytest.mark.parametrize("name", ["ucf101", "imagenet"])
def test_keys_are_those_of_the_other_tokenizers(name):
    keys = [
        {key for key in flat(load_config(config)) if not key.startswith("model.")}
        for config in (f"magvit/{name}", "magvit2/video_tokenizer")
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(("variant", "tokenizer", "discriminator"), [("b", 40.58, 15.3), ("l", 157.8, 61.3)])
def test_param_count(variant, tokenizer, discriminator):
    """Fig. 3.1: 41M and 158M; more exactly, and the discriminators, as counted on the authors' code."""
    built = system(f"ucf101:{variant}")
    assert count(built.abstract_params()) == pytest.approx(tokenizer * 1e6, rel=0.005)
    assert count(built.abstract_discriminator_params()) == pytest.approx(discriminator * 1e6, rel=0.005)


@pytest.mark.parametrize(("image", "video"), [("imagenet:b", "ucf101:b"), ("imagenet:b_64", "bair:b")])
def test_the_image_model_can_be_inflated_to_the_video_models(image, video):
    """Tokenizer and discriminator, parameter by parameter: the same sum of weights, and zeros."""
    for part in ("abstract_params", "abstract_discriminator_params"):
        ones = jax.tree.map(lambda x: np.ones(x.shape, np.float32), getattr(system(image), part)())
        target = getattr(system(video), part)()
        inflated = inflate(ones, target, "central")
        assert jax.tree.map(np.shape, inflated) == jax.tree.map(lambda x: x.shape, target)
        assert sum(int(x.sum()) for x in jax.tree.leaves(inflated)) == count(ones) < count(inflated)


def test_a_whole_training_step_traces():
    """Both players, forward, backward and update at paper size, on a mesh; nothing is computed."""
    built, mesh = system("ucf101:b"), make_mesh(dict(data=2, fsdp=2, tensor=2))
    state = abstract_state(built, mesh)
    batch = dict(video=jax.ShapeDtypeStruct((4, 16, 128, 128, 3), jnp.uint8))
    with logical_context(mesh):
        after, metrics = jax.eval_shape(
            make_train_step(built), state, batch, jax.eval_shape(lambda: jax.random.key(0))
        )
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (state, after)]
    assert shapes[0] == shapes[1] and metrics["loss"].shape == ()

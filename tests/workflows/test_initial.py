"""A run that starts from an image model: what is inflated, and what is refused."""

from types import SimpleNamespace

import flax.traverse_util
import numpy as np
import pytest
from ml_collections import ConfigDict
from tiny_models import train_standing_still

from magvit_jax import bundles, systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.tokenizer.inflation import inflate
from magvit_jax.workflows.initial import initial_params

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

#: The published configs, shrunk.
SMALL = (
    "data.source=embedded",
    "data.height=16",
    "data.width=16",
    "data.batch_size=8",
    "data.eval_batch_size=8",
    "data.eval_clips=8",
    "data.size=64",
    "data.random_crop=False",
    "data.workers=0",
    "model.base_channels=8",
    "model.channel_multipliers=(1,1)",
    "model.blocks=1",
    "model.mid_blocks=0",
    "model.quantizer.size=16",
    "model.quantizer.width=4",
    "model.norm_groups=4",
    "discriminator.base_channels=4",
    "discriminator.channel_multipliers=(2,2)",  # the dense layer then sees one frame of four, as of an image
    "perceptual.weight=0",
    "optimizer.warmup_steps=0",
    "adversarial.optimizer.warmup_steps=0",
    "training.steps=1",
    "training.log_every=1",
    "training.sample_every=0",
    "training.eval_every=0",
    "training.checkpoint_every=1",
)
IMAGE = ("data.frames=1", "data.flip=False", "model.temporal_downsample=(False,)")
ALONE = "inflation.discriminator=False"
VIDEO = ("data.frames=4", "model.temporal_downsample=(True,)")


def config_of(name, *more):
    return load_config(f"magvit/{name}", [f"--config.{value}" for value in (*SMALL, *more)])


def video_config(init_from="", *more):
    return config_of("ucf101", *VIDEO, f"init_from={init_from}", *more)


def flat(tree):
    return {key: np.asarray(value) for key, value in flax.traverse_util.flatten_dict(tree, sep="/").items()}


def assert_same(actual, expected):
    actual, expected = flat(actual), flat(expected)
    assert set(actual) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(actual[key], value, rtol=1e-6, atol=1e-20, err_msg=key)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The workdir, the final state and the bundle of an image model."""
    workdir = tmp_path_factory.mktemp("image") / "run"
    state = train_standing_still(config_of("imagenet", *IMAGE), workdir).system
    return workdir, state, bundles.write(bundles.from_workdir(workdir), workdir.parent / "bundle")


def test_both_players_and_the_moving_average_start_inflated(image, tmp_path):
    workdir, before, _ = image
    config = video_config(workdir)
    assert (config.inflation.method, config.inflation.discriminator) == ("central", True)  # as published
    after = train_standing_still(config, tmp_path / "video").system
    system = systems.build(config)
    generator = inflate(before.generator.ema_params, system.abstract_params(), "central")
    assert_same(after.generator.params, generator)
    assert_same(after.generator.ema_params, generator)
    assert_same(
        after.discriminator.params,
        inflate(before.discriminator.params, system.abstract_discriminator_params(), "central"),
    )
    assert flat(generator)["encoder/conv_in/kernel"].shape[0] == 3


def test_of_a_bundle_the_tokenizer_alone(image):
    *_, bundle = image
    config = video_config(bundle, ALONE, "inflation.method=average")
    system = systems.build(config)
    start = initial_params(config, system)
    assert list(start) == ["params"]
    assert_same(start["params"], inflate(bundles.read(bundle).params, system.abstract_params(), "average"))


def test_without_an_adversary_there_is_none_to_inflate(image):
    config = video_config(image[2], "adversarial.weight=0")
    assert list(initial_params(config, systems.build(config))) == ["params"]


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ("none", (), "config.inflation.method: 'central' without config.init_from; expected an image token"),
        ("bundle", (), "bundle is a bundle, which holds no discriminator; expected the workdir of adver"),
        (
            "bundle",
            (ALONE, "inflation.method=first"),
            "inflation 'first' is unknown; expected one of central",
        ),
        (
            "bundle",
            ("inflation.method=",),
            r"parameter decoder/conv_in/kernel is \[1, 3, 3, 4, 8\]; expected \[3, 3, 3, 4, 8\]",
        ),
        (
            "bundle",
            (ALONE, "model.base_channels=16"),
            r"decoder/conv_in/bias is \[8\]; cannot be inflated to \[16\]",
        ),
    ],
)
def test_what_cannot_be_is_refused(image, source, more, message):
    config = video_config(image[2] if source == "bundle" else "", *more)
    with pytest.raises(UserError, match=message):
        initial_params(config, systems.build(config))


def test_a_run_without_a_discriminator_has_none_to_give(tiny):
    config = video_config(tiny.tokenizer.workdir)
    with pytest.raises(
        UserError, match="tokenizer was trained without a discriminator; expected the workdir"
    ):
        initial_params(config, systems.build(config))


OWN = dict(tokenizer="a", sound_tokenizer="b")


@pytest.mark.parametrize(
    ("kept", "vocabulary", "text", "message"),
    [
        (OWN, {}, {}, None),
        (OWN, dict(sources=["web"]), {}, None),  # those of new names come behind it
        (dict(OWN, tokenizer="x"), {}, {}, "was trained with tokenizer x .*; config.tokenizer is a"),
        (dict(tokenizer="a"), {}, {}, "was trained with sound_tokenizer None .*; config.sound_tokenizer is b"),
        (OWN, dict(sources=["film"]), {}, r"sources \['film'\]; expected these first, found \['web', 'film'\]"),
        (OWN, dict(resolutions=[[16, 16]]), {}, r"vocabulary.resolutions \[\[16, 16\]\]; expected these first"),
        (OWN, {}, dict(text_network="T5 of old"), "embedded by T5 of old; those of config.text.t5 are by T5 of now"),
    ],
)
def test_a_multimodal_model_goes_on_with_its_own_tokens_and_texts(kept, vocabulary, text, message, monkeypatch):
    """Its rows of the embedding mean the tokens of these."""
    rows = SimpleNamespace(tokenizer=SimpleNamespace(fingerprint="a"), sound=SimpleNamespace(fingerprint="b"))
    system = SimpleNamespace(kind="multimodal_generator", rows=rows, abstract_params=dict)
    own = dict(sources=["web", "film"], resolutions=[[32, 32]], durations=[9])
    config = dict(kind=system.kind, name="kept", vocabulary=own | vocabulary)
    config["text"] = dict(text_network="T5 of now") | text
    config |= {name: {"fingerprint": value} for name, value in kept.items()}
    monkeypatch.setattr(bundles, "read", lambda path: bundles.Bundle(config, {"transformer": {}}))
    start = ConfigDict(dict(init_from="elsewhere", vocabulary=own))
    extra = dict(text_network="T5 of now")
    if message is None:
        assert initial_params(start, system, extra) == {"params": {}}
        return
    with pytest.raises(UserError, match=message):
        initial_params(start, system, extra)

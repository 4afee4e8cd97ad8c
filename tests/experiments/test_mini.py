"""Mini scale: every recipe builds, and a row keeps what makes it a row of its table."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import systems
from magvit_jax.errors import UserError
from magvit_jax.experiments import mini
from magvit_jax.experiments.models import models
from magvit_jax.experiments.tables import tables
from magvit_jax.partitioning import unbox
from magvit_jax.systems.video_tokenizer import build_model
from magvit_jax.tokenizer.inflation import inflate
from magvit_jax.tokenizer.sound_tokenizer import CODECS, SoundTokenizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, abstract_params
from magvit_jax.tokens.videopoet import Words

SHRUNK = [name for name, model in models().items() if model.mini]


@pytest.fixture(scope="module")
def scale():
    return mini.load()


def test_every_recipe_builds(scale):
    for name in SHRUNK:
        config, needs = scale.config(name, 0), scale.needs(name)
        tokenizer = None
        if "tokenizer" in needs:
            own = scale.config(needs["tokenizer"], 0)
            clip = ClipFormat(own.data.frames, own.data.height, own.data.width)
            tokenizer = Tokenizer(build_model(own.model), {}, clip)
        sound = codec(scale.config(needs["sound_tokenizer"], 0)) if "sound_tokenizer" in needs else None
        systems.build(config, tokenizer=tokenizer, num_classes=10, sound=sound, words=Words(("a", "digit")))
        source = "embedded" if scale.group(name).clips_of == "data" else "embedded_sounding"
        assert config.data.source == source and config.training.steps == scale.group(name).steps > 0, name


def codec(config):
    """The sound tokenizer of a config, without parameters."""
    described = systems.build(config).described()
    return SoundTokenizer(CODECS[described["codec"]](**described["model"]), {}, described["sample_rate"])


@pytest.mark.parametrize("name", ["ucf101_b", "ucf101_b_average", "ucf101_2d_imagenet"])
def test_what_is_inflated_fits(scale, name):
    """The shapes of the image model's parameters against the model's that starts from them, by the row's method."""
    config, start = scale.config(name, 0), scale.config(scale.needs(name)["init_from"], 0)
    image, shapes = abstract(start), abstract(config)
    if not config.inflation.method:
        assert jax.tree.map(jnp.shape, image) == jax.tree.map(jnp.shape, shapes)
        return
    filled = inflate(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), image), shapes, config.inflation.method)
    assert jax.tree.map(jnp.shape, filled) == jax.tree.map(jnp.shape, shapes)


def abstract(config):
    clip = ClipFormat(config.data.frames, config.data.height, config.data.width)
    return unbox(abstract_params(build_model(config.model), clip))


def test_what_starts_from_nothing_says_so(scale):
    for name in SHRUNK:
        config = scale.config(name, 0)
        if "inflation" in config and "init_from" not in scale.needs(name):
            assert (config.inflation.method, config.inflation.discriminator) == ("", False), name
    assert scale.needs("videos_deeper") == {} and models()["videos_deeper"].needs == {"init_from": "images_deeper"}


@pytest.mark.parametrize("pair", [("5.7d", {"loss.entropy"}), ("5.7b", None), ("5.7c", None), ("6.8", None)])
def test_rows_differ_by_what_they_do_at_paper_scale_and_nothing_else(scale, pair, different):
    """The shrinking is the same for both rows of a claim: what it changes, it does not change differently."""
    key, expected = pair
    table = tables()[key]
    for claim in table.claims:
        names = [table.row(row).model_of(table.column(column)) for row, column in (claim.better, claim.worse)]
        if not all(models()[name].mini for name in names):
            continue
        paper = different(*(models()[name].load() for name in names))
        shrunk = different(*(scale.config(name, 0) for name in names))
        # VQ's loss weights are scaled with the reconstruction's; the causal models take a frame more and have none of
        # the other's fields.
        assert shrunk <= paper | {"loss.commitment", "loss.codebook", "inflation.method"}, claim.id
        assert shrunk, claim.id
        if expected is not None:
            assert shrunk == expected


def test_ones_own_videos_are_what_is_trained_on(scale, tmp_path):
    config = dataclasses.replace(scale, videos=tmp_path).config("entropy_with", 3)
    assert (config.data.source, config.data.path, config.seed, config.data.seed) == (
        "video_folder", str(tmp_path), 3, 3,
    )  # fmt: skip


def test_groups_take_what_they_are_like():
    groups = mini.parse(
        {
            "a": dict(set=["x=1"], steps=5, clips=7),
            "b": dict(like="a", set=["y=2"], clips=8),
            "c": dict(like="b", measure="time"),
        },
        "mini.toml",
    )
    assert groups["c"] == mini.Group(set=("x=1", "y=2"), steps=5, measure="time", clips=8)
    with pytest.raises(UserError, match=r"mini\.toml: b is like 'z'; expected one of b"):
        mini.parse({"b": dict(like="z")}, "mini.toml")
    with pytest.raises(UserError, match="a measures 'speed'; expected one of reconstruction"):
        mini.parse({"a": dict(measure="speed")}, "mini.toml")

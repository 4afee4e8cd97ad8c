"""A transformer works with the tokenizer that it was trained with, and with no other."""

import json
import shutil

import jax
import numpy as np
import pytest

import magvit_jax
from magvit_jax import bundles
from magvit_jax.errors import UserError


@pytest.fixture(scope="module")
def other(tiny, tmp_path_factory):
    """A tokenizer of the same architecture with other weights: its ids mean something else."""
    own = bundles.read(tiny.tokenizer.bundle)
    params = jax.tree.map(lambda x: x + np.float32(0.01), own.params)
    config = dict(own.config, fingerprint=bundles.fingerprint(own.config, params))
    return bundles.write(bundles.Bundle(config, params), tmp_path_factory.mktemp("other") / "tokenizer")


def test_the_same_tokenizer_may_take_the_place_of_the_nested_one(tiny):
    nested = magvit_jax.load_generator(tiny.generator.bundle)
    expected = np.asarray(nested.generate("class_conditional", label=1))
    held = magvit_jax.load_tokenizer(tiny.tokenizer.bundle)
    for given in (tiny.tokenizer.bundle, tiny.tokenizer.workdir, held):
        generator = magvit_jax.load_generator(tiny.generator.bundle, tokenizer=given)
        np.testing.assert_array_equal(generator.generate("class_conditional", label=1), expected)
    assert generator.tokenizer is held


def test_another_tokenizer_is_refused_and_both_are_named(tiny, other):
    recorded, found = (magvit_jax.load_tokenizer(path).fingerprint for path in (tiny.tokenizer.bundle, other))
    assert recorded != found
    expected = (
        rf"trained on the tokens of tokenizer {recorded} \(a fingerprint\); {other} is tokenizer {found}"
    )
    for path in (tiny.generator.bundle, tiny.generator.workdir):
        with pytest.raises(UserError, match=expected):
            magvit_jax.load_generator(path, tokenizer=other)
    with pytest.raises(UserError, match=f"the given one is tokenizer {found}"):
        magvit_jax.load_generator(tiny.generator.bundle, tokenizer=magvit_jax.load_tokenizer(other))
    with pytest.raises(UserError, match="no such folder"):
        magvit_jax.load_generator(tiny.generator.bundle, tokenizer="nowhere")


def test_a_run_whose_tokenizer_was_exchanged_is_refused(tiny, other, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(tiny.generator.workdir, workdir)
    shutil.rmtree(workdir / "tokenizer")
    shutil.copytree(other, workdir / "tokenizer")
    with pytest.raises(
        UserError, match=f"{workdir}: its transformer was trained .* {workdir / 'tokenizer'} is"
    ):
        magvit_jax.load_generator(workdir)


def test_a_bundle_with_another_tokenizer_written_into_it_is_refused(tiny, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny.generator.bundle, bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["tokenizer"]["fingerprint"] = "0" * 16
    (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="fingerprint differs"):
        magvit_jax.load_generator(bundle)

"""VideoPoet from a config to a bundle to files: the embedded clips with their sound, on tiny tokenizers."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import tiny_models

import magvit_jax
from magvit_jax import bundles, data
from magvit_jax.cli.config_files import load_config
from magvit_jax.data.text_shards import write_shards
from magvit_jax.errors import UserError
from magvit_jax.systems import multimodal_bundle
from magvit_jax.tokenizer.sound_tokenizer import unboxed_abstract_params
from magvit_jax.tokenizer.soundstream.codec import SoundStreamCodec
from magvit_jax.training.workdir import load_extra

OVERRIDES = (
    "data.height=16",
    "data.width=16",
    "data.sample_rate=8000",
    "data.samples=9000",
    "data.size=16",
    "data.batch_size=8",
    "data.eval_clips=8",
    "vocabulary.resolutions=((16,16),)",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.kv_heads=1",
    "model.head_width=8",
    "model.mlp_dim=24",
    "text.slots=8",
    "optimizer.warmup_steps=0",
    "training.steps=2",
    "training.log_every=1",
    "training.checkpoint_every=1",
)


def config_of(variant, tokenizer, sound, *more):
    values = (*OVERRIDES, f"tokenizer={tokenizer}", f"sound_tokenizer={sound}", *more)
    return load_config(f"videopoet/small:{variant}", [f"--config.{value}" for value in values])


@pytest.fixture(scope="module")
def sound_bundle(tmp_path_factory):
    """A tiny sound tokenizer of 8 latents a second, 2 levels of 8 codes, as a bundle."""
    model = dict(channels=2, strides=[10, 10, 10], latent_dim=4, levels=2, codebook_size=8)
    shapes = unboxed_abstract_params(SoundStreamCodec(**model))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0.0, 0.3, x.shape).astype(x.dtype), shapes)
    config = {
        "format_version": bundles.FORMAT_VERSION,
        "kind": "sound_tokenizer",
        "name": "tiny sound",
        "codec": "soundstream",
        "model": model,
        "sample_rate": 8000,
        "class_names": [],
    }
    config["fingerprint"] = bundles.fingerprint(config, params)
    return bundles.write(bundles.Bundle(config, params), tmp_path_factory.mktemp("sound") / "bundle")


@pytest.fixture(scope="module")
def trained(tiny, sound_bundle, tmp_path_factory):
    """A workdir of every task."""
    workdir = tmp_path_factory.mktemp("videopoet") / "run"
    one = "tasks.frame_prediction.settings.given=(1,)"
    tiny_models.train_standing_still(config_of("smoke", tiny.tokenizer.bundle, sound_bundle, one), workdir)
    return workdir


def test_a_run_keeps_all_that_its_model_needs(trained, tmp_path):
    assert {"zero", "nine", "digit"} <= set(load_extra(trained)["words"])
    exported = bundles.write(bundles.read(trained), tmp_path / "bundle")
    generators = [magvit_jax.load_generator(path) for path in (trained, exported)]
    assert generators[0].fingerprint == generators[1].fingerprint
    assert "text_to_video" in generators[0].tasks and "stylization" not in generators[0].tasks
    assert generators[0].given == generators[1].given == (1,)
    made = [g.generate("text_to_video", prompt="the digit nine", seed=3) for g in generators]
    np.testing.assert_array_equal(made[0].ids, made[1].ids)
    assert made[0].video.shape == (1, 9, 16, 16, 3) and made[0].audio is None
    kept = [magvit_jax.load_tokenizer(exported), magvit_jax.load_sound_tokenizer(exported)]
    assert [model.fingerprint for model in kept] == [
        bundles.read(trained / name).config["fingerprint"] for name in ("tokenizer", "sound_tokenizer")
    ]


def test_sound_that_was_made_is_as_long_as_its_video(trained):
    generator = magvit_jax.load_generator(trained)
    clip = np.zeros((9, 16, 16, 3), np.uint8)
    both = generator.generate("audio_video_continuation", video=clip[:1], audio=np.zeros(1000, np.float32))
    assert both.video.shape == (1, 9, 16, 16, 3) and both.audio.shape == (1, 9000)
    assert both.sample_rate == 8000 and both.fps == 8


def test_one_task_goes_on_from_all_of_them(trained, tiny, sound_bundle, tmp_path):
    config = config_of("finetune", tiny.tokenizer.bundle, sound_bundle, f"init_from={trained}", "data.size=8")
    state = tiny_models.train_standing_still(config, tmp_path / "run")
    params = bundles.read(trained).params["transformer"]
    jax.tree.map(np.testing.assert_array_equal, state.system.train.params, params)
    # Ids of words mean what they meant, whatever words the new data has.
    assert load_extra(tmp_path / "run")["words"] == load_extra(trained)["words"]
    # What it began from may be gone when it goes on.
    config.init_from = str(tmp_path / "gone")
    again = tiny_models.train_standing_still(config, tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, again.system.train.params, params)


@pytest.fixture(scope="module")
def by_t5(tiny, sound_bundle, tmp_path_factory):
    """A workdir of a model that knows text by embeddings of a T5, whose weights are not here."""
    folder = tmp_path_factory.mktemp("t5")
    text = ("text.kind=t5", f"text.t5={folder / 'texts'}", "text.slots=3", "text.width=2")
    config = config_of("smoke", tiny.tokenizer.bundle, sound_bundle, *text)
    facts = dict(network="t5_v1_1_small", fingerprint="those of training", width=2)
    texts = data.build_source(config.data, "train").texts
    write_shards(folder / "texts", [(name, np.full((2, 2), n)) for n, name in enumerate(texts)], facts)
    tiny_models.train_standing_still(config, folder / "run")
    return folder / "run"


def test_a_model_of_t5_embeddings_says_which_weights_its_prompts_need(by_t5, tmp_path, monkeypatch):
    """And makes videos without a prompt while they are not there."""
    monkeypatch.setenv("MAGVIT_WEIGHTS", str(tmp_path))
    generator = magvit_jax.load_generator(by_t5)
    assert generator.generate("unconditional").video.shape == (1, 9, 16, 16, 3)
    with pytest.raises(UserError, match=f"t5_v1_1_small.*{tmp_path}"):
        generator.generate("text_to_video", prompt="a digit")


def test_another_t5_than_that_of_training_is_refused(by_t5, monkeypatch):
    other = SimpleNamespace(name="t5_v1_1_small", fingerprint="others")
    monkeypatch.setattr(multimodal_bundle.networks, "load", lambda name, folder: other)
    with pytest.raises(UserError, match="its weights are others .*; the model was trained on embeddings by those"):
        magvit_jax.load_generator(by_t5).generate("text_to_video", prompt="a digit")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sound_tokenizer=",), "needs config.sound_tokenizer, the folder of a trained sound tokenizer"),
        (("tokenizer=",), "config.tokenizer is empty"),
        (("data.samples=8000",), "data.samples: 8000; expected 9000"),
        (("data.sample_rate=16000", "data.samples=18000"), "data.sample_rate: 16000; expected 8000"),
    ],
)
def test_what_does_not_fit_is_said(tiny, sound_bundle, tmp_path, overrides, message):
    config = config_of("smoke", tiny.tokenizer.bundle, sound_bundle, *overrides)
    with pytest.raises(UserError, match=message):
        tiny_models.quiet_train(config, tmp_path / "run")


def test_tokenizers_do_not_pass_for_each_other(tiny, sound_bundle, tmp_path):
    with pytest.raises(UserError, match="holds a tokenizer; expected a sound_tokenizer"):
        tiny_models.quiet_train(config_of("smoke", tiny.tokenizer.bundle, tiny.tokenizer.bundle), tmp_path / "run")
    with pytest.raises(UserError, match="holds a sound_tokenizer; expected a generator"):
        magvit_jax.load_generator(sound_bundle)

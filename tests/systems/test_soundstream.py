"""SoundStream as a system: who learns from what, the codebooks' update, evaluation by levels, and the whole loop."""

import json
import sys
import wave
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import magvit_jax
from magvit_jax import metrics, systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.cli.main import main
from magvit_jax.errors import UserError
from magvit_jax.systems.soundstream import TERMS, measures

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_models  # noqa: E402

TINY = (
    "data.samples=640",
    "data.batch_size=8",
    "data.eval_batch_size=8",
    "data.eval_clips=8",
    "model.channels=2",
    "model.strides=(20,)",
    "model.latent_dim=4",
    "quantizer.levels=2",
    "quantizer.size=8",
    "quantizer.restart_below=0.5",
    "discriminator.channels=2",
    "discriminator.windows=(64,)",
    "windows=(64,)",
    "samples_first.steps=0",
    "training.steps=3",
    "training.log_every=1",
    "training.checkpoint_every=3",
)


def tiny_config(*more):
    return load_config("soundstream/small:smoke", [f"--config.{item}" for item in (*TINY, *more)])


def sounds(number, samples=640):
    draw = np.random.default_rng(0)
    hertz = draw.uniform(200, 2000, (number, 1))
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)).astype(np.float32)


def write_sounds(folder):
    for number, audio in enumerate(sounds(3, samples=1280)):
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes((audio * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Config, workdir and last state of three steps of the loop."""
    folder = tmp_path_factory.mktemp("sound")
    write_sounds(folder)
    config = tiny_config(f"data.path={folder}")
    return config, folder / "run", tiny_models.quiet_train(config, folder / "run")


@pytest.fixture(scope="module")
def system():
    return systems.build(tiny_config())


def moments(state):
    """Adam's first moments of a player: zero where no gradient ever arrived."""
    (adam,) = [part for part in jax.tree.leaves(state.opt_state, is_leaf=is_adam) if is_adam(part)]
    return jax.tree.leaves(adam.mu)


def is_adam(part):
    return isinstance(part, optax.ScaleByAdamState)


def test_both_players_and_the_codebooks_learn(run):
    state = run[2].system
    for player in (state.generator, state.discriminator):
        assert int(player.updates) == 3
        assert min(np.abs(leaf).max() for leaf in moments(player)) > 0
    codes = np.asarray(state.books.codes_QKD)
    assert all(len(np.unique(level, axis=0)) > 4 for level in codes)  # they began all alike, at zero
    np.testing.assert_allclose(codes * state.books.counts_QK[..., None], state.books.sums_QKD, rtol=1e-5)


def test_what_is_logged(run):
    lines = [json.loads(line) for line in (run[1] / "metrics.jsonl").read_text().splitlines()]
    shown = [line for line in lines if line["kind"] == "train"][-1]
    total = sum(weight * shown[f"{name}_loss"] for name, weight in run[0].loss.items())
    np.testing.assert_allclose(shown["loss"], total, rtol=1e-5)
    assert {"batch_perplexity_1", "batch_perplexity_2", "restarted_codes", "logits_real", "logits_fake"} < set(shown)
    assert "counts_QK" not in shown


def test_evaluation_by_levels_leaves_silence_out(system, run):
    audio = sounds(3)
    audio[1] = 0
    values = system.evaluators["reconstruction"](run[2].system, [{"audio": audio}])
    assert values["silent_sounds"] == 1
    distances = ("log_spectral_distance", "log_mel_distance")
    names = ("si_sdr", *distances, *(f"{name}_40" for name in distances), "codebook_use")
    assert {f"{name}_{n}" for name in names for n in (1, 2)} < set(values)
    assert all(np.isfinite(value) for value in values.values())


def test_distances_are_measured_by_the_names_that_they_have():
    real, made = sounds(2), sounds(4)[2:]
    bands_FM, distance = metrics.mel_bands(16_000), metrics.log_spectral_distance
    found = {name: function(real, made) for name, function in measures(16_000).items()}
    np.testing.assert_array_equal(found["log_mel_distance"], distance(real, made, bands_FM=bands_FM))
    np.testing.assert_array_equal(found["log_mel_distance_40"], distance(real, made, 40.0, bands_FM))
    np.testing.assert_array_equal(found["log_spectral_distance_40"], distance(real, made, 40.0))


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.samples=641", "multiple of 20"),
        ("windows=(1024,)", "the longest window"),
        ("samples_first.steps=-1", "samples_first: steps -1"),
        ("floor=0.0", "floor: 0.0; expected a number above 0"),
        ("training.microbatches=2", "expected 1"),
        ("quantizer.restart_below=33.0", "restart_below: 33.0, and a batch has 32 latents for each"),
        ("quantizer.restart_below=0.0", "restart_below above 0"),
        ("init_from=elsewhere", "from scratch"),
    ],
)
def test_bad_configs_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        systems.build(tiny_config(override))


def test_a_run_that_was_begun_before_these_could_be_chosen_is_built():
    config = tiny_config()
    with config.unlocked():
        del config["floor"], config["samples_first"]
    system = systems.build(config)
    assert system.floor == 1e-5 and system.samples_first.steps == 0


def test_a_finished_run_is_left_as_it_is(run):
    config, workdir, state = run
    assert int(state.step) == 3 and int(state.skipped) == 0
    again = tiny_models.quiet_train(config, workdir)
    np.testing.assert_array_equal(again.system.books.codes_QKD, state.system.books.codes_QKD)


def test_workdir_and_bundle_are_the_same_sound_tokenizer(run, system, tmp_path, capsys):
    _, workdir, state = run
    assert main(["export", f"--workdir={workdir}", f"--output={tmp_path / 'bundle'}"]) == 0
    exported, trained = (magvit_jax.load_sound_tokenizer(path) for path in (tmp_path / "bundle", workdir))
    assert f"sound_tokenizer {exported.fingerprint} of step 3" in capsys.readouterr().out
    assert exported.fingerprint == trained.fingerprint
    assert (exported.sample_rate, exported.samples_per_latent, exported.levels, exported.codes) == (16_000, 20, 2, 8)
    audio = sounds(2)
    ids = exported.encode(audio)
    np.testing.assert_array_equal(ids, trained.encode(audio))
    books, average = state.system.books, state.system.generator.ema_params
    encode = jax.jit(lambda p, x: system.model.apply({"params": p}, x, books.codes_QKD, method="encode_to_ids"))
    expected = encode(average, audio)
    np.testing.assert_array_equal(ids, expected)


def test_what_is_no_sound_tokenizer_is_refused(run):
    with pytest.raises(UserError, match="holds a sound_tokenizer; expected a tokenizer or a generator"):
        magvit_jax.load_tokenizer(run[1])


def test_samples_lead_for_as_many_updates_as_asked(run):
    """Until then the spectral distance weighs what `samples_first` says, and what it weighs in `loss` from there on."""
    system = systems.build(tiny_config("samples_first.steps=2", "samples_first.reconstruction=0.25"))
    state, gradients = run[2].system, jax.jit(system.gradients)
    batch = {"audio": jnp.asarray(sounds(2))}
    found = {}
    for updates in (0, 1, 2, 3):
        at = state.replace(generator=state.generator.replace(updates=jnp.int32(updates)))
        grads, shown = gradients(at, batch, jax.random.key(1))
        rest = sum(getattr(system.weights, name) * shown[f"{name}_loss"] for name in TERMS if name != "reconstruction")
        found[updates] = float(optax.tree.norm(grads["generator"]))
        weight = 0.25 if updates < 2 else system.weights.reconstruction
        np.testing.assert_allclose(shown["loss"], rest + weight * shown["reconstruction_loss"], rtol=1e-5)
    assert found[0] == found[1] != found[2] == found[3]

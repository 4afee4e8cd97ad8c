"""SoundStream as a system: who learns from what, the codebooks' update, evaluation by levels, and the whole loop."""

import io
import wave

import jax
import numpy as np
import pytest

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.workflows import train

TINY = (
    "data.samples=640",
    "data.batch_size=8",
    "data.eval_batch_size=8",
    "data.eval_clips=8",
    "model.channels=2",
    "model.strides=(4, 5)",
    "model.latent_dim=4",
    "quantizer.levels=2",
    "quantizer.size=8",
    "quantizer.restart_below=0.5",
    "discriminator.channels=2",
    "discriminator.windows=(64,)",
    "windows=(64,)",
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


@pytest.fixture(scope="module")
def system():
    return systems.build(tiny_config())


@pytest.fixture(scope="module")
def first(system):
    """State, gradients and aux of one step, and the state and metrics after it."""
    state = unbox(jax.jit(system.init)(jax.random.key(0)))
    batch = {"audio": sounds(8)}
    step = jax.jit(lambda s, k: system.gradients(s, batch, k))
    grads, aux = step(state, jax.random.key(1))
    after, shown = jax.jit(system.apply)(state, grads, aux)
    grads, aux = step(after, jax.random.key(2))  # the first update gave the codebooks their codes
    return after, grads, aux, *jax.jit(system.apply)(after, grads, aux)


def test_both_players_and_the_codebooks_learn(first):
    before, grads, _, after, shown = first
    for player in ("generator", "discriminator"):
        norms = [np.abs(leaf).max() for leaf in jax.tree.leaves(grads[player])]
        assert min(norms) > 0, player
    changed = np.abs(np.asarray(after.books.codes_QKD) - np.asarray(before.books.codes_QKD)).max((1, 2))
    assert (changed > 0).all()
    assert all(value.shape == () for value in shown.values())
    assert {"si_sdr", "counts_QK"}.isdisjoint(shown)
    weights = dict(reconstruction=0.01, waveform=30.0, commitment=1.0, adversarial=0.02, features=0.2)
    total = sum(weight * shown[f"{name}_loss"] for name, weight in weights.items())
    np.testing.assert_allclose(shown["loss"], total, rtol=1e-5)


def test_every_latent_of_the_batch_is_counted_once_a_level(first):
    aux = first[2]
    np.testing.assert_allclose(np.asarray(aux["counts_QK"]).sum(1), [8 * 32, 8 * 32])


def test_evaluation_by_levels_leaves_silence_out(system, first):
    audio = sounds(3)
    audio[1] = 0
    values = system.evaluators["reconstruction"](first[3], [{"audio": audio}])
    assert values["silent_sounds"] == 1
    assert {f"{name}_{n}" for name in ("si_sdr", "log_spectral_distance", "codebook_use") for n in (1, 2)} < set(values)
    assert all(np.isfinite(value) for value in values.values())


@pytest.mark.parametrize(
    "override, message",
    [
        ("data.samples=641", "multiple of 20"),
        ("windows=(1024,)", "the longest window"),
        ("training.microbatches=2", "expected 1"),
        ("quantizer.restart_below=0.0", "restart_below above 0"),
        ("init_from=elsewhere", "from scratch"),
    ],
)
def test_bad_configs_are_refused(override, message):
    with pytest.raises(UserError, match=message):
        systems.build(tiny_config(override))


def test_the_loop_trains_it_on_files_and_goes_on(tmp_path):
    for number, audio in enumerate(sounds(3, samples=1280)):
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes((audio * 32767).astype("<i2").tobytes())
    workdir = tmp_path / "run"
    config = tiny_config(f"data.path={tmp_path}")
    state = train.train(config, workdir, stream=io.StringIO())
    assert int(state.step) == 3 and int(state.skipped) == 0
    restored = train.train(config, workdir, stream=io.StringIO())
    np.testing.assert_array_equal(restored.system.books.codes_QKD, state.system.books.codes_QKD)

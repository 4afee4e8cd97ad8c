"""Tiny models that several test folders share, trained once a session; and quick compilation for tests.

Not a test module: a folder's conftest.py makes it importable.
"""

import atexit
import contextlib
import functools
import io
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import bundles
from magvit_jax.cli.config_files import load_config
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params
from magvit_jax.training import loop
from magvit_jax.workflows import train

SHARED = (
    "data.frames=9",
    "data.height=16",
    "data.width=16",
    "data.batch_size=8",
    "data.eval_batch_size=8",
    "data.eval_clips=16",
    "data.size=64",
    "optimizer.warmup_steps=0",
    "training.steps=4",
    "training.log_every=1",
    "training.sample_every=0",
    "training.checkpoint_every=2",
)
TOKENIZER = (
    "model.base_channels=8",
    "model.channel_multipliers=(1,1)",
    "model.strides=((4,1,1),)",
    "model.mid_blocks=0",
    "model.quantizer.bits=6",
    "model.norm_groups=4",
)
GENERATOR = (
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.mlp_dim=32",
    "loss.part_weights.refine=1.0",
    "loss.part_weights.mask=1.0",
    "loss.part_weights.reconstruct=1.0",
    "tasks.frame_prediction.decoding.steps=3",
    "tasks.frame_prediction.decoding.sampling_temperature=1.0",
    "tasks.class_conditional.decoding.steps=3",
    "tasks.class_conditional.decoding.guidance_scale=1.0",
)
_trained = {}


def overrides(stage, *more):
    """Arguments that shrink the shipped config of a stage; `more` come last."""
    values = (*SHARED, *(TOKENIZER if stage == "tokenizer" else GENERATOR), *more)
    return [f"--config.{value}" for value in values]


def tiny_config(stage, *more):
    return load_config(f"quickstart/{stage}:smoke", overrides(stage, *more))


def quiet_train(config, workdir, devices=1):
    """Trains on the first devices; gives the final state. The progress lines are thrown away."""
    with quick_compilation():
        return train(config, workdir, stream=io.StringIO(), devices=jax.devices()[:devices])


def train_standing_still(config, workdir):
    """As `quiet_train`, but a step changes nothing, so that none is compiled: for what lies around the steps."""

    def step(state, batch, key):
        return state.replace(step=state.step + 1), dict(skipped=jnp.int32(0), skipped_in_row=jnp.int32(0))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "jit_train_step", lambda *_: step)
        return quiet_train(config, workdir)


def moving_square(frames=9, height=16, width=16, seed=0):
    """A clip for a file: a bright square that moves over a dark ground, uint8 [T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    video = np.broadcast_to(rng.integers(0, 80, 3, dtype=np.uint8), (frames, height, width, 3)).copy()
    for t in range(frames):
        x = (t + int(rng.integers(2))) % (width - 4)
        video[t, 4:8, x : x + 4] = rng.integers(180, 255, 3, dtype=np.uint8)
    return video


def random_params(model, clip_shape):
    """Parameters of a tokenizer network, none of them zero: a bias of zero would hide what it does."""
    shapes = unboxed_abstract_params(model, ClipFormat(*clip_shape))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0.0, 0.3, x.shape), x.dtype), shapes)


@contextlib.contextmanager
def quick_compilation():
    """XLA compiles twice as fast and computes slower: right for programs that run a few times.

    A program that was compiled before in this run is not compiled again: the tests train in many workdirs.
    """
    settings = {
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": _compiled_programs(),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
    }
    before = {name: _setting(name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _setting(name):
    """JAX shows some of its settings as attributes, and the others through `read`."""
    return getattr(jax.config, name) if hasattr(jax.config, name) else jax.config.read(name)


@functools.cache
def _compiled_programs():
    folder = tempfile.mkdtemp(prefix="magvit_jax_tests_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def trained(tmp_path_factory):
    """Workdirs, exported bundles and final states of a tiny tokenizer and of a generator trained on it."""
    if not _trained:
        root = Path(tmp_path_factory.mktemp("tiny"))
        for stage, more in (("tokenizer", ()), ("generator", (f"tokenizer={root / 'tokenizer'}",))):
            workdir, config = root / stage, tiny_config(stage, *more)
            state = quiet_train(config, workdir)
            bundle = bundles.write(bundles.from_workdir(workdir), root / "bundles" / stage)
            _trained[stage] = SimpleNamespace(workdir=workdir, bundle=bundle, state=state, config=config)
    return SimpleNamespace(**_trained)

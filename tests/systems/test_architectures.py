"""A training step of every architecture of Tab. 5.7a, tiny, from its shipped config to new parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import train_standing_still

import magvit_jax
from magvit_jax import systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox

SHARED = (
    "data.height=16",
    "data.width=16",
    "data.batch_size=2",
    "model.quantizer.bits=6",
    "model.remat=False",
    "model.dtype=float32",
    "adversarial.weight=0.0",
    "perceptual.weight=0.0",
    "optimizer.warmup_steps=0",
    "training.steps=1",
)
CNN = ("model.base_channels=8", "model.blocks=1", "model.mid_blocks=0", "model.norm_groups=4")
MAGVIT = (*CNN, "model.channel_multipliers=(1,1)", "model.temporal_downsample=(True,)")
TRANSFORMER = ("model.width=16", "model.heads=2", "model.mlp_dim=32", "model.temporal_layers=1")
ARCHITECTURES = {
    "magvit": ("data.frames=4", *MAGVIT),
    "cvivit": ("data.frames=9", "model.clip=(9,16,16)", "model.spatial_layers=1", *TRANSFORMER),
    "cvivit_magvit": ("data.frames=5", "model.frames=5", *MAGVIT, *TRANSFORMER),
    "causal_cnn": (
        "data.frames=5",
        *CNN,
        "model.channel_multipliers=(1,1)",
        "model.strides=((2,2,2),)",
    ),
}


# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def tiny_row(name, *more):
    overrides = [f"--config.{value}" for value in (*SHARED, *ARCHITECTURES[name], *more)]
    return load_config(f"ablations/architectures:{name}", overrides)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_a_step_moves_every_parameter(name):
    config = tiny_row(name)
    system = systems.build(config)
    shape = (2, config.data.frames, 16, 16, 3)
    batch = {"video": jnp.asarray(np.random.default_rng(0).integers(0, 256, shape), jnp.uint8)}

    @jax.jit
    def first_step(batch):
        before = unbox(system.init(jax.random.key(0)))
        grads, aux = system.gradients(before, batch, jax.random.key(1))
        after, metrics = system.apply(before, grads, aux)
        return before, after, metrics

    before, after, metrics = first_step(batch)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((after.params, metrics)))
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before.params, after.params)
    assert [jax.tree_util.keystr(p) for p, x in jax.tree_util.tree_leaves_with_path(moved) if not x] == []


def test_a_trained_cvivit_is_a_tokenizer_of_clips_of_its_size(tmp_path):
    """Through the loop, and back from the workdir, whose config.json knows no tuples."""
    config = tiny_row(
        "cvivit",
        "data.source=embedded",
        "data.size=16",
        "data.workers=0",
        "training.eval_every=0",
        "training.sample_every=0",
        "training.checkpoint_every=1",
    )
    assert int(train_standing_still(config, tmp_path / "run").step) == 1
    tokenizer = magvit_jax.load_tokenizer(tmp_path / "run")
    video = np.random.default_rng(0).integers(0, 256, (1, 9, 16, 16, 3), np.uint8)
    ids = tokenizer.encode(video)
    assert ids.shape == (1, 3, 2, 2) and tokenizer.decode(ids).shape == video.shape
    windows = list(tokenizer.encode_stream(np.concatenate([video, video], axis=1)[0]))
    assert [part.shape for part in windows] == [ids.shape] * 2  # it does not stream: windows of 9 frames
    for window in windows:
        np.testing.assert_array_equal(window, ids)
    with pytest.raises(UserError, match="position embeddings are for clips of 16x16 and at most 9 frames"):
        tokenizer.encode(video.repeat(2, axis=2))

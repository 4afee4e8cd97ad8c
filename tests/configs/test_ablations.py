"""The rows of Tab. 5.7 as configs: what each one changes, and how many parameters it has."""

import math

import jax
import jax.numpy as jnp
import pytest

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.partitioning import logical_context, make_mesh
from magvit_jax.training.sharded import abstract_state
from magvit_jax.training.step import make_train_step

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

ROWS = {
    "architectures": ("magvit", "cvivit", "cvivit_magvit", "causal_cnn"),
    "images": ("magvit", "lfq", "large_vocabulary", "resampling", "deeper", "adaptive_norm"),
    "videos": ("magvit", "lfq", "resampling", "late_temporal", "deeper", "blur_pooling"),
    "entropy": ("without", "with"),
}
DEEPER = {"model.blocks", "model.mid_blocks"}
RESAMPLING = {"model.downsampler", "model.upsampler", "model.stem_bias"}
LAST_CHANGES = {
    "images:lfq": {
        "model.quantizer.name",
        "model.quantizer.size",
        "model.quantizer.width",
        "model.quantizer.bits",
        "model.quantizer.entropy_groups",
        "loss.codebook",
    },
    "images:large_vocabulary": {"model.quantizer.bits"},
    "images:resampling": RESAMPLING,
    "images:deeper": DEEPER,
    "images:adaptive_norm": {"model.adaptive_norm"},
    "videos:resampling": RESAMPLING,
    "videos:late_temporal": {"model.strides"},
    "videos:deeper": DEEPER,
    "videos:blur_pooling": {"discriminator.pooling"},
    "entropy:with": {"loss.entropy"},
}


def row(name: str, *overrides: str):
    return load_config(f"ablations/{name}", overrides)


def flat(config, prefix="") -> dict:
    items = {}
    for key, value in config.items():
        items |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
    return items


def changes(before, after) -> set[str]:
    """Keys, other than the name, that differ or that only one of two configs has."""
    before, after = flat(before), flat(after)
    return {key for key in before.keys() | after.keys() if before.get(key, ...) != after.get(key, ...)} - {
        "name"
    }


def count(tree) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", [f"{table}:{variant}" for table, rows in ROWS.items() for variant in rows])
def test_every_row_builds(name):
    config = row(name)
    assert config.name == f"ablation_{name.replace(':', '_')}"
    model = systems.build(config).model
    time = 1 if config.data.frames == 1 else 4
    assert model.compression == (time, 8, 8)
    assert model.leading_frame == (name not in ("architectures:magvit", "videos:magvit"))


@pytest.mark.parametrize("name", list(LAST_CHANGES))
def test_a_row_changes_what_it_is_named_after_and_nothing_else(name):
    table, _, variant = name.partition(":")
    before = ROWS[table][ROWS[table].index(variant) - 1]
    assert changes(row(f"{table}:{before}"), row(name)) == LAST_CHANGES[name]


def test_last_rows_are_the_published_models():
    assert changes(row("images:adaptive_norm"), load_config("magvit2/image_tokenizer:8x")) == set()
    length = {
        "data.batch_size",
        "training.steps",
        "optimizer.warmup_steps",
        "adversarial.optimizer.warmup_steps",
    }
    video = changes(row("videos:blur_pooling"), load_config("magvit2/video_tokenizer"))
    assert video - length == {"model.adaptive_norm"}
    causal = changes(row("architectures:causal_cnn"), load_config("magvit2/video_tokenizer"))
    assert causal - length == DEEPER | {"model.base_channels", "discriminator.base_channels"}


def test_rows_of_a_table_are_trained_alike():
    for table, rows in ROWS.items():
        groups = [
            {key: row(f"{table}:{name}")[key].to_dict() for key in ("optimizer", "training")} for name in rows
        ]
        assert all(group == groups[0] for group in groups)


@pytest.mark.parametrize("table", list(ROWS))
def test_unknown_rows_are_a_clear_error(table):
    with pytest.raises(UserError, match=f"config ablations/{table}:best: no variant 'best'"):
        row(f"{table}:best")


@pytest.mark.parametrize(
    ("name", "published", "encoder", "decoder"),
    [
        ("magvit", 39, 17_088_722, 21_522_755),
        ("cvivit", 90, 44_769_810, 44_770_240),
        ("cvivit_magvit", 67, 29_838_034, 37_560_131),
        ("causal_cnn", 58, 18_084_434, 38_364_995),
    ],
)
def test_param_count(name, published, encoder, decoder):
    """Tab. 5.7a. What the published numbers, in millions, were counted at is not known.

    Three of ours round to them, the causal CNN is 2.7% below; docs/fidelity.md lists other settings.
    """
    params = systems.build(row(f"architectures:{name}")).abstract_params()
    assert {part: count(params[part]) for part in params} == dict(encoder=encoder, decoder=decoder)
    millions = (encoder + decoder) / 1e6
    assert round(millions) == published or (
        name == "causal_cnn" and millions == pytest.approx(published, rel=0.03)
    )


@pytest.mark.parametrize("name", ["cvivit", "cvivit_magvit"])
def test_a_step_at_full_size_traces_and_is_sharded(name):
    """In bfloat16, with the discriminator, on a data x fsdp x tensor mesh; nothing is computed."""
    system = systems.build(row(f"architectures:{name}", "--config.perceptual.weight=0.0"))
    mesh = make_mesh(dict(data=2, fsdp=2, tensor=2))
    state = abstract_state(system, mesh)
    batch = dict(video=jax.ShapeDtypeStruct((4, 17, 128, 128, 3), jnp.uint8))
    with logical_context(mesh):
        key = jax.eval_shape(lambda: jax.random.key(0))
        after, _ = jax.eval_shape(make_train_step(system), state, batch, key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype), after
    )
    spread = [x for x in jax.tree.leaves(state) if not x.sharding.is_fully_replicated]
    assert count(spread) > 0.99 * count(state)


@pytest.mark.parametrize(
    ("video", "image"),
    [
        ("magvit", "magvit/imagenet:l"),
        ("lfq", "ablations/images:large_vocabulary"),
        ("late_temporal", "ablations/images:resampling"),
        ("blur_pooling", "ablations/images:deeper"),
    ],
)
def test_a_video_row_can_be_inflated_from_its_image_row(video, image):
    """The header of ablations/videos.py names them: the same parameters, but for time."""
    shapes = [
        systems.build(config).abstract_params() for config in (row(f"videos:{video}"), load_config(image))
    ]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    for path, (video_shape, image_shape) in flat_pairs(*shapes):
        if video_shape != image_shape:
            assert "kernel" in path or "_up" in path
            assert video_shape[1:-1] == image_shape[1:-1]


def flat_pairs(*trees):
    pairs = jax.tree.map(lambda *arrays: tuple(x.shape for x in arrays), *trees)
    leaves = jax.tree_util.tree_leaves_with_path(pairs, is_leaf=lambda x: isinstance(x, tuple))
    return [(jax.tree_util.keystr(path), shapes) for path, shapes in leaves]

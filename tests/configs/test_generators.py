"""The published transformers at full size, on stand-ins for their tokenizers, under `eval_shape` only."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config, variants
from magvit_jax.generation.settings import DECODINGS, Decoding
from magvit_jax.partitioning import logical_context, make_mesh
from magvit_jax.systems import video_tokenizer
from magvit_jax.systems.generator_config import active_tasks
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.tokens.tasks import TASKS
from magvit_jax.training.sharded import abstract_state
from magvit_jax.training.step import make_train_step
from magvit_jax.training.system import System

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

EIGHT = set(TASKS) - {"class_conditional", "class_conditional_frame_prediction"}
FP, FI, CG = {"frame_prediction"}, {"frame_interpolation"}, {"class_conditional"}

#: Of each dataset of Tab. 6.10: its tokenizer, epochs by size, videos, tasks, given frames, decoding.
MAGVIT = {
    "ucf101": ("ucf101", dict(b=2000, l=2000), 9_537, CG, 1, "magvit"),
    "bair": ("bair", dict(b=400, l=800), 43_264, FP, 1, "magvit_bair"),
    "bair_mt": ("bair", dict(b=1200, l=1600), 43_264, EIGHT, 1, "magvit_bair"),
    "kinetics600": ("kinetics600", dict(b=180, l=360), 384_000, FP, 5, "magvit_kinetics600"),
    "ssv2": ("ssv2", dict(b=720, l=1440), 169_000, set(TASKS), 1, "magvit"),
    "nuscenes": ("nuscenes", dict(b=2560, l=10240), 5_400, FP, 1, "magvit"),
    "objectron": ("objectron", dict(b=1000, l=2000), 14_400, FI, 1, "magvit"),
    "web12m": ("web12m", dict(b=10, l=20, h=20), 12_000_000, EIGHT, 1, "magvit"),
}
#: Of each generator of MAGVIT-v2 and of the ablations: its tokenizer, and the shape of its tokens.
OTHERS = {
    "magvit2/masked_video:l": ("magvit2/video_tokenizer", (5, 16, 16)),
    "magvit2/masked_video_ucf101:l": ("magvit2/video_tokenizer", (5, 16, 16)),
    "magvit2/masked_video_noncausal:l": ("magvit2/noncausal_tokenizer", (4, 16, 16)),
    "magvit2/masked_image:256": ("magvit2/image_tokenizer:16x", (1, 16, 16)),
    "magvit2/masked_image:256_unguided": ("magvit2/image_tokenizer:16x", (1, 16, 16)),
    "magvit2/masked_image:512": ("magvit2/image_tokenizer:32x", (1, 16, 16)),
    "magvit2/masked_image:512_unguided": ("magvit2/image_tokenizer:32x", (1, 16, 16)),
    **{
        f"ablations/masking:{row}": ("magvit/bair:b", (4, 16, 16))
        for row in ("latent", "prefix", "mask", "mask_recons", "commit")
    },
    **{
        f"ablations/masking:{row}_mt8": ("magvit/bair:b", (4, 16, 16))
        for row in ("latent", "mask", "mask_recons", "commit")
    },
    "ablations/decoding:maskgit_2d": ("magvit/imagenet:l_64", (16, 16, 16)),
    "ablations/decoding:maskgit_3d": ("magvit/bair:b", (4, 16, 16)),
    "ablations/decoding:ar": ("magvit/bair:b", (4, 16, 16)),
    "ablations/decoding:magvit": ("magvit/bair:b", (4, 16, 16)),
    **{f"videopoet/prefix_lm:{size}": ("magvit2/video_tokenizer", (5, 16, 16)) for size in ("300m", "1b", "8b")},
}
ALL = {
    **{
        f"magvit/{name}_transformer:{size}": (f"magvit/{row[0]}:{'b' if size == 'b' else 'l'}", (4, 16, 16))
        for name, row in MAGVIT.items()
        for size in row[1]
    },
    **OTHERS,
}


@functools.cache
def load(name: str):
    return load_config(name)


@functools.cache
def stand_in(name: str) -> Tokenizer:
    """A tokenizer without its parameters: a system is built from the shapes it tells."""
    config = load(name)
    clip = ClipFormat(config.data.frames, config.data.height, config.data.width)
    return Tokenizer(video_tokenizer.build_model(config.model), {}, clip)


@functools.cache
def build(name: str, num_classes: int = 101) -> System:
    return systems.build(load(name), tokenizer=stand_in(ALL[name][0]), num_classes=num_classes)


def count(tree) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def flat(config, prefix="") -> dict:
    items = {}
    for key, value in config.items():
        items |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
    return items


def changes(before: str, after: str) -> set[str]:
    """Keys, other than the name, that differ or that only one of two configs has."""
    old, new = flat(load(before)), flat(load(after))
    return {key for key in old.keys() | new.keys() if old.get(key, ...) != new.get(key, ...)} - {"name"}


@pytest.mark.parametrize("name", ALL)
def test_it_builds_on_the_tokenizer_of_its_header(name):
    config, system = load(name), build(name)
    assert system.mixture.grid.shape == ALL[name][1]
    assert set(system.vocabulary.tasks) == set(active_tasks(config.tasks))
    assert system.vocabulary.codes == system.transformer.codes == stand_in(ALL[name][0]).model.codebook_size
    assert system.transformer.factors == (2 if name.startswith("magvit2") else 1)
    for task in system.mixture.tasks:  # raises for a clip that the task does not fit
        assert 0 <= task.region(system.mixture.grid).mean() < 1


@pytest.mark.parametrize("name", MAGVIT)
def test_epochs_of_table_6_10(name):
    """And clips, tasks and decoding of 6.5.1 and 6.5.6, of every size."""
    _, epochs, videos, tasks, frames, decoding = MAGVIT[name]
    assert set(variants(f"magvit/{name}_transformer")) == set(epochs)
    for size in epochs:
        config = load(f"magvit/{name}_transformer:{size}")
        assert config.data.batch_size == 256 and config.training.steps == epochs[size] * videos // 256
        pixels = 64 if name.startswith("bair") else 128
        assert (config.data.frames, config.data.height, config.data.width) == (16, pixels, pixels)
        assert set(active_tasks(config.tasks)) == tasks
        assert {config.tasks[task].weight for task in tasks} == {1.0}
        assert config.tasks.frame_prediction.settings.frames == frames
        assert {Decoding(**config.tasks[task].decoding) for task in tasks} == {DECODINGS[decoding]}


@pytest.mark.parametrize("name", [f"magvit/{name}_transformer:b" for name in MAGVIT] + list(OTHERS)[:3])
def test_the_recipe_of_6_5_6(name):
    found = flat(load(name))
    recipe = {
        "model.dropout": 0.1,
        "model.attention_dropout": 0.1,
        "masking.method": "commit",
        "masking.schedule": "cosine",
        "masking.class_dropout": 0.0,
        "optimizer.name": "adamw",
        "optimizer.learning_rate": 1e-4,
        "optimizer.schedule": "cosine",
        "optimizer.b1": 0.9,
        "optimizer.b2": 0.96,
        "optimizer.weight_decay": 0.045,
        "optimizer.clip_norm": 1.0,
        "loss.label_smoothing": 1e-4,
        "data.batch_size": 256,
    }
    assert {key: found[key] for key in recipe} == recipe


@pytest.mark.parametrize(("size", "millions"), [("b", 87.3), ("l", 305.6), ("h", 634.0)])
def test_param_count(size, millions):
    """Tab. 6.1 within 1%, as counted on the authors' code, on 3D-VQ tokens."""
    params = build(f"magvit/web12m_transformer:{size}").abstract_params()
    assert count(params) == pytest.approx(millions * 1e6, rel=0.01)


@pytest.mark.parametrize(("size", "billions"), [("300m", 0.3083), ("1b", 1.0277), ("8b", 8.0953)])
def test_param_count_of_the_prefix_lms(size, billions):
    """8.4: 300 million, 1 and 8 billion parameters; the tied embedding of 2^18 codes is not counted."""
    system = build(f"videopoet/prefix_lm:{size}", 0)
    params = system.abstract_params()
    assert count(params["embedding"]) == (2**18 + system.vocabulary.num_special) * system.transformer.width + 2**18
    assert count(params) - count(params["embedding"]) == pytest.approx(billions * 1e9, rel=0.001)
    config = load(f"videopoet/prefix_lm:{size}")
    assert (config.training.steps, config.data.batch_size, config.optimizer.learning_rate) == (300_000, 1024, 1e-3)


@pytest.mark.parametrize("name", ["masking:prefix", "decoding:ar", "decoding:maskgit_2d"])
def test_param_count_of_the_baselines(name):
    """Tab. 6.8 and 6.9: "of the same size", but for the positions of a longer sequence and of what stands before it."""
    params = build(f"ablations/{name}").abstract_params()
    positions = 3072 * 768 if name == "decoding:maskgit_2d" else 0
    assert count(params) - positions == pytest.approx(87.3e6, rel=0.01)


def test_magvit2_video():
    """5.4.2 and Tab. 5.1: K600 for 360 epochs, 12 steps; UCF-101 in 24 steps; temperature 32."""
    kinetics, ucf, noncausal = (load(name) for name in list(OTHERS)[:3])
    assert kinetics.training.steps == noncausal.training.steps == 360 * 384_000 // 256
    for config in (kinetics, noncausal):
        decoding = Decoding(**config.tasks.frame_prediction.decoding)
        assert decoding == DECODINGS["magvit2_kinetics600"]
        assert config.tasks.frame_prediction.settings.frames == 5
    assert Decoding(**ucf.tasks.class_conditional.decoding) == DECODINGS["magvit2_kinetics600_24"]
    assert active_tasks(ucf.tasks) == ("class_conditional",)
    assert changes("magvit2/masked_video:l", "magvit2/masked_video_noncausal:l") == {"data.frames"}
    grids = [build(f"magvit2/masked_video{name}:l").mixture for name in ("", "_noncausal")]
    assert [grid.exact for grid in grids] == [True, False]


def test_the_non_causal_tokenizer():
    """Tab. 5.1: MAGVIT-v2's codes and training, MAGVIT's network."""
    changed = changes("magvit2/video_tokenizer", "magvit2/noncausal_tokenizer")
    assert {key for key in changed if not key.startswith("model.")} == {"data.frames"}
    model = stand_in("magvit2/noncausal_tokenizer").model
    assert not model.causal and model.codebook_size == 2**18
    network = {
        key for key in changes("magvit/kinetics600:l", "magvit2/noncausal_tokenizer") if "model." in key
    }
    assert {key for key in network if "quantizer" not in key} == {"model.dtype"}


@pytest.mark.parametrize(
    ("variant", "decoding"),
    [
        ("256", "magvit2_imagenet_guided"),
        ("256_unguided", "magvit2_imagenet256"),
        ("512", "magvit2_imagenet_guided"),
        ("512_unguided", "magvit2_imagenet512"),
    ],
)
def test_imagenet(variant, decoding):
    """5.4.2: 1,080 epochs of batch 1,024, 10% of the labels dropped; 16x16 tokens in two factors of 2^9."""
    name = f"magvit2/masked_image:{variant}"
    config, system = load(name), build(name, 1000)
    pixels = int(variant[:3])
    assert (config.data.frames, config.data.height, config.data.width) == (1, pixels, pixels)
    assert config.data.batch_size == 1024 and config.training.steps == 1080 * 1_281_167 // 1024
    assert (config.data.source, config.data.flip) == ("image_folder", True)
    assert config.masking.class_dropout == 0.1
    assert Decoding(**config.tasks.class_conditional.decoding) == DECODINGS[decoding]
    assert count(system.abstract_params()) == pytest.approx(307e6, rel=0.01)
    ids = jax.ShapeDtypeStruct((2, 2 + 256), jnp.int32)
    logits = jax.eval_shape(system.transformer.apply, {"params": system.abstract_params()}, ids)
    assert logits.shape == (2, 256, 2, 512)


def test_rows_of_table_6_8():
    """What each row changes: the method, and the parts of the loss that are left out."""
    assert changes("magvit/bair_transformer:b", "ablations/masking:commit") == set()
    assert changes("magvit/bair_mt_transformer:b", "ablations/masking:commit_mt8") == set()
    parts = {
        "latent": (0.0, 1.0, 0.0),
        "prefix": (0.0, 1.0, 1.0),
        "mask": (0.0, 1.0, 0.0),
        "mask_recons": (0.0, 1.0, 1.0),
        "commit": (1.0, 1.0, 1.0),
    }
    assert set(variants("ablations/masking")) == {*parts, *(f"{row}_mt8" for row in parts if row != "prefix")}
    for variant in variants("ablations/masking"):
        row = variant.removesuffix("_mt8")
        config = load(f"ablations/masking:{variant}")
        weights = config.loss.part_weights
        assert (weights.refine, weights.mask, weights.reconstruct) == parts[row]
        assert config.masking.method == (row if row in ("latent", "prefix") else "commit")
        allowed = {"masking.method", "loss.part_weights.refine", "loss.part_weights.reconstruct"}
        assert (
            changes(f"ablations/masking:commit{variant[len(row) :]}", f"ablations/masking:{variant}")
            <= allowed
        )


def test_rows_of_table_6_9():
    for row, other in (("magvit", "commit"), ("maskgit_3d", "latent"), ("maskgit_2d", "latent")):
        assert changes(f"ablations/masking:{other}", f"ablations/decoding:{row}") == set()
    changed = changes("ablations/masking:prefix", "ablations/decoding:ar")
    assert {key.partition(".")[0] for key in changed} == {"system", "masking", "loss", "tasks"}
    assert all(".decoding." in key for key in changed if key.startswith("tasks."))
    assert count(stand_in("magvit/imagenet:l_64").abstract_params()) == 47_791_619
    assert build("ablations/decoding:ar").transformer.condition_length == 256


@pytest.mark.parametrize(
    "name", ["magvit/ssv2_transformer:b", "magvit2/masked_image:512", "ablations/decoding:ar"]
)
def test_a_whole_training_step_traces_and_is_sharded(name):
    """Forward, backward and update at paper size on a data x fsdp x tensor mesh; nothing is computed."""
    system, mesh, data = build(name), make_mesh(dict(data=2, fsdp=2, tensor=2)), load(name).data
    state = abstract_state(system, mesh)
    batch = dict(
        video=jax.ShapeDtypeStruct((4, data.frames, data.height, data.width, 3), jnp.uint8),
        label=jax.ShapeDtypeStruct((4,), jnp.int32),
        index=jax.ShapeDtypeStruct((4,), jnp.uint32),
    )
    with logical_context(mesh):
        key = jax.eval_shape(lambda: jax.random.key(0))
        after, metrics = jax.eval_shape(make_train_step(system), state, batch, key)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(
        lambda x: (x.shape, x.dtype), after
    )
    assert metrics["loss"].shape == ()
    spread = [x for x in jax.tree.leaves(state) if not x.sharding.is_fully_replicated]
    assert count(spread) > 0.99 * count(state)

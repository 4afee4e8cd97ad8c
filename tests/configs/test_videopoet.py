"""VideoPoet at its published sizes, under `eval_shape` only: parameters, lengths, mixtures, layouts on a mesh."""

import functools
import math
import types

import jax
import jax.numpy as jnp
import pytest

from magvit_jax import systems
from magvit_jax.aot.sound_tokenizer import AbstractSoundTokenizer
from magvit_jax.aot.tokenizer import AbstractTokenizer
from magvit_jax.cli.config_files import load_config, variants
from magvit_jax.errors import UserError
from magvit_jax.partitioning import logical_context, make_mesh
from magvit_jax.tokenizer.soundstream.codec import SoundStreamCodec
from magvit_jax.tokens.videopoet.mixtures import COLUMNS, TAB_8_1, row_weights
from magvit_jax.training.sharded import abstract_state
from magvit_jax.training.step import make_train_step

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

NAME = "videopoet/multimodal"
SOUND = AbstractSoundTokenizer(
    SoundStreamCodec(channels=32, strides=(2, 4, 5, 8), latent_dim=128, levels=4, codebook_size=1024), 16_000
)


class Latents:
    """A video tokenizer of the published shapes that traces at once."""

    codebook_size, compression, leading_frame, causal = 2**18, (4, 8, 8), True, True

    def latent_shape(self, frames, height, width):
        return 1 + frames // 4, height // 8, width // 8

    def apply(self, variables, video_BTHWC, method):
        return jnp.zeros((len(video_BTHWC), *self.latent_shape(*video_BTHWC.shape[1:4])), jnp.int32)

@functools.cache
def load(variant):
    return load_config(f"{NAME}:{variant}")


@functools.cache
def build(variant):
    config = load_config("magvit2/video_tokenizer")
    tokenizer = AbstractTokenizer.from_config(config.model, config.data)
    return systems.build(load(variant), tokenizer=tokenizer, sound=SOUND)


def count(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("size", "published", "without", "embedding"),
    [("300m", 3e8, 310_428_672, 306_089_600), ("1b", 1e9, 1_031_882_752, 611_880_576)]
    + [("8b", 8e9, 8_103_727_104, 1_223_462_528)],
)
def test_param_counts(size, published, without, embedding):
    """Without the embedding within 5% of the name (8.4.1); the embedding is tied, 298,624 rows and their biases."""
    params = build(size).abstract_params()
    assert count(params["embedding"]) == embedding == 298_624 * (load(size).model.width + 1)
    assert count(params) - count(params["embedding"]) == without == pytest.approx(published, rel=0.05)


def test_the_vocabulary_is_the_published_one():
    """8.4.6: 256 special ids, 2^18 visual, 4,096 audio, a small text vocabulary, "approximately 300,000"."""
    vocabulary = build("1b").vocabulary
    assert (vocabulary.visual_codes, vocabulary.audio_levels, vocabulary.audio_codes) == (2**18, 4, 1024)
    assert vocabulary.size == build("1b").transformer.vocabulary_size == 298_624
    assert build("1b").transformer.text_width == 2048 and load("1b").text.slots == 64


def test_sequences_have_the_published_lengths():
    """1,280 visual tokens, 424 of audio, 64 of text, and the special ones of Fig. 8.2."""
    lengths = {x.task.name: x.length for x in build("1b").evaluation.every.plan.layouts}
    begin = 2 + 66  # <bos> <task> <bot_i> text <eot_i>
    assert lengths["text_to_video"] == begin + 1280 + 3
    assert lengths["text_to_image"] == begin + 256 + 1
    assert lengths["inpainting"] == begin + 1280 + 2 + 1280 + 3
    assert lengths["stylization"] == begin + 2 * (1280 + 2) + 1280 + 3
    assert lengths["video_to_audio"] == lengths["audio_to_video"] == begin + 1280 + 2 + 424 + 3
    assert lengths["audio_video_continuation"] == begin + 1280 + 424 + 2 + 2 + 3 + 2


def test_most_columns_of_the_buckets_are_used():
    """Against one sequence a row, as long as the longest. Five images a row take no more room than a video."""
    system = build("1b")
    buckets, shares = system.rows.buckets, system.rows.shares
    used = sum(
        share * sum(w * x.length for w, x in zip(b.weights, b.plan.layouts, strict=True)) / sum(b.weights)
        for b, share in zip(buckets, shares, strict=True)
    )
    rows = sum(share / bucket.per_row for bucket, share in zip(buckets, shares, strict=True))
    assert used / (rows * max(bucket.row_length for bucket in buckets)) > 0.8
    assert used / (sum(shares) * max(x.length for b in buckets for x in b.plan.layouts)) < 0.5
    batch = load("1b").data.batch_size
    assert all(batch * share // sum(shares) % (64 * b.per_row) == 0 for b, share in zip(buckets, shares, strict=True))
    images = system.rows.images
    assert images.per_row == 5 and images.row_outputs == 1280
    assert {x.task.name for x in images.plan.layouts} == {"text_to_image"}


@pytest.mark.parametrize("row", TAB_8_1)
def test_rows_of_table_8_1(row):
    """Each column of the table weighs the same; images have batches of their own (8.3.4) where they are trained."""
    variant = {"T2V+I": "300m_t2v_i"}.get(row, f"300m_{row.lower()}")
    config, system = load(variant), build(variant)
    assert (config.training.steps, config.data.batch_size, config.optimizer.learning_rate) == (300_000, 1024, 1e-3)
    weights = {name: task.weight for name, task in config.tasks.items() if task.weight}
    expected, columns = row_weights(row), sum("T2I" != column for column in TAB_8_1[row])
    assert set(weights) == set(expected) == {name for column in TAB_8_1[row] for name in COLUMNS[column]}
    videos = [name for name in weights if name != "text_to_image"]
    for name in videos:
        assert weights[name] / columns == pytest.approx(expected[name])
    [bucket] = system.rows.buckets
    assert {x.task.name for x in bucket.plan.layouts} == set(videos) and bucket.per_row == 1
    assert (system.rows.images is not None) == ("T2I" in TAB_8_1[row])
    shares = tuple(config.data.images[name] for name in ("first_share", "image_first", "image_after"))
    assert shares == ((0.25, 0.9, 0.1) if "T2I" in TAB_8_1[row] else (0.0, 0.0, 0.0))


def test_every_variant_is_tried():
    tuned = {f"{size}_finetune" for size in ("300m", "1b", "8b")}
    rows = {f"300m_{row}" for row in ("t2v", "t2v_i", "ssl", "no_t2i", "all")}
    assert set(variants(NAME)) == tuned | rows | {"300m", "1b", "8b"}
    for variant in tuned:
        [bucket] = build(variant).rows.buckets
        assert [x.task.name for x in bucket.plan.layouts] == ["text_to_video"]
        whole = build(variant.removesuffix("_finetune"))
        assert count(build(variant).abstract_params()) == count(whole.abstract_params())


def test_a_whole_training_step_of_8b_traces_and_every_matrix_is_split():
    """Forward, backward and update on data x fsdp x tensor; heads, MLP and vocabulary divide by 16 (head layout)."""
    tokenizer = types.SimpleNamespace(model=Latents(), abstract_params=dict)
    system = systems.build(load("8b"), tokenizer=tokenizer, sound=SOUND)
    mesh = make_mesh(dict(data=2, fsdp=2, tensor=2))
    state = abstract_state(system, mesh)
    assert system.transformer.heads % 16 == system.transformer.mlp_dim % 16 == system.vocabulary.size % 16 == 0
    for path, x in jax.tree_util.tree_leaves_with_path(state.system.train.params):
        name = jax.tree_util.keystr(path)
        if x.ndim - ("stack" in name) > 1:
            axes = [axis for axis in jax.tree.leaves(tuple(x.sharding.spec)) if axis is not None]
            assert "tensor" in axes or "text_kernel" in name, name
            assert "fsdp" in axes or "bias" in name, name
    data, batch = load("8b").data, 64
    clip = jax.ShapeDtypeStruct((batch, data.frames, data.height, data.width, 3), jnp.uint8)
    known = dict(
        video=clip,
        flow=clip,
        depth=clip,
        audio=jax.ShapeDtypeStruct((batch, data.samples), jnp.float32),
        has_audio=jax.ShapeDtypeStruct((batch,), jnp.bool_),
        text_embedding=jax.ShapeDtypeStruct((batch, 64, 2048), jnp.float32),
        text_count=jax.ShapeDtypeStruct((batch,), jnp.int32),
        index=jax.ShapeDtypeStruct((batch,), jnp.uint32),
    )
    with logical_context(mesh):
        key = jax.eval_shape(lambda: jax.random.key(0))
        after, metrics = jax.eval_shape(make_train_step(system), state, {k: known[k] for k in system.data_keys}, key)
        with pytest.raises(UserError, match="bucket of 2 rows .inpainting, outpainting. does not divide by .* = 4"):
            fewer = {k: jax.ShapeDtypeStruct((32, *known[k].shape[1:]), known[k].dtype) for k in system.data_keys}
            jax.eval_shape(make_train_step(system), state, fewer, key)
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (state, after)]
    assert shapes[0] == shapes[1]
    assert metrics["loss"].shape == ()

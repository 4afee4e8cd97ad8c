"""VideoPoet's transformer: what a column sees, the cache against none, text. Packed rows: tests/systems."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from videopoet_example import CODES, VOCABULARY, plan_of

from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.tokens.videopoet import SEQUENCE_TASKS, build, build_prefix, merge_rows
from magvit_jax.transformer import MultimodalTransformer

SMALL = dict(
    vocabulary_size=VOCABULARY.size,
    text_width=0,
    width=16,
    layers=1,
    heads=4,
    kv_heads=2,
    head_width=6,
    mlp_dim=24,
    dtype=jnp.float32,
    scan_layers=False,
    remat="none",
)
TASKS = tuple(SEQUENCE_TASKS)
SLOTS = 3


def model(**changes):
    return MultimodalTransformer(**(SMALL | changes))


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@functools.cache
def batch(tasks=TASKS):
    """One example of each task, with 0 to 3 words, some with a source: (plan, arguments of build)."""
    plan, rng, count = plan_of(*tasks, text_slots=SLOTS), np.random.default_rng(0), len(tasks)
    codes = {}
    for source, code in CODES.items():
        low, high = (-1, 16) if source == "masked" else (0, 8 if source == "audio" else 16)
        codes[source] = jnp.asarray(rng.integers(low, high, (count, *code.shape[1:])), jnp.int32)
    given = dict(
        text_count_B=jnp.asarray(np.arange(count) % 4, jnp.int32),
        text_BT=jnp.asarray(rng.integers(0, 10, (count, SLOTS)), jnp.int32),
        source_B=jnp.asarray(np.arange(count) % 3 - 1, jnp.int32),
    )
    codes = {source: codes[source] for source in plan.needs}
    return plan, (jnp.arange(count, dtype=jnp.int32), codes), given


def sequences_of(tasks=TASKS):
    plan, arguments, given = batch(tasks)
    return build(plan, *arguments, **given)


@functools.cache
def parameters(module):
    """Random in every array, norms included."""
    text = None
    if module.text_width:
        text = jax.ShapeDtypeStruct((len(TASKS), SLOTS, module.text_width), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), sequences_of(), text)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), jnp.float32), unbox(shapes))


@functools.cache
def whole(module):
    """Logits of every column of one example of each task, [B, L, V]."""
    apply = jax.jit(lambda p, sequences: module.apply({"params": p}, sequences, None))
    return np.asarray(apply(parameters(module), sequences_of()))


def test_cached_logits_are_those_of_the_whole_sequence_for_every_task():
    """Prefixes of many lengths in one batch."""
    module, (plan, arguments, given) = model(scan_layers=True, layers=2), batch()
    sequences, prefix = sequences_of(), build_prefix(plan, *arguments, **given)
    assert len(set(np.asarray(prefix.segment_BL.sum(axis=1)).tolist())) > 5

    def decode(params, outputs_BO):
        first, cache = module.apply({"params": params}, prefix, None, plan.output_length, method="prefill")

        def step(cache, ids_B):
            logits, cache = module.apply({"params": params}, ids_B, cache, method="step")
            return cache, logits

        _, rest = jax.lax.scan(step, cache, outputs_BO.T[:-1])
        return jnp.concatenate([first[None], rest])[:, :, 0].swapaxes(0, 1)

    found = np.asarray(jax.jit(decode)(parameters(module), sequences.ids_BL[:, plan.prefix_length :]))
    expected = whole(module)[:, plan.prefix_length - 1 : -1]
    targets = np.asarray(sequences.is_target_BL)[:, plan.prefix_length - 1 : -1]
    assert found.shape == expected.shape and targets.sum(axis=1).min() >= 2
    np.testing.assert_allclose(found[targets], expected[targets], rtol=2e-4, atol=2e-5)


def influence(sequences):
    """bool [B, L, L]: whether what stands in the second column moves the state of the first, exactly."""
    module = model()
    bound = module.bind({"params": parameters(module)})
    x_BLD = bound.embedding.embed(sequences.ids_BL)

    def states(x_BLD):
        # One number a column: a sum over the width whose weights no symmetry of the network makes cancel.
        return jnp.einsum("bld,d->bl", bound._hidden(x_BLD, sequences, None), jnp.arange(1.0, 17.0) ** 0.5)

    def of_column(column):
        _, pull = jax.vjp(states, x_BLD)
        one_L = (jnp.arange(x_BLD.shape[1]) == column).astype(jnp.float32)
        return pull(jnp.broadcast_to(one_L[None], x_BLD.shape[:2]))[0]

    # One after the other: XLA on a CPU gave other numbers for all of them at once, jitted, than one by one.
    slopes = jax.jit(lambda columns: jax.lax.map(of_column, columns))(jnp.arange(x_BLD.shape[1]))
    return np.any(np.asarray(slopes) != 0, axis=-1).swapaxes(0, 1)


def sees_by_definition(sequences):
    """bool [B, L, L]: of the same sequence, in its prefix or not after the column; unused columns only themselves."""
    segment = np.asarray(sequences.segment_BL)
    column = np.arange(segment.shape[1])
    used = (segment > 0)[:, :, None] & (segment > 0)[:, None]
    same = segment[:, :, None] == segment[:, None]
    in_prefix = column[None, None] < np.asarray(sequences.prefix_B)[:, None, None]
    return used & same & (in_prefix | (column[None, :, None] >= column[None, None])) | np.eye(len(column), dtype=bool)


def test_a_column_sees_its_prefix_and_its_own_past_alone():
    """Exactly zero for later outputs, for padding, for what padding sees, and between the sequences of a row."""
    tasks = ("text_to_image", "audio_video_continuation", "unconditional", "inpainting")
    sequences, plan = sequences_of(tasks), batch(tasks)[0]
    sequences = merge_rows(sequences, 2, prefix_length=plan.prefix_length, text_slots=SLOTS)
    found, expected = influence(sequences), sees_by_definition(sequences)
    assert 0.05 < expected.mean() < 0.6  # there is something to see, and something to hide
    np.testing.assert_array_equal(found, expected)


def test_what_an_unused_column_holds_changes_nothing():
    sequences = sequences_of()
    used = np.asarray(sequences.segment_BL) > 0
    assert 0.2 < used.mean() < 0.9
    other = sequences._replace(ids_BL=jnp.where(used, sequences.ids_BL, 17))
    module = model()
    apply = jax.jit(lambda p, sequences: module.apply({"params": p}, sequences, None))
    np.testing.assert_array_equal(np.asarray(apply(parameters(module), other))[used], whole(module)[used])


def test_text_embeddings_stand_in_the_text_slots_that_are_used():
    module, sequences = model(text_width=5), sequences_of()
    text = jnp.asarray(np.random.default_rng(1).normal(size=(len(TASKS), SLOTS, 5)), jnp.float32)

    def score(text, sequences):
        logits_BLV = module.apply({"params": parameters(module)}, sequences, text)
        return jnp.sum(jnp.where(sequences.is_target_BL, logits_BLV[:, :, 20], 0.0))

    slopes = jax.jit(jax.grad(score))
    moves = np.any(np.asarray(slopes(text, sequences)) != 0, axis=-1)
    words = np.asarray(batch()[2]["text_count_B"])
    np.testing.assert_array_equal(moves, np.arange(SLOTS)[None] < words[:, None])
    # They take the place of the text's ids.
    is_text = sequences.text_slot_BL >= 0
    other = sequences._replace(ids_BL=jnp.where(is_text, VOCABULARY.text_start, sequences.ids_BL))
    assert (np.asarray(other.ids_BL) != np.asarray(sequences.ids_BL)).any()
    np.testing.assert_array_equal(slopes(text, other), slopes(text, sequences))


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        (dict(text_width=5), None, r"text embeddings None: expected \[11, T, 5\], of text_width"),
        (dict(text_width=5), (11, 3, 4), r"text embeddings \(11, 3, 4\): expected \[11, T, 5\]"),
        (dict(text_width=5), (2, 3, 5), r"text embeddings \(2, 3, 5\): expected \[11, T, 5\]"),
        (dict(), (11, 3, 5), "a model of text_width=0 takes none"),
        (dict(kv_heads=3), None, "4 heads on 3 kv_heads of head_width 6"),
        (dict(remat="some"), None, "model.remat: 'some'; expected one of none, dots, full"),
    ],
)
def test_what_cannot_be_is_refused(changes, text, message):
    module = model(**changes)
    text = None if text is None else jnp.zeros(text)
    with pytest.raises(UserError, match=message):
        jax.eval_shape(module.init, jax.random.key(0), sequences_of(), text)

"""Decoding of every task in one batch: with a cache and without, under guidance, alone, and of ids that may come."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
import tiny_multimodal as tiny

from magvit_jax.generation.multimodal_ids import Prefixes, generate_ids, with_outputs
from magvit_jax.tokens.videopoet import Plan, build_prefix, next_ranges, parse, restrict

COUNT = len(tiny.TASKS)
GREEDY = dataclasses.replace(tiny.DECODING, temperature=0.0)
GUIDED = dataclasses.replace(GREEDY, guidance_scale=2.5)
SAMPLED = dataclasses.replace(tiny.DECODING, temperature=4.0, top_k=30, top_p=0.99)


@pytest.fixture(scope="module")
def generator():
    return tiny.generator()


@pytest.fixture(scope="module")
def plan(generator):
    """The layouts of all tasks: prefixes and outputs of many lengths."""
    layouts = [generator.plan(task, 2 if task == "frame_prediction" else None).layouts[0] for task in tiny.TASKS]
    return Plan(tuple(layouts), generator.vocabulary)


def prefixes(plan, rows=slice(None)):
    """One example of each task, with 0 to 4 words, and a source or none."""
    rng = np.random.default_rng(0)
    codes = tiny.true_codes(COUNT)
    codes["masked"] = jnp.where(jnp.asarray(rng.random((COUNT, 3, 2, 2)) < 0.5), -1, codes["masked"])
    whole = Prefixes(
        index_B=jnp.arange(COUNT, dtype=jnp.int32),
        codes={name: codes[name] for name in plan.needs},
        text_count_B=jnp.asarray(np.arange(COUNT) % 5, jnp.int32),
        text_BT=jnp.asarray(rng.integers(1, 7, (COUNT, tiny.SLOTS)), jnp.int32),
        text_BTE=None,
        source_B=jnp.asarray(np.arange(COUNT) % 3 - 1, jnp.int32),
        keys_B=jax.random.split(jax.random.key(3), COUNT),
    )
    return jax.tree.map(lambda x: x[rows], whole)


@pytest.fixture(scope="module")
def decode(generator, plan):
    """(settings, rows) -> ids, every program compiled once."""
    done = {}

    def run(decoding, rows=slice(None)):
        key = (decoding, rows.start, rows.stop)
        if key not in done:
            with tiny_models.quick_compilation():
                jitted = jax.jit(generate_ids, static_argnums=(0, 2, 3))
                ids_BO = jitted(generator.transformer, generator.params, plan, decoding, prefixes(plan, rows))
                done[key] = np.asarray(ids_BO)
        return done[key]

    return run


def own(plan, index, ids_BO, row=None):
    """The ids of an example's own output."""
    return ids_BO[index if row is None else row, : plan.layouts[index].output_length]


def test_a_cache_changes_no_token_of_any_task(plan, decode):
    cached, uncached = decode(GREEDY), decode(dataclasses.replace(GREEDY, cached=False))
    for index, task in enumerate(tiny.TASKS):
        found = own(plan, index, cached)
        np.testing.assert_array_equal(found, own(plan, index, uncached), err_msg=task)
        assert len(set(found.tolist())) > 2  # not one token over and over


@pytest.mark.parametrize("decoding", [SAMPLED, GUIDED])
def test_nothing_comes_but_what_may_come(generator, plan, decode, decoding):
    """Every output is of its own grammar and modality, however flat or steep the distribution is made."""
    ids_BO = decode(decoding)
    given = prefixes(plan)
    ranges_BO2 = np.asarray(next_ranges(plan, given.index_B))
    used = ranges_BO2[..., 1] > 0
    assert ((ids_BO >= ranges_BO2[..., 0]) & (ids_BO < ranges_BO2[..., 1]))[used].all()
    assert not ids_BO[~used].any() and not used.all()  # <pad> behind shorter outputs
    sequences = prefix_of(plan, given)
    for index, task in enumerate(tiny.TASKS):
        begin = np.asarray(sequences.ids_BL[index])[np.asarray(sequences.segment_BL[index]) > 0]
        said = parse(np.concatenate([begin, own(plan, index, ids_BO)]), generator.vocabulary)
        kinds = [part.kind for part in plan.layouts[index].task.outputs]
        assert [kind for kind, _ in said.outputs] == kinds and said.ended == (task != "text_to_image")
        assert len(said.text) == index % 5


def prefix_of(plan, given, text=True):
    return build_prefix(
        plan,
        given.index_B,
        given.codes,
        text_count_B=given.text_count_B if text else jnp.zeros_like(given.text_count_B),
        text_BT=given.text_BT,
        source_B=given.source_B,
    )


def test_guidance_is_by_the_text_and_does_nothing_without(generator, plan, decode):
    """Every token is the likeliest by l + s (l - u) of whole sequences with and without their text."""
    given, ids_BO = prefixes(plan), decode(GUIDED)

    @jax.jit
    def likeliest(params, ids_BO):
        logits = []
        for text in (True, False):
            sequences = with_outputs(prefix_of(plan, given, text), ids_BO[:, :-1])
            logits_BLV = generator.transformer.apply({"params": params}, sequences, None)
            logits.append(logits_BLV[:, plan.prefix_length - 1 :])
        guided_BOV = logits[0] + GUIDED.guidance_scale * (logits[0] - logits[1])
        return jnp.argmax(restrict(guided_BOV, next_ranges(plan, given.index_B)), axis=-1)

    with tiny_models.quick_compilation():
        expected = np.asarray(likeliest(generator.params, ids_BO))
    plain, differing = decode(GREEDY), []
    for index, words in enumerate(np.asarray(given.text_count_B)):
        np.testing.assert_array_equal(own(plan, index, ids_BO), own(plan, index, expected))
        same = np.array_equal(own(plan, index, ids_BO), own(plan, index, plain))
        assert same or words  # without text both branches are one
        differing.append(not same)
    assert sum(differing) > 3


def test_an_example_is_the_same_alone_and_in_a_batch(plan, decode):
    sampled, rows = decode(SAMPLED), slice(4, 6)
    alone = decode(SAMPLED, rows)
    for row, index in enumerate(range(rows.start, rows.stop)):
        np.testing.assert_array_equal(own(plan, index, alone, row), own(plan, index, sampled))
    assert not np.array_equal(own(plan, 4, sampled), own(plan, 4, decode(GREEDY)))  # it was drawn

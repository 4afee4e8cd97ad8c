"""Ids of the autoregressive transformer, with its cache and without, against a plain loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import partitioning
from magvit_jax.generation import masked
from magvit_jax.generation.autoregressive import TokenwiseDecoding, generate_ids
from magvit_jax.generation.masked import Conditions
from magvit_jax.generation.settings import Decoding
from magvit_jax.tokens import Vocabulary
from magvit_jax.tokens.prefix import pack
from magvit_jax.transformer import AutoregressiveTransformer, MaskedTransformer

BATCH, TOKENS, CODES = 3, 6, 16
VOCABULARY = Vocabulary(codes=CODES, num_classes=2, tasks=("one", "two"))
KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(jnp.arange(BATCH))
REGION = jnp.asarray([[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0], [0] * 6], bool)
CONDITION_IDS = jnp.asarray(np.random.default_rng(1).integers(0, CODES, (BATCH, TOKENS)), jnp.int32)
GREEDY = TokenwiseDecoding(temperature=0.0, top_k=0, top_p=1.0, guidance_scale=0.0, cached=True)


def transformer(slots=2, factors=2, network=AutoregressiveTransformer):
    module = network(
        codes=CODES,
        num_special=VOCABULARY.num_special,
        factors=factors,
        width=16,
        layers=1,
        heads=2,
        mlp_dim=16,
        max_length=2 + TOKENS,
        condition_length=slots,
    )
    condition = pack(CONDITION_IDS, REGION, slots) if slots else None
    ids = jnp.zeros((BATCH, 2 + TOKENS), jnp.int32)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), ids, condition=condition))["params"]
    rng = np.random.default_rng(0)
    spread = dict(kernel=0.6, embedding=1.0, scale=0.0, bias=0.0)

    def random(path, x):
        """Large where it depends on the input, so that different inputs have different best ids."""
        kind = path[-1].key.split("_")[-1]
        return jnp.asarray(rng.normal(kind == "scale", spread[kind], x.shape), jnp.float32)

    return module, jax.tree_util.tree_map_with_path(random, partitioning.unbox(shapes))


def conditions(keep, rows=slice(None), labels=(0, -1, 1)):
    return Conditions(
        prompt_B=jnp.asarray([0, 1, 1], jnp.int32)[rows],
        label_B=jnp.asarray(labels, jnp.int32)[rows],
        condition_BN=CONDITION_IDS[rows],
        region_BN=REGION[rows],
        keep_B=jnp.full((BATCH,), keep)[rows],
        keys_B=KEYS[rows],
    )


def generate(module, params, decoding=GREEDY, keep=False, rows=slice(None), labels=(0, -1, 1)):
    return np.asarray(generating(module, decoding)(params, conditions(keep, rows, labels)))


@functools.cache
def generating(module, decoding):
    return jax.jit(lambda params, given: generate_ids(module, params, VOCABULARY, decoding, given))


@functools.cache
def jitted(module):
    return jax.jit(lambda params, ids, condition: module.apply({"params": params}, ids, condition=condition))


def plain(module, params, rows=slice(None), labels=(0, -1, 1), scale=0.0):
    """Arg max, one token after the other, each from a pass over nothing but what is known already."""

    def logits(ids, label):
        prefix = VOCABULARY.prefix(jnp.asarray([0, 1, 1], jnp.int32)[rows], jnp.asarray(label, jnp.int32)[rows])
        seen = pack(CONDITION_IDS[rows], REGION[rows], 2)
        sequence = jnp.concatenate([prefix, jnp.asarray(ids, jnp.int32)], axis=1)
        return np.asarray(jitted(module)(params, sequence, seen))[:, -1]

    ids = np.zeros((len(CONDITION_IDS[rows]), 0), np.int32)
    for _ in range(TOKENS):
        with_class = logits(ids, labels)
        guided = with_class + scale * (with_class - logits(ids, (-1, -1, -1)))
        best = guided.argmax(-1)
        ids = np.concatenate([ids, (best[:, 0] + 4 * best[:, 1])[:, None]], axis=1)
    return ids


def test_arg_max_equals_a_plain_loop_with_and_without_the_cache():
    module, params = transformer()
    expected = plain(module, params)
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(generate(module, params), expected)
    uncached = TokenwiseDecoding(0.0, 0, 1.0, 0.0, cached=False)
    np.testing.assert_array_equal(generate(module, params, uncached), expected)


def test_guidance_equals_a_plain_loop_over_both_branches():
    module, params = transformer()
    expected = plain(module, params, scale=3.0)
    assert np.any(expected != plain(module, params))
    for cached in (True, False):
        got = generate(module, params, TokenwiseDecoding(0.0, 0, 1.0, 3.0, cached))
        np.testing.assert_array_equal(got, expected)


def test_an_example_does_not_depend_on_its_batch():
    module, params = transformer()
    decoding = TokenwiseDecoding(1.0, 0, 1.0, 0.0, True)
    whole = generate(module, params, decoding)
    for row in range(BATCH):
        np.testing.assert_array_equal(generate(module, params, decoding, rows=slice(row, row + 1))[0], whole[row])
    assert np.any(whole != generate(module, params))


def test_exact_condition_tokens_are_kept_and_what_follows_follows_from_them():
    module, params = transformer()
    free, kept = generate(module, params), generate(module, params, keep=True)
    region, given = np.asarray(REGION), np.asarray(CONDITION_IDS)
    np.testing.assert_array_equal(kept[region], given[region])
    assert np.any(free[region] != given[region])
    np.testing.assert_array_equal(kept[2], free[2])  # nothing is given
    np.testing.assert_array_equal(kept[1, :2], free[1, :2])  # before the first given token
    assert np.any(kept[:2][~region[:2]] != free[:2][~region[:2]])


@pytest.mark.parametrize("keep", [False, True])
def test_with_a_prefix_condition_parallel_decoding_starts_from_masks(keep):
    module, params = transformer(network=MaskedTransformer)
    decoding = Decoding(
        steps=3, schedule="cosine", temperature=0.0, sampling_temperature=0.0, guidance_scale=2.0
    )
    run = jax.jit(lambda params, given: masked.generate_ids(module, params, VOCABULARY, decoding, given, True))
    ids_BN, states = run(params, conditions(keep))
    seen_BN, region_BN = np.asarray(states.inputs_KBN[0]), np.asarray(REGION) & keep
    np.testing.assert_array_equal(seen_BN[region_BN], np.asarray(CONDITION_IDS)[region_BN])
    np.testing.assert_array_equal(seen_BN[~region_BN], VOCABULARY.mask_id)
    assert np.all(np.asarray(ids_BN) < CODES)
    # The condition is seen all the same, where there is one.
    other = conditions(keep)._replace(condition_BN=(CONDITION_IDS + 5) % CODES)
    first_BN, changed_BN = (np.asarray(x.ids_KBN[0]) for x in (states, run(params, other)[1]))
    free_BN = ~region_BN
    assert np.any((first_BN != changed_BN)[:2] & free_BN[:2]) and not np.any((first_BN != changed_BN)[2])


def test_without_slots_there_is_no_condition():
    module, params = transformer(slots=0, factors=1)
    got = generate(module, params)
    assert got.shape == (BATCH, TOKENS) and got.min() >= 0 and got.max() < CODES

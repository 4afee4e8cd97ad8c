"""The autoregressive transformer: what it may see, its cache against none, and its size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

from magvit_jax import partitioning
from magvit_jax.errors import UserError
from magvit_jax.tokens.prefix import Condition
from magvit_jax.transformer import AutoregressiveTransformer, MaskedTransformer

TOKENS = 9
SMALL = dict(codes=16, num_special=5, factors=2, width=16, layers=2, heads=2, mlp_dim=24, max_length=2 + TOKENS)
SIZES = dict(B=(768, 12, 12, 3072), L=(1024, 24, 16, 4096), H=(1280, 32, 16, 5120))
IDS = jnp.asarray(np.random.default_rng(0).integers(0, 16, (3, 1 + TOKENS)), jnp.int32)
IDS = IDS.at[:, 0].set(20).at[:, 1].set(17)
CONDITION = Condition(
    ids_BM=jnp.asarray([[3, 9, 1, 0], [4, 4, 7, 2], [0, 0, 0, 0]], jnp.int32),
    place_BM=jnp.asarray([[0, 4, 8, 1], [2, 3, 5, 6], [1, 2, 3, 4]], jnp.int32),
    used_BM=jnp.asarray([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool),
)


def model(network=AutoregressiveTransformer, **changes):
    return network(**(SMALL | dict(dropout=0.0, attention_dropout=0.0) | changes))


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@functools.cache
def parameters(module):
    """Random in every array, biases and norms included."""
    condition = CONDITION if module.condition_length else None
    shapes = jax.eval_shape(module.init, jax.random.key(0), IDS, condition=condition)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), jnp.float32), partitioning.unbox(shapes))


@pytest.mark.parametrize("slots", [0, 4])
@pytest.mark.parametrize("scan_layers", [False, True])
def test_cached_logits_are_those_of_the_whole_sequence(slots, scan_layers):
    module = model(condition_length=slots, scan_layers=scan_layers)
    params, condition = parameters(module), CONDITION if slots else None
    whole_BNFV = jax.jit(lambda p: module.apply({"params": p}, IDS, condition=condition))(params)
    assert whole_BNFV.shape == (3, TOKENS, 2, 4)

    def decode(params):
        first, cache = module.apply({"params": params}, IDS[:, :2], TOKENS, condition, method="prefill")

        def step(cache, ids_B):
            logits, cache = module.apply({"params": params}, ids_B, cache, method="step")
            return cache, logits

        cache, rest = jax.lax.scan(step, cache, IDS[:, 2:].T)
        return jnp.concatenate([first[None], rest]).swapaxes(0, 1), cache

    cached_BNFV, cache = jax.jit(decode)(params)
    np.testing.assert_allclose(cached_BNFV, whole_BNFV, atol=1e-5)
    assert int(cache.length) == slots + 1 + TOKENS
    sizes = sorted(x.size for x in jax.tree.leaves(cache.layers))
    assert sum(sizes) == 2 * 2 * 3 * 16 * (slots + 2 + TOKENS)  # keys and values, layers, examples, width, length


def seen_by(module, position, condition=None):
    """Norms of the gradient of one token's logits, with respect to what is read at every position."""
    params = parameters(module)

    def logits(x_BLD):
        embed = type(module)._embed
        patched = type("Patched", (type(module),), {"_embed": lambda self, *a: embed(self, *a) + x_BLD})
        fields = {name: getattr(module, name) for name in (*SMALL, "condition_length", "dropout", "attention_dropout")}
        out = patched(**fields).apply({"params": params}, IDS, condition=condition)
        return jnp.sum(jnp.sin(out[:, position]))

    shape = (3, module.condition_length + IDS.shape[1], SMALL["width"])
    return np.linalg.norm(jax.jit(jax.grad(logits))(jnp.zeros(shape)), axis=-1)


@pytest.mark.parametrize("position", [0, 4, TOKENS - 1])
def test_a_token_depends_on_what_stands_before_it_only(position):
    norms_BL = seen_by(model(), position)
    assert np.all(norms_BL[:, : 2 + position] > 1e-6)
    assert not np.any(norms_BL[:, 2 + position :])  # exactly


def test_unused_slots_of_the_condition_are_seen_by_nothing():
    norms_BL = seen_by(model(condition_length=4), 5, CONDITION)
    used_BM = np.asarray(CONDITION.used_BM)
    assert np.all(norms_BL[:, :4][used_BM] > 1e-6) and not np.any(norms_BL[:, :4][~used_BM])
    assert np.all(norms_BL[:, 4 : 4 + 7] > 1e-6)


@pytest.mark.parametrize("network", [AutoregressiveTransformer, MaskedTransformer])
def test_a_condition_token_is_its_id_at_its_place(network):
    module = model(network, condition_length=4)
    params = parameters(module)
    apply = jax.jit(lambda p, c: module.apply({"params": p}, IDS, condition=c))
    base = np.asarray(apply(params, CONDITION))
    assert np.all(np.isfinite(base))
    for name, row, slot in (("ids_BM", 0, 2), ("place_BM", 1, 0)):
        changed = CONDITION._replace(**{name: getattr(CONDITION, name).at[row, slot].set(7)})
        moved = np.abs(apply(params, changed) - base).max(axis=(1, 2, 3))
        assert moved[row] > 1e-4 and not np.any(np.delete(moved, row))
    hidden = CONDITION._replace(ids_BM=CONDITION.ids_BM.at[0, 3].set(5), place_BM=CONDITION.place_BM.at[0, 3].set(5))
    np.testing.assert_array_equal(apply(params, hidden), base)
    # The row that tells a condition token from a visual one at the same place.
    other = params | {"condition_embedding": -params["condition_embedding"]}
    moved = np.abs(apply(other, CONDITION) - base).max(axis=(1, 2, 3))
    assert np.all(moved[:2] > 1e-4) and moved[2] == 0


def test_the_order_of_condition_slots_means_nothing_to_the_masked_transformer():
    module = model(MaskedTransformer, condition_length=4)
    apply = jax.jit(lambda c: module.apply({"params": parameters(module)}, IDS, condition=c))
    order = jnp.asarray([2, 0, 3, 1])
    np.testing.assert_allclose(apply(Condition(*(x[:, order] for x in CONDITION))), apply(CONDITION), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_param_count_is_that_of_the_masked_transformer(size):
    width, layers, heads, mlp_dim = SIZES[size]
    fields = dict(codes=1024, num_special=12, factors=1, width=width, layers=layers, heads=heads, mlp_dim=mlp_dim)
    ids, key = jax.ShapeDtypeStruct((1, 1025), jnp.int32), jax.random.key(0)
    slots = Condition(*(jax.ShapeDtypeStruct((1, 768), dtype) for dtype in (jnp.int32, jnp.int32, jnp.bool_)))
    counts = []
    for network, more, condition in (
        (MaskedTransformer, {}, None),
        (AutoregressiveTransformer, dict(condition_length=768), slots),
    ):
        module = network(max_length=1026, **fields, **more)
        shapes = jax.eval_shape(module.init, key, ids, condition=condition)
        counts.append(sum(x.size for x in jax.tree.leaves(shapes)))
    assert counts[1] == counts[0] + width
    assert abs(counts[1] / 1e6 - dict(B=87, L=305, H=634)[size]) < 0.01 * counts[1] / 1e6
    # The cache is linear in the length.
    prefix = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    prefill = functools.partial(module.apply, method="prefill", num_tokens=1024)
    logits, cache = jax.eval_shape(lambda v, p, c: prefill(v, p, condition=c), shapes, prefix, slots)
    assert logits.shape == (1, 1, 1024)
    assert sum(x.size for x in jax.tree.leaves(cache.layers)) == 2 * layers * width * (768 + 2 + 1024)


def test_sharded_decoding_gives_the_same_logits():
    module = model(condition_length=4)
    mesh = partitioning.make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    condition = Condition(*(jnp.concatenate([x, x[:1]]) for x in CONDITION))
    ids = jnp.concatenate([IDS, IDS[:1]])
    boxed = jax.eval_shape(functools.partial(module.init, condition=condition), jax.random.key(0), ids)["params"]

    @jax.jit
    def two_tokens(params, ids_BL, condition):
        first, cache = module.apply({"params": params}, ids_BL[:, :2], TOKENS, condition, method="prefill")
        second, cache = module.apply({"params": params}, ids_BL[:, 2], cache, method="step")
        return first, second, cache.layers[0].k_BNSE

    expected = two_tokens(parameters(module), ids, condition)
    with partitioning.logical_context(mesh):
        placed = jax.device_put(parameters(module), partitioning.state_shardings(boxed, mesh))
        over_batch = partitioning.batch_sharding(mesh)
        got = two_tokens(placed, *jax.device_put((ids, condition), over_batch))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert got[2].addressable_shards[0].data.shape == (1, 1, 4 + 2 + TOKENS, 8)  # batch over 4, heads over tensor


def test_mistakes_are_named():
    module = model(condition_length=4)
    with pytest.raises(UserError, match="0 slots of condition tokens: expected condition_length=4"):
        module.apply({"params": parameters(module)}, IDS)
    with pytest.raises(UserError, match="at least 0 visual tokens"):
        jax.eval_shape(model().init, jax.random.key(0), IDS[:, :1])
    with pytest.raises(UserError, match="max_length=11"):
        jax.eval_shape(model().init, jax.random.key(0), jnp.zeros((1, 12), jnp.int32))

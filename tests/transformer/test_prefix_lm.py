"""The prefix language model: what it may see, its cache against none, its positions, and its size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

from magvit_jax import partitioning
from magvit_jax.aot import hlo_text, values
from magvit_jax.aot.hlo import count
from magvit_jax.errors import UserError
from magvit_jax.nn.rotary import rotate
from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh, state_shardings
from magvit_jax.tokens.prefix import Condition
from magvit_jax.transformer import PrefixLanguageModel
from magvit_jax.transformer.base import used_segments
from magvit_jax.transformer.embedding import tied_logits
from magvit_jax.transformer.loss import accuracy, chunked_scores, token_cross_entropy

TOKENS = 9
SMALL = dict(
    codes=16,
    num_special=5,
    factors=2,
    width=16,
    layers=2,
    heads=4,
    kv_heads=2,
    head_width=6,
    mlp_dim=24,
    max_length=2 + TOKENS,
    condition_length=0,
    dtype=jnp.float32,
    scan_layers=False,
    remat="none",
)
IDS = jnp.asarray(np.random.default_rng(0).integers(0, 16, (3, 1 + TOKENS)), jnp.int32)
IDS = IDS.at[:, 0].set(20).at[:, 1].set(17)
CONDITION = Condition(
    ids_BM=jnp.asarray([[3, 9, 1, 0], [4, 4, 7, 2], [0, 0, 0, 0]], jnp.int32),
    place_BM=jnp.asarray([[0, 4, 8, 1], [2, 3, 5, 6], [1, 2, 3, 4]], jnp.int32),
    used_BM=jnp.asarray([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool),
)


def model(**changes):
    return PrefixLanguageModel(**(SMALL | changes))


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@functools.cache
def parameters(module):
    """Random in every array, norms included."""
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

        _, rest = jax.lax.scan(step, cache, IDS[:, 2:].T)
        return jnp.concatenate([first[None], rest]).swapaxes(0, 1)

    np.testing.assert_allclose(jax.jit(decode)(params), whole_BNFV, rtol=2e-4, atol=2e-5)


def stack_layers(params):
    layers = [params[f"stack_{index}"] for index in range(2)]
    rest = {name: value for name, value in params.items() if not name.startswith("stack_")}
    return rest | {"stack": jax.tree.map(lambda *x: jnp.stack(x), *layers)}


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
def test_scanned_and_rematerialised_layers_have_the_same_slopes(remat):
    def slopes(module, params):
        return jax.jit(jax.grad(lambda p: jnp.sum(module.apply({"params": p}, IDS)[..., 0] ** 2)))(params)

    params = parameters(model())
    expected = stack_layers(slopes(model(), params))
    found = slopes(model(scan_layers=True, remat=remat), stack_layers(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), found, expected)


def test_remat_keeps_less_for_the_way_back():
    def kept(remat):
        """Numbers that the forward pass leaves to the backward pass."""
        module = model(remat=remat)
        _, pull = jax.vjp(lambda p: module.apply({"params": p}, IDS), parameters(module))
        return sum(x.size for x in jax.tree.leaves(pull))

    assert kept("full") < 0.8 * kept("dots") < 0.8 * 0.8 * kept("none")


def test_a_condition_token_stands_at_its_place_among_the_visual_tokens():
    bound = model(condition_length=4).bind({"params": parameters(model(condition_length=4))})
    x_BLD = jnp.zeros((3, 4 + IDS.shape[1], 16))
    _, position_BL = bound._place(x_BLD, CONDITION, 0)
    visual_BN = np.asarray(position_BL[:, 4 + 2 :])
    assert visual_BN.shape == (3, TOKENS - 1)
    beside = np.take_along_axis(visual_BN, np.minimum(CONDITION.place_BM, TOKENS - 2), axis=1)
    # Of each token the position of the visual token at the same place, the last of which is not an input.
    np.testing.assert_array_equal(position_BL[:, :4] - beside, np.asarray(CONDITION.place_BM) == TOKENS - 1)


def influence(slots):
    """bool [inputs, N]: whether the embedding of a place of the sequence moves the logits of a visual token."""
    module = model(condition_length=slots, factors=1, layers=1)
    condition = jax.tree.map(lambda x: x[:1], CONDITION) if slots else None
    params, ids = parameters(module), IDS[:1]

    def logits(change_LD):
        bound = module.bind({"params": params})
        place = bound._place

        def changed(*arguments):
            x_BLD, position_BL = place(*arguments)
            return x_BLD + change_LD[None], position_BL

        object.__setattr__(bound, "_place", changed)
        return bound(ids, condition=condition)[0, :, 0, 0]

    slopes = jax.jacrev(logits)(jnp.zeros((slots + ids.shape[1], module.width)))
    return np.any(np.asarray(slopes) != 0, axis=-1).T


@pytest.mark.parametrize("slots", [0, 4])
def test_the_output_sees_the_prefix_and_its_own_past_alone(slots):
    seen = influence(slots)
    place = np.arange(seen.shape[0])[:, None] - slots - 2  # of an input among the visual tokens; below 0 the prefix
    expected = place < np.arange(TOKENS)[None]
    if slots:
        expected[:4] = np.asarray(CONDITION.used_BM[0])[:, None]  # an unused slot moves nothing
    np.testing.assert_array_equal(seen, expected)


def test_the_prefix_sees_itself_whole():
    module = model(condition_length=4)
    params = parameters(module)

    def states(ids):
        """Of the condition tokens, after all layers."""
        bound = module.bind({"params": params})
        x_BLD, position_BL = bound._place(bound.embedding.embed(bound._ids(ids, CONDITION)), CONDITION, 0)
        segment_BL = used_segments(CONDITION, x_BLD.shape[:2])
        x_BLD, _ = bound._decode(x_BLD, position_BL, bound._mask(3, segment_BL, segment_BL), None, None)
        return np.asarray(x_BLD[:, :4])

    of_class, of_visual = (np.abs(states(IDS.at[:, at].set(3)) - states(IDS)) for at in (1, 5))
    used = np.asarray(CONDITION.used_BM)
    assert of_class[used].max(axis=-1).min() > 1e-3  # the class token stands after them, and they see it
    assert of_visual.max() == 0.0


def test_rotation_keeps_lengths_and_tells_distances_alone():
    rng = np.random.default_rng(1)
    q, k = (jnp.asarray(rng.normal(size=(1, 1, 1, 8)), jnp.float32) for _ in range(2))

    def product(i, j):
        turned = (rotate(x, jnp.full((1, 1), p, jnp.int32)) for x, p in ((q, i), (k, j)))
        return float(jnp.sum(jnp.multiply(*turned)))

    assert product(7, 3) == pytest.approx(product(104, 100), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(3, 7), abs=1e-2)
    assert product(5, 5) == pytest.approx(float(jnp.sum(q * k)), abs=1e-5)
    # E = 4: the pairs (x_0, x_2) and (x_1, x_3) turn by the position and by a hundredth of it.
    found = rotate(jnp.asarray([2.0, 1.0, 0.0, 0.0])[None, None, None], jnp.full((1, 1), 3, jnp.int32))
    by_hand = [2 * np.cos(3), np.cos(0.03), 2 * np.sin(3), np.sin(0.03)]
    np.testing.assert_allclose(found[0, 0, 0], by_hand, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 9, 64])
def test_a_loss_in_chunks_is_the_loss(chunk):
    rng = np.random.default_rng(2)
    x_BND = jnp.asarray(rng.normal(size=(3, TOKENS, 5)), jnp.float32)
    rows = jnp.asarray(rng.normal(size=(2, 4, 5)), jnp.float32)
    target_BN = jnp.asarray(rng.integers(0, 16, (3, TOKENS)), jnp.int32)

    def logits(rows, x):
        return jnp.einsum("...d,fvd->...fv", x, rows)

    def whole(x, rows):
        y = logits(rows, x)
        return token_cross_entropy(y, target_BN, 0.1), accuracy(y, target_BN)

    def pieces(x, rows):
        return chunked_scores(logits, rows[None], x, target_BN, TokenParts(1, 1, ()), 0.1, chunk)

    for a, b in zip(pieces(x_BND, rows), whole(x_BND, rows), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    slopes = [jax.grad(lambda *v, f=f: jnp.sum(f(*v)[0] ** 2), (0, 1))(x_BND, rows) for f in (pieces, whole)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *slopes)


def test_no_array_of_a_chunked_loss_holds_all_logits():
    x_BND, target_BN = jnp.zeros((2, 64, 8)), jnp.zeros((2, 64), jnp.int32)
    rows = jnp.zeros((1, 4096, 8))

    def loss(x_BND, rows):
        def logits(rows, x_tD):
            return jnp.einsum("td,fvd->tfv", x_tD, rows)

        return jnp.sum(chunked_scores(logits, rows[None], x_BND, target_BN, TokenParts(1, 1, ()), 0.0, 16)[0])

    compiled = jax.jit(jax.grad(loss, (0, 1))).lower(x_BND, rows).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 2 * 64 * 4096 / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(kv_heads=3), "4 heads on 3 kv_heads of head_width 6"),
        (dict(head_width=5), "head_width 5: expected"),
        (dict(remat="some"), "model.remat: 'some'; expected one of none, dots, full"),
        (dict(max_length=8), "sequence of 10 tokens: .*max_length=8"),
        (dict(condition_length=4), "0 slots of condition tokens: expected condition_length=4"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    module = model(**changes)
    with pytest.raises(UserError, match=message):
        module.apply({"params": parameters(module)}, IDS)


@pytest.mark.parametrize("slots", [0, 4])
def test_on_a_mesh_the_table_is_fetched_once_and_its_gradient_summed_once(slots):
    batch, tokens = 36, 8  # no other dimension is 36
    module = model(codes=1024, condition_length=slots, factors=1, width=64)
    rng = np.random.default_rng(3)
    ids_BL = jnp.asarray(rng.integers(0, 1024, (batch, 1 + tokens)), jnp.int32).at[:, :2].set((1028, 1025))
    condition = None
    if slots:
        condition = Condition(*(jnp.tile(x, (batch // 3, 1)) for x in CONDITION))
    target_BN = jnp.asarray(rng.integers(0, 1024, (batch, tokens)), jnp.int32)
    params = parameters(module)

    def loss(params, ids_BL, target_BN, condition):
        parts = TokenParts.of(*target_BN.shape)
        x_BND, head_S = module.apply({"params": params}, ids_BL, parts, condition, method="hidden")
        logits = functools.partial(tied_logits, dtype=jnp.float32)
        return jnp.mean(chunked_scores(logits, head_S, x_BND, target_BN, parts, 0.1, 4)[0])

    def plain(params):
        logits_BNFV = module.apply({"params": params}, ids_BL, condition=condition)
        return jnp.mean(token_cross_entropy(logits_BNFV, target_BN, 0.1))

    mesh = make_mesh(dict(fsdp=4, sequence=2))
    boxed = jax.eval_shape(module.init, jax.random.key(0), ids_BL, condition=condition)
    placed = jax.device_put(params, state_shardings(boxed["params"], mesh))
    shardings = jax.tree.map(lambda x: x.sharding, placed)
    data = jax.device_put((ids_BL, target_BN, condition), batch_sharding(mesh))
    with logical_context(mesh), tiny_models.quick_compilation():
        program = jax.jit(jax.grad(loss), out_shardings=shardings).lower(placed, *data).compile()
    found, expected = program(placed, *data), jax.jit(jax.grad(plain))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found, expected)
    text, table = program.as_text(), params["embedding"]["code_embedding"].nbytes
    assert values.leading(hlo_text.parse(text), batch) == []
    sent = {x: times for x, times in count(text, 8).collectives.items() if x.payload >= table / 2}
    assert sorted((x.kind, times) for x, times in sent.items()) == [("all-gather", 1), ("all-reduce", 1)]

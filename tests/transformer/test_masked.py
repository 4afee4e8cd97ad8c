"""The masked transformer against a float64 NumPy reading of BERT, and its variants against each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import partitioning
from magvit_jax.errors import UserError
from magvit_jax.tokens import split
from magvit_jax.transformer import MaskedTransformer

SMALL = dict(codes=64, num_special=5, factors=2, width=32, layers=2, heads=4, mlp_dim=48, max_length=16)
IDS = jnp.asarray(np.random.default_rng(0).integers(0, 69, (4, 14)), jnp.int32).at[:, 0].set(68).at[:, 1].set(64)


def model(**changes):
    return MaskedTransformer(**(SMALL | dict(dropout=0.0, attention_dropout=0.0) | changes))


def parameters(module, seed=0):
    """Random in every array, biases and norms included, so that none can be left out unseen."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), IDS)["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), jnp.float32), partitioning.unbox(shapes))


@functools.cache
def jitted(module, deterministic):
    def apply(params, ids, key):
        return module.apply({"params": params}, ids, deterministic, rngs={"dropout": key})

    return jax.jit(apply)


def apply(module, params, ids=IDS, deterministic=True, seed=0):
    return jitted(module, deterministic)(params, ids, jax.random.key(seed))


def norm(x, p):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True)) * p["scale"] + p["bias"]


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@functools.cache
def gradient_of(module):
    """Of the sum of factor 1's logits for sub-id 5."""
    return jax.jit(jax.grad(lambda p: jnp.sum(module.apply({"params": p}, IDS)[..., 1, 5])))


def numpy_bert(params, ids_BL, pre=False, heads=4, factors=2):
    """BERT, written for reading: one example, one head at a time."""
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    tables, special = p["embedding"]["code_embedding"], p["embedding"]["special_embedding"]
    out = []
    for ids_L in np.asarray(ids_BL):
        x = []
        for position, i in enumerate(ids_L):
            row = special[i - 64] if i >= 64 else tables[0][i % 8] + tables[1][i // 8]
            x.append(row + p["position_embedding"][position])
        x = norm(np.stack(x), p["embedding_norm"])
        for index in range(2):
            layer = p[f"layer_{index}"]
            a = layer["attention"]
            y = norm(x, layer["attention_norm"]) if pre else x
            mixed = np.zeros_like(x)
            for head in range(heads):
                q, k, v = (y @ a["qkv_kernel"][:, c, head] + a["qkv_bias"][c, head] for c in range(3))
                w = np.exp(q @ k.T / np.sqrt(q.shape[-1]))
                mixed += (w / w.sum(-1, keepdims=True)) @ v @ a["out_kernel"][head]
            x = x + mixed + a["out_bias"]
            x = x if pre else norm(x, layer["attention_norm"])
            y = norm(x, layer["mlp_norm"]) if pre else x
            x = x + dense(gelu(dense(y, layer["mlp_in"])), layer["mlp_out"])
            x = x if pre else norm(x, layer["mlp_norm"])
        x = norm(x, p["final_norm"]) if pre else x
        h = norm(gelu(dense(x[2:], p["head_dense"])), p["head_norm"])
        out.append(np.stack([h @ tables[f].T + p["embedding"]["bias"][f] for f in range(factors)], axis=1))
    return np.stack(out)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_equals_a_plain_reading_of_bert(norm):
    module = model(norm=norm)
    params = parameters(module)
    logits = apply(module, params)
    assert logits.shape == (4, 12, 2, 8) and logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, numpy_bert(params, IDS, pre=norm == "pre"), atol=2e-4)


@pytest.mark.parametrize(
    ("name", "sizes", "millions"),
    [("B", (768, 12, 12, 3072), 87.3), ("L", (1024, 24, 16, 4096), 305.6), ("H", (1280, 32, 16, 5120), 634.0)],
)
@pytest.mark.parametrize("scan_layers", [False, True])
def test_param_count_of_table_6_1(name, sizes, millions, scan_layers):
    width, layers, heads, mlp_dim = sizes
    module = MaskedTransformer(
        codes=1024,
        num_special=101 + 2 + 10,
        factors=1,
        width=width,
        layers=layers,
        heads=heads,
        mlp_dim=mlp_dim,
        max_length=1026,
        scan_layers=scan_layers,
    )
    ids = jax.ShapeDtypeStruct((1, 1026), jnp.int32)
    variables = jax.eval_shape(module.init, jax.random.key(0), ids)
    count = sum(x.size for x in jax.tree.leaves(variables))
    assert abs(count / 1e6 - millions) < 0.01 * millions, f"{name}: {count / 1e6:.2f}M"
    logits = jax.eval_shape(module.apply, variables, jax.ShapeDtypeStruct((2, 1026), jnp.int32))
    assert logits.shape == (2, 1024, 1, 1024)


def test_every_logit_sees_every_token_and_the_prefix():
    module = model(layers=1)
    params = parameters(module)
    base = apply(module, params)
    for position in (0, 1, 2, 13):
        changed = apply(module, params, IDS.at[:, position].set((IDS[:, position] + 7) % 64))
        assert np.all(np.abs(changed - base).max(axis=(-1, -2)) > 1e-6)


def test_embeddings_are_tied_to_the_heads():
    params = parameters(module := model(layers=1))
    gradient = gradient_of(module)(params)
    rows = np.asarray(gradient["embedding"]["code_embedding"])
    seen = np.unique(split(IDS[IDS < 64], 2, 6)[:, 0])
    unseen = np.setdiff1d(np.arange(8), seen)
    assert not np.any(rows[0][unseen])  # factor 0 has no head in this sum: only what was read gets a gradient
    assert np.all(np.abs(rows[1][5]).max() > 0)
    bias = np.asarray(gradient["embedding"]["bias"])
    np.testing.assert_allclose(bias, np.eye(2)[1][:, None] * np.eye(8)[5][None] * 48)
    special = np.asarray(gradient["embedding"]["special_embedding"])
    used = np.unique(IDS[IDS >= 64]) - 64
    assert not np.any(special[np.setdiff1d(np.arange(5), used)]) and np.all(np.abs(special[used]).max(-1) > 0)


def stack_layers(params):
    layers = sorted(name for name in params if name.startswith("layer_"))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *(params[name] for name in layers))
    return {name: value for name, value in params.items() if name not in layers} | {"layers": stacked}


def test_scanned_layers_are_the_same_layers_in_their_order():
    params = parameters(model())
    scanned = apply(model(scan_layers=True), stack_layers(params))
    np.testing.assert_allclose(scanned, apply(model(), params), atol=1e-5)


def test_rematerialised_layers_have_the_same_gradient():
    params = parameters(model(layers=1))
    plain = stack_layers(gradient_of(model(layers=1))(params))
    remat = gradient_of(model(layers=1, scan_layers=True, remat="dots"))(stack_layers(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), plain, remat)


def test_bfloat16_stays_near_and_keeps_logits_and_parameters_in_float32():
    module = model(layers=1, dtype=jnp.bfloat16)
    shapes = jax.eval_shape(module.init, jax.random.key(0), IDS)
    assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}
    params = jax.tree.map(lambda x: x / 4, parameters(module))
    low, high = apply(module, params), apply(model(layers=1), params)
    assert low.dtype == jnp.float32
    assert float(jnp.abs(low - high).max()) < 0.05 * float(jnp.abs(high).max())


def test_dropout_needs_its_rng_and_differs_by_it():
    module = model(layers=1, dropout=0.3, attention_dropout=0.3)
    params = parameters(module)
    outs = [apply(module, params, deterministic=False, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(outs[0], outs[1])
    assert np.any(outs[0] != outs[2])
    np.testing.assert_array_equal(apply(module, params), apply(model(layers=1), params))


def test_sharded_over_data_fsdp_tensor_gives_the_same_logits():
    module = model(layers=1)
    mesh = partitioning.make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    boxed = jax.eval_shape(module.init, jax.random.key(0), IDS)["params"]
    shardings = partitioning.state_shardings(boxed, mesh)
    params = parameters(module)
    with partitioning.logical_context(mesh):
        placed = jax.device_put(params, shardings)
        logits = apply(module, placed, jax.device_put(IDS, partitioning.batch_sharding(mesh)))
    np.testing.assert_allclose(logits, apply(module, params), atol=1e-4)
    kernel = placed["layer_0"]["mlp_in"]["kernel"]
    assert kernel.addressable_shards[0].data.shape == (16, 24)  # embed over fsdp, mlp over tensor


def test_mistakes_are_named():
    wrong = [({"norm": "none"}, "post, pre"), ({"heads": 5}, "5 heads"), ({"max_length": 9}, "max_length=9")]
    for changes, message in wrong:
        with pytest.raises(UserError, match=message):
            jax.eval_shape(model(**changes).init, jax.random.key(0), IDS)
    with pytest.raises(UserError, match="60 codes"):
        jax.eval_shape(model(codes=60).init, jax.random.key(0), IDS)

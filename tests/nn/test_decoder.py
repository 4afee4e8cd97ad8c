"""The layer of a decoder-only language model, against its formula written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.nn.attention import Mask
from magvit_jax.nn.decoder import DecoderLayer
from magvit_jax.partitioning import unbox

WIDTH, HEADS, KV_HEADS, HEAD_WIDTH, MLP = 6, 4, 2, 4, 10


def normed(x, scale):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * scale


def test_a_layer_is_its_formula_at_position_0():
    """Where nothing is rotated, and causal attention of the first token is its own value."""
    layer = DecoderLayer(HEADS, KV_HEADS, HEAD_WIDTH, MLP, depth=2, dtype=jnp.float32)
    rng = np.random.default_rng(0)
    x_BLD = rng.normal(size=(2, 3, WIDTH))
    position_BL = jnp.broadcast_to(jnp.arange(3, dtype=jnp.int32)[None], (2, 3))
    arguments = (jnp.asarray(x_BLD, jnp.float32), position_BL, Mask.causal())
    shapes = unbox(jax.eval_shape(layer.init, jax.random.key(0), *arguments)["params"])
    p = jax.tree.map(lambda x: rng.normal(0.0, 0.5, x.shape), shapes)
    found, cache = layer.apply({"params": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), p)}, *arguments)

    x_BD = x_BLD[:, 0]
    value_BGE = np.einsum("bd,dge->bge", normed(x_BD, p["attention_norm"]["scale"]), p["kv_kernel"][:, 1])
    value_BNE = np.repeat(value_BGE, HEADS // KV_HEADS, axis=1)  # neighbouring heads share a value
    x_BD = x_BD + np.einsum("bne,ned->bd", value_BNE, p["out_kernel"])
    seen_BD = normed(x_BD, p["mlp_norm"]["scale"])
    gate_BF, value_BF = (seen_BD @ p["in_kernel"][:, part] for part in range(2))
    expected_BD = x_BD + (gate_BF / (1 + np.exp(-gate_BF)) * value_BF) @ p["mlp_out_kernel"]
    assert cache is None
    np.testing.assert_allclose(found[:, 0], expected_BD, rtol=1e-4, atol=1e-5)

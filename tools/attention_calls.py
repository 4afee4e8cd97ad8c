"""Attention for the benchmarks: our implementations, and those that jax brings, as calls of (q, k, v)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax import ops
from magvit_jax.ops.attention.choose import choose
from magvit_jax.ops.attention.cudnn import cudnn_refuses
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.shapes import Shape
from magvit_jax.typing import Dtype

BLOCK = 128  # jax's TPU kernels take lengths in whole blocks


def shapes_of(shape: Shape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of q [B, L, N, E], and of k and v [B, S, G, E], or of a cache of them [B, G, S, E]."""
    keys = (shape.groups, shape.keys) if shape.queries == 1 else (shape.keys, shape.groups)
    return (shape.batch, shape.queries, shape.heads, shape.width), (shape.batch, *keys, shape.width)


def default_of(shape: Shape, dtype: Dtype, backend: str) -> str:
    """What `ops.attention` takes where nothing is named."""
    q_shape, k_shape = (shape.batch, shape.queries, shape.heads, shape.width), (shape.batch, shape.keys, shape.groups)
    return choose(backend, q_shape, (*k_shape, shape.width), dtype, Mask("causal" if shape.queries == 1 else "full"))


def pairs(shape: Shape) -> int:
    """Queries x keys that a head has to look at; a prefix is half the sequence, a single query stands last."""
    if shape.kind == "full" or shape.queries == 1:
        return shape.queries * shape.keys
    causal = shape.queries * (shape.queries + 1) // 2
    half = shape.keys // 2
    return causal if shape.kind == "causal" else causal + half * (half - 1) // 2


def flops(shape: Shape) -> float:
    """Of the two matrix products of a forward pass."""
    return 4.0 * shape.batch * shape.heads * pairs(shape) * shape.width


def calls(shape: Shape, dtype: Dtype, backend: str) -> dict[str, Callable]:
    """What can run on a backend, by name; those of jax begin with "jax"."""
    names = ["xla", "chunked"]
    if backend == "tpu":
        names.append("pallas_tpu")
    if backend == "gpu" and shape.queries > 1:
        if cudnn_refuses(*shapes_of(shape), dtype, Mask(shape.kind), 0.0) is None:
            names.append("cudnn")
    found = {name: _ours(shape, name) for name in names}
    found["jax nn"] = _dot_product(shape, "cudnn" if backend == "gpu" and shape.queries > 1 else "xla")
    if backend == "tpu" and shape.queries > 1:
        found["jax splash"] = _splash(shape)
        if shape.heads == shape.groups and shape.kind != "prefix":
            found["jax flash"] = _flash(shape)
    return {name: _from_cache(call) if shape.queries == 1 else call for name, call in found.items()}


def _from_cache(call: Callable) -> Callable:
    return lambda q, k, v: call(q, jnp.swapaxes(k, 1, 2), jnp.swapaxes(v, 1, 2))


def _ours(shape: Shape, name: str) -> Callable:
    def call(q, k, v):
        mask = Mask(shape.kind)
        if shape.kind == "prefix":
            mask = mask.replace(prefix_B=jnp.full((shape.batch,), shape.keys // 2, jnp.int32))
        if shape.queries == 1:
            mask = mask.replace(query_offset=jnp.full((shape.batch,), shape.keys - 1, jnp.int32))
        return ops.attention(q, k, v, mask, implementation=name)

    return call


def _dot_product(shape: Shape, implementation: str) -> Callable:
    def call(q, k, v):
        causal = shape.kind != "full" and shape.queries > 1
        if shape.kind == "prefix":
            place = jnp.arange(shape.keys)
            mask = (place[None] <= place[:, None]) | (place[None] < shape.keys // 2)
            return jax.nn.dot_product_attention(q, k, v, mask=mask[None, None], implementation=implementation)
        return jax.nn.dot_product_attention(q, k, v, is_causal=causal, implementation=implementation)

    return call


def _padded(x_BLNE: jax.Array) -> jax.Array:
    """[B, N, L, E], in whole blocks."""
    x_BNLE = jnp.swapaxes(x_BLNE, 1, 2)
    return jnp.pad(x_BNLE, ((0, 0), (0, 0), (0, -x_BNLE.shape[2] % BLOCK), (0, 0)))


def _flash(shape: Shape) -> Callable:
    from jax.experimental.pallas.ops.tpu import flash_attention as flash

    def call(q, k, v):
        q_BNLE, k_BNSE, v_BNSE = map(_padded, (q, k, v))
        place_BL = jnp.broadcast_to(jnp.arange(q_BNLE.shape[2])[None], (shape.batch, q_BNLE.shape[2]))
        ids = (place_BL >= shape.queries).astype(jnp.int32)
        out_BNLE = flash.flash_attention(
            q_BNLE, k_BNSE, v_BNSE, segment_ids=flash.SegmentIds(ids, ids), causal=shape.kind == "causal",
            sm_scale=shape.width**-0.5,
        )  # fmt: skip
        return jnp.swapaxes(out_BNLE[:, :, : shape.queries], 1, 2)

    return call


def _splash(shape: Shape) -> Callable:
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernel
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    length = -(-shape.queries // BLOCK) * BLOCK
    place = np.arange(length)
    seen = {
        "full": np.ones((length, length), bool),
        "causal": place[None] <= place[:, None],
        "prefix": (place[None] <= place[:, None]) | (place[None] < shape.keys // 2),
    }[shape.kind]
    mask = masks.MultiHeadMask([masks.NumpyMask(seen)] * shape.heads)

    def call(q, k, v):
        q_BNLE, k_BGSE, v_BGSE = map(_padded, (q * shape.width**-0.5, k, v))
        ids_L = (jnp.arange(length) >= shape.queries).astype(jnp.int32)
        segments = kernel.SegmentIds(ids_L, ids_L)
        attend = kernel.make_splash_mha(mask, head_shards=1, q_seq_shards=1)
        if shape.groups != shape.heads:
            repeats = shape.heads // shape.groups
            k_BGSE, v_BGSE = (jnp.repeat(x, repeats, axis=1) for x in (k_BGSE, v_BGSE))
        out_BNLE = jax.vmap(lambda q, k, v: attend(q, k, v, segments))(q_BNLE, k_BGSE, v_BGSE)
        return jnp.swapaxes(out_BNLE[:, :, : shape.queries], 1, 2)

    return call

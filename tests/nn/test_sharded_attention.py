"""Attention split over a mesh of eight devices gives what one device gives, gradients included."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.nn.attention import attend
from magvit_jax.nn.sharded_attention import shard_attention
from magvit_jax.ops.attention.counter_dropout import counters
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.pallas_tpu import pallas_tpu
from magvit_jax.ops.attention.reference import reference
from magvit_jax.partitioning import logical_context, make_mesh

MESH = dict(data=2, sequence=2, tensor=2)
B, L = 2, 256


def mixed():
    prefix, lengths, offset = (jnp.asarray(x, jnp.int32) for x in ([0, 100], [256, 200], [0, 0]))
    segment = (jnp.arange(L, dtype=jnp.int32)[None] >= jnp.asarray([100, 300], jnp.int32)[:, None]).astype(jnp.int32)
    return Mask("prefix", prefix, lengths, segment, segment, offset)


def with_gradients(function, heads, groups, mask=None):
    random = np.random.default_rng(0)
    q, up = (jnp.asarray(random.normal(size=(B, L, heads, 8)), jnp.float32) for _ in range(2))
    k, v = (jnp.asarray(random.normal(size=(B, L, groups, 8)), jnp.float32) for _ in range(2))

    @jax.jit
    def run(q, k, v, mask):
        out, pull = jax.vjp(lambda q, k, v: function(q, k, v, mask), q, k, v)
        return out, *pull(up)

    return run(q, k, v, mixed() if mask is None else mask)


def kernel(q, k, v, mask, counters=None, dropout=0.0):
    return pallas_tpu(q, k, v, mask, 0.3, dropout, counters, block_q=128, block_k=128, interpret=True)


# Heads and groups: both split; one group for both shards; each shard has one of two groups; heads that stay whole.
@pytest.mark.parametrize(("tensor", "heads", "groups"), [(2, 4, 2), (2, 2, 1), (4, 4, 2), (2, 6, 3)])
def test_the_kernel_on_shards_of_examples_heads_and_queries(tensor, heads, groups):
    want = with_gradients(partial(reference, scale=0.3), heads, groups)
    seen = []

    def spied(q, k, v, mask, counters):
        seen.append((q.shape, k.shape))
        return kernel(q, k, v, mask)

    with logical_context(make_mesh(dict(data=4 // tensor, sequence=2, tensor=tensor))):
        got = with_gradients(partial(shard_attention, spied), heads, groups)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    split = heads // tensor if heads != 6 else 6
    batch = B // (4 // tensor)
    assert set(seen) == {((batch, L // 2, split, 8), (batch, L, max(1, split * groups // heads), 8))}


@pytest.mark.parametrize("offset", [None, 40])
def test_a_mask_without_arrays_or_with_one_offset_for_all(offset):
    mask = Mask.causal(query_offset=None if offset is None else jnp.asarray(offset, jnp.int32))
    want = with_gradients(partial(reference, scale=0.3), 4, 2, mask)
    with logical_context(make_mesh(MESH)):
        got = with_gradients(partial(shard_attention, kernel), 4, 2, mask)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_dropout_drops_the_same_weights_on_every_mesh():
    def drops(q, k, v, mask):
        return shard_attention(partial(kernel, dropout=0.4), q, k, v, mask, counters(jax.random.key(3), B, 4))

    want = with_gradients(drops, 4, 2)
    with logical_context(make_mesh(MESH)):
        got = with_gradients(drops, 4, 2)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("implementation", ["xla", "chunked"])
def test_xla_splits_its_own_implementations(implementation):
    want = with_gradients(partial(reference, scale=0.3), 4, 2)
    with logical_context(make_mesh(MESH)):
        got = with_gradients(partial(attend, scale=0.3, implementation=implementation), 4, 2)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_without_a_mesh_the_kernel_gets_everything():
    shapes = []

    def spied(q, k, v, mask, counters):
        shapes.append(k.shape)
        return q

    q = jnp.zeros((2, 4, 4, 8))
    assert shard_attention(spied, q, q[:, :, :2], q[:, :, :2], None) is q and shapes == [(2, 4, 2, 8)]

"""Every implementation of attention against the definition in float32, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_cases import MASKS, case, check_against_reference, with_gradients

from magvit_jax.ops import attention
from magvit_jax.ops.attention.chunked import chunked
from magvit_jax.ops.attention.dropout import keep_mask
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.reference import reference
from magvit_jax.ops.attention.xla import xla

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_reference_equals_a_loop_over_every_query():
    q, k, v, _ = case(jnp.float32, 5, 7, heads=4, groups=2, width=3)
    mask = Mask.prefix_lm(jnp.asarray([0, 4], jnp.int32), query_offset=jnp.asarray(1, jnp.int32))
    got = np.asarray(reference(q, k, v, mask, 0.5))
    for b, prefix in enumerate((0, 4)):
        for n in range(4):
            for i in range(5):
                seen = [j for j in range(7) if j <= i + 1 or j < prefix]
                scores = 0.5 * np.asarray(k[b, seen, n // 2], np.float64) @ np.asarray(q[b, i, n], np.float64)
                weights = np.exp(scores) / np.sum(np.exp(scores))
                np.testing.assert_allclose(got[b, i, n], weights @ np.asarray(v[b, seen, n // 2]), atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_the_mask_is_what_its_description_says(name):
    mask = MASKS[name](5, 7)
    seen = np.broadcast_to(np.asarray(mask.visible(5, 7)), (2, 5, 7))
    offset = np.broadcast_to(0 if mask.query_offset is None else np.asarray(mask.query_offset), (2,))
    for b in range(2):
        for i in range(5):
            for j in range(7):
                want = mask.kind == "full" or j <= offset[b] + i
                want = want or (mask.kind == "prefix" and j < mask.prefix_B[b])
                want = want and (mask.lengths_B is None or j < mask.lengths_B[b])
                if mask.q_segment_BL is not None:
                    want = want and mask.q_segment_BL[b, i] == mask.k_segment_BS[b, j]
                assert seen[b, i, j] == bool(want)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("function", [xla, chunked])
def test_value_and_gradients_with_every_mask(function, name):
    check_against_reference(function, MASKS[name](37, 45), case(jnp.float32, 37, 45, width=8))


@pytest.mark.parametrize("function", [xla, chunked])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
def test_bfloat16_and_groups_of_heads(function, heads):
    check_against_reference(function, Mask.causal(), case(jnp.bfloat16, 33, 33, *heads, width=16))


def test_chunks_of_keys_join_to_the_whole():
    """Two blocks of 1,024 keys, the second not full."""
    mask = Mask.full(lengths_B=jnp.asarray([1500, 900], jnp.int32))
    check_against_reference(chunked, mask, case(jnp.float32, 3, 1700, heads=1, groups=1, width=4))


def test_a_mask_of_bits_by_head_goes_with_groups():
    bits = jnp.asarray(np.random.default_rng(0).random((2, 4, 5, 7)) < 0.5)
    check_against_reference(xla, bits, case(jnp.float32, 5, 7, heads=4, groups=2, width=8))


@pytest.mark.parametrize("function", [reference, xla, chunked])
def test_a_query_that_sees_nothing_has_no_output_and_no_gradient(function):
    q, k, v, up = case(jnp.float32, 6, 6, width=8)
    mask = Mask.causal(lengths_B=jnp.asarray([0, 6], jnp.int32))
    out, d_q, d_k, d_v = with_gradients(function, (q, k, v, up), mask)
    for x in (out, d_q, d_k, d_v):
        assert not np.any(np.asarray(x[0])) and np.all(np.isfinite(x)) and np.any(np.asarray(x[1]))


@pytest.mark.parametrize("function", [xla, chunked])
def test_dropout_drops_weights_and_keeps_the_mean(function):
    q, k, v, _ = case(jnp.float32, 3, 50, heads=2, groups=1, width=4)
    plain = reference(q, k, v, None, 0.5)
    keys = jax.random.split(jax.random.key(0), 1000)
    some = jax.vmap(lambda key: function(q, k, v, None, 0.5, 0.3, key))(keys)
    assert not np.allclose(some[0], some[1], atol=1e-3)
    # Of 1,000 draws the mean has a standard deviation of about 0.007.
    np.testing.assert_allclose(np.mean(np.asarray(some), axis=0), plain, atol=0.04)


def test_dropout_has_the_gradient_of_the_weights_that_are_kept():
    q, k, v, up = case(jnp.float32, 6, 6, heads=2, groups=2, width=8)
    key = jax.random.key(1)
    kept = keep_mask(key, 0.4, (2, 2, 6, 6))

    def dense(q, k, v, mask, scale):
        weights = jax.nn.softmax(scale * jnp.einsum("blne,bsne->bnls", q, k), axis=-1)
        return jnp.einsum("bnls,bsne->blne", jnp.where(kept, weights / 0.6, 0.0), v)

    got = with_gradients(lambda *inputs: xla(*inputs, 0.4, key), (q, k, v, up), None)
    for a, b in zip(got, with_gradients(dense, (q, k, v, up), None), strict=True):
        np.testing.assert_allclose(a, b, atol=3e-6)


def test_chunked_dropout_drops_the_same_weights_forward_and_backward():
    """The output is linear in the values, so its derivative along them is the output itself."""
    q, k, v, up = case(jnp.float32, 6, 300, heads=2, groups=1, width=8)
    out, _, _, d_v = with_gradients(lambda *x: chunked(*x, 0.4, jax.random.key(1)), (q, k, v, up), None)
    np.testing.assert_allclose(np.sum(np.asarray(d_v * v)), np.sum(np.asarray(out * up)), rtol=1e-4)


def test_a_changed_mask_is_not_traced_again():
    traces = []

    @jax.jit
    def run(mask):
        traces.append(mask)
        return attention(*case(jnp.float32, 6, 6, width=8)[:3], mask)

    outs = [run(Mask.prefix_lm(jnp.asarray(prefix, jnp.int32))) for prefix in ([0, 3], [2, 6])]
    assert len(traces) == 1 and not np.allclose(*outs)


def test_memory_of_chunks_is_linear_in_the_length():
    def temporaries(length: int) -> int:
        x = jax.ShapeDtypeStruct((1, length, 1, 8), jnp.float32)
        gradient = jax.grad(lambda q, k, v: jnp.sum(chunked(q, k, v, Mask.causal(), 0.3)), (0, 1, 2))
        return jax.jit(gradient).lower(x, x, x).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(16384) < 2.5 * temporaries(8192)

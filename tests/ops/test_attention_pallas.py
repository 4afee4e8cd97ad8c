"""The TPU kernels of attention, interpreted: values, gradients, races, and no work on hidden blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_cases import MASKS, case, check_against_reference, with_gradients
from jax._src.pallas.mosaic.interpret import interpret_pallas_call  # where the races that it saw are told
from jax.experimental.pallas import tpu as pltpu

from magvit_jax.ops.attention.counter_dropout import counters, kept
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.pallas_tpu import pallas_tpu
from magvit_jax.ops.attention.reference import reference

pytestmark = pytest.mark.usefixtures("quick_compilation")
CHECKED = pltpu.InterpretParams(detect_races=True, out_of_bounds_reads="raise")


def kernel(*arguments, interpret=True, block_q=128, block_k=128):
    return pallas_tpu(*arguments, block_q=block_q, block_k=block_k, interpret=interpret)


@pytest.mark.parametrize("name", MASKS)
def test_every_mask_at_odd_lengths(name):
    check_against_reference(kernel, MASKS[name](200, 300), case(jnp.float32, 200, 300, width=8))


@pytest.mark.parametrize(
    ("dtype", "width"),
    [(jnp.bfloat16, 64), (jnp.float32, 80), (jnp.bfloat16, 80), (jnp.float32, 128), (jnp.bfloat16, 256)],
)
def test_every_head_width_and_dtype(dtype, width):
    mask = Mask.prefix_lm(jnp.asarray([30, 150], jnp.int32), lengths_B=jnp.asarray([259, 170], jnp.int32))
    check_against_reference(kernel, mask, case(dtype, 259, 259, width=width))


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (3, 1)])
def test_keys_are_shared_by_groups_of_heads(heads):
    check_against_reference(kernel, Mask.causal(), case(jnp.float32, 140, 140, *heads, width=8))


@pytest.mark.parametrize("name", ["prefix, lengths", "causal segments"])
def test_no_race_and_no_read_out_of_bounds(name):
    def checked(*arguments):
        return kernel(*arguments, interpret=CHECKED)

    check_against_reference(checked, MASKS[name](140, 260), case(jnp.float32, 140, 260, width=8))
    assert not interpret_pallas_call.races.races_found


@pytest.mark.parametrize("heads", [(4, 4), (8, 2)])
@pytest.mark.parametrize("name", ["full", "causal from offsets, lengths", "prefix, lengths", "causal segments"])
def test_one_query_against_a_cache(name, heads):
    both = jax.jit(lambda *inputs: [function(*inputs, 0.3) for function in (kernel, reference)])
    got, want = both(*case(jnp.float32, 1, 300, *heads, width=8)[:3], MASKS[name](1, 300))
    np.testing.assert_allclose(got, want, atol=3e-6)


def test_a_query_that_sees_nothing_has_no_output_and_no_gradient():
    mask = Mask.causal(lengths_B=jnp.asarray([0, 200], jnp.int32))
    for x in with_gradients(kernel, case(jnp.float32, 200, 200, width=8), mask):
        assert not np.any(np.asarray(x[0])) and np.all(np.isfinite(x)) and np.any(np.asarray(x[1]))


def test_dropout_is_a_hash_of_the_position_forward_and_backward():
    inputs = case(jnp.float32, 140, 200, heads=4, groups=2, width=8)
    mask = Mask.causal(query_offset=jnp.asarray([3, 70], jnp.int32))
    numbers = counters(jax.random.key(5), 2, 4)
    query = mask.query_offset[:, None, None, None] + jnp.arange(140, dtype=jnp.int32)[None, None, :, None]
    place = (numbers.heads_BN[:, :, None, None], query, jnp.arange(200, dtype=jnp.int32)[None, None, None])
    bits = kept(0.3, numbers.seed_1[0], *place)
    assert abs(np.mean(np.asarray(bits)) - 0.7) < 0.005

    def dense(q, k, v, mask, scale):
        k, v = (jnp.repeat(x, 2, axis=2) for x in (k, v))
        scores = jnp.where(mask.visible(140, 200)[:, None], scale * jnp.einsum("blne,bsne->bnls", q, k), -jnp.inf)
        weights = jnp.where(bits, jax.nn.softmax(scores, axis=-1) / 0.7, 0.0)
        return jnp.einsum("bnls,bsne->blne", weights, v)

    got = with_gradients(lambda *x: kernel(*x, 0.3, numbers), inputs, mask)
    for a, b in zip(got, with_gradients(dense, inputs, mask), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_neighbours_are_dropped_independently():
    seed = jnp.asarray([0, 1], jnp.int32).reshape(2, 1, 1, 1)
    places = jnp.meshgrid(*[jnp.arange(64, dtype=jnp.int32)] * 3, indexing="ij")
    bits = np.asarray(kept(0.5, seed, *(place[None] for place in places)))
    signs = bits * 2.0 - 1.0
    for axis in range(4):
        for step in (1, 2) if axis else (1,):
            near, far = (np.moveaxis(signs, axis, 0)[part] for part in (slice(None, -step), slice(step, None)))
            assert abs(np.mean(near * far)) < 4 / np.sqrt(near.size)
    corners = signs[:, :, :-1, :-1] * signs[:, :, 1:, :-1] * signs[:, :, :-1, 1:] * signs[:, :, 1:, 1:]
    assert abs(np.mean(corners)) < 4 / np.sqrt(corners.size) and abs(np.mean(signs)) < 4 / np.sqrt(signs.size)


def test_scores_of_any_size_stay_finite():
    q, k, v, up = case(jnp.float32, 200, 200, width=8)
    got = with_gradients(kernel, (q * 1e3, k * 1e3, v, up), Mask.causal())
    assert all(np.all(np.isfinite(x)) for x in got)


def test_a_changed_mask_is_not_traced_again():
    traces = []

    @jax.jit
    def run(mask):
        traces.append(mask)
        return kernel(*case(jnp.float32, 130, 130, width=8)[:3], mask, 0.3)

    lengths = jnp.full(2, 130, jnp.int32)
    masks = [Mask.prefix_lm(jnp.asarray(x, jnp.int32), lengths_B=lengths) for x in ([0, 9], [130, 1])]
    outs = [run(mask) for mask in masks]
    for mask, out in zip(masks, outs, strict=True):
        want = reference(*case(jnp.float32, 130, 130, width=8)[:3], mask, 0.3)
        np.testing.assert_allclose(out, want, atol=3e-6)
    assert len(traces) == 1


def test_a_block_that_the_mask_empties_is_not_computed():
    """Its keys and values are not numbers: multiplied with the weight 0 they would show."""
    q, k, v, _ = case(jnp.float32, 128, 512, width=8)
    offset, length = jnp.asarray([0, 128], jnp.int32), jnp.asarray([512, 400], jnp.int32)
    mask = Mask.prefix_lm(jnp.asarray([256, 0], jnp.int32), query_offset=offset, lengths_B=length)
    beyond = (jnp.arange(512) >= 256)[None, :, None, None]
    out = kernel(q, jnp.where(beyond, jnp.nan, k), jnp.where(beyond, jnp.nan, v), mask, 0.3)
    np.testing.assert_allclose(out, reference(q, k, v, mask, 0.3), atol=3e-6)
    wrong = kernel(q, k, jnp.where(beyond, jnp.nan, v), Mask.full(), 0.3)
    assert np.all(np.isnan(wrong))

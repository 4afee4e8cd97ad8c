"""Residual VQ: levels, straight-through gradients, moving codebooks against numpy, restarts of dead codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.soundstream import residual_vq as rvq

LEVELS, SIZE, DIM = 3, 8, 4


quantize = jax.jit(rvq.quantize)


@jax.jit
def step(books, latents, rng, decay, restart_below):
    batch = rvq.assignments(rng, rvq.quantize(books.codes_QKD, latents), books.codes_QKD.shape[1])
    return rvq.update(books, batch, decay, restart_below)


@pytest.fixture(scope="module")
def latents():
    return np.random.default_rng(0).normal(size=(2, 50, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def books(latents):
    books = rvq.Codebooks.create(LEVELS, SIZE, DIM)
    for number in range(20):
        books, _ = step(books, latents, jax.random.key(number), 0.5, 0.5)
    return books


def test_each_level_lowers_the_error(books, latents):
    errors = [float(np.square(latents).mean())]
    for levels in range(1, LEVELS + 1):
        ids = quantize(books.codes_QKD, latents).ids_BTQ[..., :levels]
        errors.append(float(jnp.square(rvq.dequantize(books.codes_QKD, ids) - latents).mean()))
    ratios = np.array(errors[1:]) / np.array(errors[:-1])
    assert (ratios < 0.8).all(), errors


def test_a_quantization_by_hand():
    codes = jnp.array([[[0.0, 0.0], [4.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    quantized = quantize(codes, jnp.array([[[3.5, 0.75], [0.5, 0.25]]]))
    np.testing.assert_array_equal(quantized.ids_BTQ, [[[1, 1], [0, 0]]])
    np.testing.assert_array_equal(quantized.z_BTD, [[[4.0, 1.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(quantized.inputs_QND[1], [[-0.5, 0.75], [0.5, 0.25]])
    # Level 0: (0.25 + 0.5625 + 0.25 + 0.0625) / 4; level 1: (0.25 + 0.0625 + 0.25 + 0.0625) / 4; their mean.
    assert float(quantized.commitment) == (1.125 / 4 + 0.625 / 4) / 2


def test_gradients_go_straight_through_and_not_into_codes(books, latents):
    weights = np.random.default_rng(9).normal(size=latents.shape).astype(np.float32)

    def loss(codes, z):
        return (quantize(codes, z).z_BTD * weights).sum()

    to_codes, to_z = jax.jit(jax.grad(loss, argnums=(0, 1)))(books.codes_QKD, latents)
    assert (to_codes == 0).all()
    np.testing.assert_array_equal(to_z, weights)


def test_commitment_pulls_latents_to_codes(books, latents):
    def commitment(codes, z):
        return quantize(codes, z).commitment

    to_codes, to_z = jax.jit(jax.grad(commitment, argnums=(0, 1)))(books.codes_QKD, latents)
    moved = latents - 0.1 * latents.size * np.asarray(to_z)
    assert commitment(books.codes_QKD, moved) < commitment(books.codes_QKD, latents)
    assert (to_codes == 0).all()


def test_levels_that_do_not_count(books, latents):
    quantized = quantize(books.codes_QKD, latents, jnp.array([1, 3]))
    whole = quantize(books.codes_QKD, latents)
    one = rvq.dequantize(books.codes_QKD, whole.ids_BTQ[..., :1])
    np.testing.assert_allclose(quantized.z_BTD[0], one[0], atol=1e-6)
    np.testing.assert_array_equal(quantized.z_BTD[1], whole.z_BTD[1])
    np.testing.assert_array_equal(quantized.ids_BTQ, whole.ids_BTQ)
    only_first = quantize(books.codes_QKD[:1], latents).commitment
    both_one = quantize(books.codes_QKD, latents, jnp.array([1, 1])).commitment
    np.testing.assert_allclose(both_one, only_first, rtol=1e-6)


def test_drawn_levels_are_all_of_them():
    drawn = rvq.draw_levels(jax.random.key(0), 200, 4)
    np.testing.assert_array_equal(np.unique(drawn), [1, 2, 3, 4])


def test_update_is_the_moving_mean(books, latents):
    quantized = quantize(books.codes_QKD, latents)
    after, restarted = step(books, latents, jax.random.key(1), 0.9, 1e-3)
    assert restarted == 0
    ids = np.asarray(quantized.ids_BTQ).reshape(-1, LEVELS)
    for level in range(LEVELS):
        inputs = np.asarray(quantized.inputs_QND[level], np.float64)
        for code in range(SIZE):
            chosen = inputs[ids[:, level] == code]
            count = 0.9 * float(books.counts_QK[level, code]) + 0.1 * len(chosen)
            total = 0.9 * np.asarray(books.sums_QKD[level, code], np.float64) + 0.1 * chosen.sum(0)
            np.testing.assert_allclose(after.counts_QK[level, code], count, rtol=1e-5)
            np.testing.assert_allclose(after.codes_QKD[level, code], total / count, rtol=1e-4, atol=1e-5)


def test_dead_codes_are_set_to_latents_of_the_batch(books, latents):
    far = books.replace(
        codes_QKD=books.codes_QKD.at[1, 2].set(1e3), counts_QK=books.counts_QK.at[1, 2].set(0.1)
    )
    quantized = quantize(far.codes_QKD, latents)
    after, restarted = step(far, latents, jax.random.key(1), 0.9, 0.2)
    assert restarted == 1
    distance = np.abs(np.asarray(quantized.inputs_QND[1]) - np.asarray(after.codes_QKD[1, 2])).max(1)
    assert distance.min() < 1e-6
    np.testing.assert_allclose(after.counts_QK[1, 2], 0.2)
    again, _ = step(far, latents, jax.random.key(1), 0.9, 0.2)
    np.testing.assert_array_equal(again.codes_QKD, after.codes_QKD)
    other, _ = step(far, latents, jax.random.key(2), 0.9, 0.2)
    assert (other.codes_QKD[1, 2] != after.codes_QKD[1, 2]).any()


def test_the_first_update_sets_all_codes_from_the_batch(latents):
    books = rvq.Codebooks.create(1, SIZE, DIM)
    after, restarted = step(books, latents, jax.random.key(0), 0.99, 2.0)
    assert restarted == SIZE
    rows = {tuple(row) for row in np.asarray(latents).reshape(-1, DIM)}
    assert {tuple(row) for row in np.asarray(after.codes_QKD[0])} <= rows


def test_too_many_levels_are_refused(books):
    with pytest.raises(UserError, match="4 levels"):
        rvq.dequantize(books.codes_QKD, jnp.zeros((1, 2, 4), jnp.int32))


@pytest.mark.oracle
def test_against_vector_quantize_pytorch(books, latents):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("vector_quantize_pytorch").ResidualVQ(
        dim=DIM, num_quantizers=LEVELS, codebook_size=SIZE, decay=0.9, threshold_ema_dead_code=0, eps=0.0
    )
    for layer, codes, counts, sums in zip(
        theirs.layers, books.codes_QKD, books.counts_QK, books.sums_QKD, strict=True
    ):
        book = layer._codebook
        book.embed.data = torch.tensor(np.array(codes))[None]
        book.cluster_size.data = torch.tensor(np.array(counts))[None]
        book.embed_avg.data = torch.tensor(np.array(sums))[None]
    quantized, ids, _ = theirs.train()(torch.tensor(np.array(latents)))
    ours = quantize(books.codes_QKD, latents)
    np.testing.assert_array_equal(ours.ids_BTQ, ids)
    np.testing.assert_allclose(ours.z_BTD, quantized.detach(), atol=1e-5)
    after, _ = step(books, latents, jax.random.key(0), 0.9, 1e-6)
    expected = np.stack([layer._codebook.embed[0].numpy() for layer in theirs.layers])
    np.testing.assert_allclose(after.codes_QKD, expected, atol=1e-4)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import tokens
from magvit_jax.errors import UserError
from magvit_jax.tokens.masking import apply_mask, masked_count, rank

MASK = 99
corrupt = jax.jit(tokens.corrupt, static_argnames=("mask_id", "schedule", "ratio_per", "method"))


def example(batch, length=64, seed=0):
    keys = jax.random.split(jax.random.key(seed), batch)
    target = np.arange(batch * length, dtype=np.int32).reshape(batch, length) + 1000
    region = np.broadcast_to(np.arange(length) < length // 4, (batch, length))
    return keys, target, -target, region


def test_equation_6_2_written_out():
    hit = jnp.array([[True, True, False, False]])
    region = jnp.array([[True, False, True, False]])
    out = apply_mask(hit, jnp.array([[1, 2, 3, 4]]), jnp.array([[11, 12, 13, 14]]), region, mask_id=MASK)
    np.testing.assert_array_equal(out.ids_BN, [[11, MASK, 3, 4]])
    np.testing.assert_array_equal(out.refine_BN, [[1, 0, 0, 0]])
    np.testing.assert_array_equal(out.mask_BN, [[0, 1, 0, 0]])
    np.testing.assert_array_equal(out.reconstruct_BN, [[0, 0, 1, 1]])


def test_count_is_the_floor_and_at_least_one():
    np.testing.assert_array_equal(masked_count(jnp.array([1.0, 0.5, 0.499, 1e-6]), 64), [64, 32, 31, 1])


def test_rank_breaks_ties_by_position():
    np.testing.assert_array_equal(rank(jnp.array([[0.5, 0.1, 0.5, 0.1]])), [[2, 0, 3, 1]])


@pytest.mark.parametrize("schedule", ["uniform", "cosine", "pow2"])
def test_share_of_hits_follows_the_schedule(schedule):
    out = corrupt(*example(2000), mask_id=MASK, schedule=schedule)
    share = np.asarray(1 - out.reconstruct_BN.mean(-1))
    mean = {"uniform": 1 / 2, "cosine": 2 / np.pi, "pow2": 2 / 3}[schedule]  # integrals of gamma over [0, 1]
    assert abs(share.mean() - mean) < 0.03
    assert share.min() >= 1 / 64 and share.std() > 0.2
    per_position = np.asarray(1 - out.reconstruct_BN.mean(0))
    assert np.all(abs(per_position - share.mean()) < 0.06)  # no position is favoured


def test_every_position_is_in_one_part_and_holds_its_token():
    keys, target, condition, region = example(16)
    out = corrupt(keys, target, condition, region, mask_id=MASK, schedule="cosine")
    parts = np.stack([out.refine_BN, out.mask_BN, out.reconstruct_BN])
    np.testing.assert_array_equal(parts.sum(0), 1)
    expected = np.select(
        list(parts), [np.asarray(condition), np.full(target.shape, MASK), np.asarray(target)]
    )
    np.testing.assert_array_equal(out.ids_BN, expected)


def test_hit_targets_do_not_leak():
    keys, target, condition, region = example(16)
    first = corrupt(keys, target, condition, region, mask_id=MASK, schedule="cosine")
    other = np.where(first.reconstruct_BN, target, target + 5000)
    second = corrupt(keys, other, condition, region, mask_id=MASK, schedule="cosine")
    np.testing.assert_array_equal(first.ids_BN, second.ids_BN)


def test_an_example_is_masked_the_same_in_any_batch():
    arguments = example(16)
    whole = corrupt(*arguments, mask_id=MASK, schedule="cosine")
    part = corrupt(*(x[5:8] for x in arguments), mask_id=MASK, schedule="cosine")
    np.testing.assert_array_equal(whole.ids_BN[5:8], part.ids_BN)


def test_one_ratio_for_the_batch_on_request():
    shared = corrupt(*example(16), mask_id=MASK, schedule="cosine", ratio_per="batch")
    assert len(set(np.asarray(shared.reconstruct_BN.sum(-1)).tolist())) == 1
    with pytest.raises(UserError, match="example, batch"):
        corrupt(*example(2), mask_id=MASK, schedule="cosine", ratio_per="device")


def latent(*arguments, schedule="cosine"):
    return corrupt(*arguments, mask_id=MASK, schedule=schedule, method="latent")


def test_latent_masking_leaves_the_region_alone_as_the_clips_own():
    keys, target, condition, region = example(64)
    out = latent(keys, target, condition, region)
    np.testing.assert_array_equal(out.ids_BN[region], target[region])
    np.testing.assert_array_equal(out.mask_BN, np.asarray(out.ids_BN) == MASK)
    np.testing.assert_array_equal(out.ids_BN, np.where(out.mask_BN, MASK, target))
    assert not np.any(out.refine_BN) and not np.any(out.mask_BN[region])
    np.testing.assert_array_equal(out.ids_BN, latent(keys, target, condition - 7, region).ids_BN)


@pytest.mark.parametrize(("schedule", "mean"), [("uniform", 1 / 2), ("cosine", 2 / np.pi)])
def test_the_share_of_latent_masking_is_one_of_what_is_outside(schedule, mean):
    keys, target, condition, region = example(2000)
    out = latent(keys, target, condition, region, schedule=schedule)
    masked = np.asarray(out.mask_BN.sum(-1))
    assert abs(masked.mean() / 48 - mean) < 0.03 and masked.min() == 1 and masked.max() >= 47


def test_latent_masking_counts_by_each_examples_own_region():
    keys, target, condition, _ = example(3)
    region = np.arange(64) < np.asarray([[0], [60], [64]])
    for schedule in ("log", "exp", "cosine"):
        masked = np.asarray(latent(keys, target, condition, region, schedule=schedule).mask_BN.sum(-1))
        assert 1 <= masked[0] <= 64 and 1 <= masked[1] <= 4 and masked[2] == 0


def test_unknown_methods_are_named():
    with pytest.raises(UserError, match="method 'prefix': expected one of commit, latent"):
        corrupt(*example(2), mask_id=MASK, schedule="cosine", method="prefix")

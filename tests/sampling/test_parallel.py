"""Parallel decoding against formulas and written-out toy models: logits are a function of what the model sees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.sampling import decode
from magvit_jax.tokens import remask_table

CODES, TOKENS = 16, 48
MASK = CODES
MIX = np.random.default_rng(0).normal(0, 1, (CODES + 1, CODES)).astype(np.float32)
PLACE = np.random.default_rng(1).normal(0, 2, (TOKENS, CODES)).astype(np.float32)


def toy(ids_BN, unconditional_B):
    """Depends on the place, on all that is seen, and on the branch."""
    seen_BV = jnp.mean(jnp.asarray(MIX)[ids_BN], axis=1)
    logits_BNV = jnp.asarray(PLACE)[None] + seen_BV[:, None]
    return jnp.where(unconditional_B[:, None, None], -logits_BNV, logits_BNV)


def run(logits_fn=toy, batch=4, region=0, tokens=TOKENS, seed=0, mask_id=MASK, **settings):
    """Jitted decoding of `batch` examples of which the first `region` tokens are conditions 3."""
    settings = {"steps": 12, "schedule": "cosine", "temperature": 4.5, "mask_id": mask_id} | settings
    condition = np.full((batch, tokens), 3, np.int32)
    is_condition = np.broadcast_to(np.arange(tokens) < region, (batch, tokens))
    keys = jax.random.split(jax.random.key(seed), batch)
    return jitted(logits_fn, tuple(settings.items()))(condition, is_condition, keys)


@functools.cache
def jitted(logits_fn, settings):
    return jax.jit(lambda *x: decode(logits_fn, *x[:2], keys_B=x[2], **dict(settings)))


# floor(gamma((t + 1) / 12) * n), then at most one less than before the step, and at least 1.
LEFT = {
    ("uniform", 48): [44, 40, 36, 32, 28, 24, 20, 16, 12, 8, 4, 1],
    ("cosine", 48): [47, 46, 44, 41, 38, 33, 29, 24, 18, 12, 6, 1],
    ("pow2", 48): [47, 46, 45, 42, 39, 36, 31, 26, 21, 14, 7, 1],
    ("exp", 48): [46, 45, 44, 43, 42, 41, 38, 34, 29, 22, 13, 1],  # the clamp at work: floor gives 47, 47, 47, 46
    ("log", 48): [30, 22, 17, 13, 10, 8, 6, 5, 3, 2, 1, 1],
    ("uniform", 8): [7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1],  # fewer tokens than steps
    ("uniform", 1024): [938, 853, 768, 682, 597, 512, 426, 341, 256, 170, 85, 1],
    ("cosine", 1024): [1015, 989, 946, 886, 812, 724, 623, 512, 391, 265, 133, 1],
    ("pow2", 1024): [1016, 995, 960, 910, 846, 768, 675, 568, 448, 312, 163, 1],
    ("exp", 1024): [1022, 1020, 1018, 1013, 1006, 992, 966, 922, 842, 701, 449, 1],
    ("log", 1024): [367, 264, 204, 162, 129, 102, 79, 59, 42, 26, 12, 1],
}


@pytest.mark.parametrize(("schedule", "tokens"), LEFT)
def test_tokens_left_after_each_of_twelve_steps_are_those_written_out(schedule, tokens):
    def model(ids_BN, _):
        return jnp.zeros((*ids_BN.shape, 2))

    _, states = run(model, batch=2, tokens=tokens, schedule=schedule, mask_id=2, return_states=True)
    expected = np.asarray(LEFT[schedule, tokens])
    np.testing.assert_array_equal(states.unknown_KBN.sum(-1), np.broadcast_to(expected[:, None], (12, 2)))


def test_first_step_sees_conditions_and_masks_and_every_id_is_returned():
    ids, states = run(region=8, return_states=True)
    np.testing.assert_array_equal(states.inputs_KBN[0], np.broadcast_to([3] * 8 + [MASK] * 40, (4, TOKENS)))
    np.testing.assert_array_equal(ids, states.ids_KBN[-1])
    assert ids.dtype == jnp.int32 and int(ids.max()) < CODES


def test_next_input_holds_what_is_known_and_known_tokens_stay():
    _, states = run(region=8, return_states=True)
    inputs, ids, unknown = (np.asarray(x) for x in states)
    cover = np.broadcast_to([3] * 8 + [MASK] * 40, ids[0].shape)
    for step in range(11):
        np.testing.assert_array_equal(inputs[step + 1], np.where(unknown[step], cover, ids[step]))
        np.testing.assert_array_equal(ids[step + 1][~unknown[step]], ids[step][~unknown[step]])
        assert not np.any(unknown[step + 1] & ~unknown[step])


def test_condition_tokens_are_refined_or_kept_on_request():
    free, _ = run(region=8, return_states=True)
    kept, states = run(region=8, keep_condition=True, return_states=True)
    assert np.any(free[:, :8] != 3)
    np.testing.assert_array_equal(kept[:, :8], 3)
    np.testing.assert_array_equal(states.inputs_KBN[..., :8], 3)
    expected = remask_table("cosine", 12, TOKENS)[:, TOKENS - 8]
    np.testing.assert_array_equal(states.unknown_KBN.sum(-1), np.broadcast_to(expected[:, None], (12, 4)))


def test_each_example_may_keep_its_condition_or_not_in_one_program():
    calls = []

    def model(ids_BN, unconditional_B):
        calls.append(ids_BN.shape)
        return toy(ids_BN, unconditional_B)

    settings = {"steps": 12, "schedule": "cosine", "temperature": 4.5, "mask_id": MASK}
    condition, region = jnp.full((4, TOKENS), 3), jnp.broadcast_to(jnp.arange(TOKENS) < 8, (4, TOKENS))
    keys = jax.random.split(jax.random.key(0), 4)
    mixed = jax.jit(
        lambda region_BN, keep_B: decode(
            model, condition, region_BN, keys_B=keys, keep_condition=keep_B, return_states=True, **settings
        )
    )
    ids, states = mixed(region, jnp.asarray([False, True, False, True]))
    np.testing.assert_array_equal(ids[::2], run(region=8)[::2])
    np.testing.assert_array_equal(ids[1::2], run(region=8, keep_condition=True)[1::2])
    np.testing.assert_array_equal(states.unknown_KBN.sum(-1)[0], [47, 39, 47, 39])  # cosine of 48, and of 40
    mixed(~region, jnp.zeros(4, bool))
    assert len(calls) == 1  # another region, and nobody's condition kept: the same program


def test_a_wholly_given_example_is_returned_as_it_is():
    ids, _ = run(region=TOKENS, keep_condition=True, return_states=True)
    np.testing.assert_array_equal(ids, 3)


def test_least_confident_tokens_stay_unknown():
    # Place i is sure of code 5 by i: without noise, the last places are known first.
    logits = jnp.zeros((TOKENS, CODES)).at[:, 5].set(jnp.linspace(0.0, 6.0, TOKENS))
    settings = {"temperature": 0.0, "sampling_temperature": 0.0, "schedule": "uniform", "steps": 4}

    def model(ids_BN, _):
        return jnp.broadcast_to(logits, (*ids_BN.shape, CODES))

    ids, states = run(model, return_states=True, **settings)
    np.testing.assert_array_equal(ids[:, 1:], 5)
    for step, left in enumerate((36, 24, 12, 1)):
        np.testing.assert_array_equal(states.unknown_KBN[step], np.broadcast_to(np.arange(TOKENS) < left, (4, 48)))
    by_probability, states_p = run(model, confidence="probability", return_states=True, **settings)
    np.testing.assert_array_equal(states_p.unknown_KBN, states.unknown_KBN)  # one order, as long as there is no noise


def test_confidence_noise_anneals_to_nothing():
    logits = jnp.zeros((TOKENS, CODES)).at[:, 5].set(jnp.linspace(3.0, 6.0, TOKENS))

    def model(ids_BN, _):
        return jnp.broadcast_to(logits, (*ids_BN.shape, CODES))

    settings = {"steps": 2, "schedule": "uniform", "sampling_temperature": 0.0, "return_states": True}
    _, noisy = run(model, batch=64, temperature=1e6, **settings)
    per_place = np.asarray(noisy.unknown_KBN[0].mean(0))  # half of the places, whatever their confidence
    assert abs(per_place[:24].mean() - 0.5) < 0.05 and abs(per_place[24:].mean() - 0.5) < 0.05
    # The last step has no noise: of the 24 places left, the least confident one stays.
    left = np.where(np.asarray(noisy.unknown_KBN[0]), np.arange(TOKENS), TOKENS).min(-1)
    np.testing.assert_array_equal(np.asarray(noisy.unknown_KBN[1]).argmax(-1), left)


def test_at_temperature_zero_jit_batch_and_seed_change_nothing():
    settings = {"temperature": 0.0, "sampling_temperature": 0.0, "region": 8}
    ids = run(**settings)
    np.testing.assert_array_equal(ids, run(seed=1, **settings))
    np.testing.assert_array_equal(ids[:1], run(batch=1, **settings))
    unjitted = decode(
        toy,
        jnp.full((1, TOKENS), 3),
        jnp.asarray(np.arange(TOKENS)[None] < 8),
        mask_id=MASK,
        keys_B=jax.random.split(jax.random.key(2), 1),
        steps=12,
        schedule="cosine",
        temperature=0.0,
        sampling_temperature=0.0,
    )
    np.testing.assert_array_equal(ids[:1], unjitted)


def test_eight_devices_give_what_one_gives_at_temperature_zero_and_above():
    mesh = jax.sharding.Mesh(jax.devices(), "data")
    keys = jax.random.split(jax.random.key(0), 8)
    inputs = jnp.full((8, TOKENS), 3), jnp.broadcast_to(jnp.arange(TOKENS) < 8, (8, TOKENS)), keys
    over_batch = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    for temperatures in ({"temperature": 0.0, "sampling_temperature": 0.0}, {"temperature": 4.5}):
        settings = {"mask_id": MASK, "steps": 12, "schedule": "cosine"} | temperatures
        decode_all = jax.jit(lambda *x, settings=settings: decode(toy, *x[:2], keys_B=x[2], **settings))
        spread = decode_all(*jax.device_put(inputs, over_batch))
        assert len(spread.sharding.device_set) == 8
        np.testing.assert_array_equal(spread, decode_all(*inputs))


def test_a_sample_depends_on_its_own_key_alone():
    condition, region = jnp.zeros((6, TOKENS), jnp.int32), jnp.zeros((6, TOKENS), bool)
    keys = jax.random.split(jax.random.key(7), 6)
    settings = {"mask_id": MASK, "steps": 4, "schedule": "cosine", "temperature": 2.0}
    decode_all = jax.jit(lambda *x: decode(toy, *x[:2], keys_B=x[2], **settings))
    whole = decode_all(condition, region, keys)
    np.testing.assert_array_equal(whole[2:4], decode_all(condition[2:4], region[2:4], keys[2:4]))
    assert len({row.tobytes() for row in np.asarray(whole)}) == 6


def test_sampled_frequencies_follow_the_softmax_at_its_temperature():
    p = np.array([0.7, 0.2, 0.1, 0.0], np.float32)
    logits = jnp.log(jnp.asarray(p) + 1e-12)

    def model(ids_BN, _):
        return jnp.broadcast_to(logits, (*ids_BN.shape, 4))

    ids = run(model, batch=100, steps=1, temperature=0.0, sampling_temperature=0.5)
    frequencies = np.bincount(np.asarray(ids).ravel(), minlength=4) / 4800
    np.testing.assert_allclose(frequencies, p**2 / np.sum(p**2), atol=0.02)
    top = np.asarray(run(model, batch=100, steps=1, temperature=0.0, top_k=2)).ravel()
    np.testing.assert_allclose(np.bincount(top, minlength=4) / 4800, [7 / 9, 2 / 9, 0, 0], atol=0.02)


def test_guidance_is_l_plus_s_times_l_minus_u_in_one_call():
    calls = []

    def model(ids_BN, unconditional_B):
        calls.append(ids_BN.shape)
        conditional = jnp.asarray([2.0, 1.0, 0.0])  # u = (3, 0, 0): l + s (l - u) = (2 - s, 1 + s, 0)
        unconditional = jnp.asarray([3.0, 0.0, 0.0])
        logits = jnp.where(unconditional_B[:, None, None], unconditional[None, None], conditional[None, None])
        return jnp.broadcast_to(logits, (*ids_BN.shape, 3))

    settings = {"mask_id": 3, "temperature": 0.0, "sampling_temperature": 0.0, "steps": 2}
    assert not np.any(run(model, **settings))
    assert calls == [(4, TOKENS)]
    assert not np.any(run(model, guidance_scale=0.4, **settings))
    np.testing.assert_array_equal(run(model, guidance_scale=0.6, **settings), 1)
    assert calls[-1] == (8, TOKENS)
    _, states = run(model, guidance_scale=(0.0, 0.6), return_states=True, **settings)  # a schedule
    assert not np.any(states.ids_KBN[0]) and np.any(states.ids_KBN[1] == 1)


def test_factors_are_joined_and_their_log_probabilities_added():
    rng = np.random.default_rng(3)
    logits = jnp.asarray(rng.normal(0, 2, (TOKENS, 2, 4)), jnp.float32)

    def model(ids_BN, _):
        return jnp.broadcast_to(logits, (*ids_BN.shape, 2, 4))

    settings = {"temperature": 0.0, "sampling_temperature": 0.0, "steps": 2, "schedule": "uniform"}
    ids, states = run(model, return_states=True, **settings)
    best = np.asarray(logits).argmax(-1)
    np.testing.assert_array_equal(ids, np.broadcast_to(best[:, 0] + 4 * best[:, 1], ids.shape))
    confidence = np.asarray(jax.nn.log_softmax(logits)).max(-1).sum(-1)
    left = np.argsort(confidence)[:24]
    np.testing.assert_array_equal(np.flatnonzero(states.unknown_KBN[0, 0]), np.sort(left))


def test_mistakes_are_named():
    for settings, message in [
        ({"steps": 0}, "0 steps"),
        ({"schedule": "linear"}, "uniform, cosine"),
        ({"temperature": -1.0}, "0 or more"),
        ({"top_k": 0}, "top_k 0"),
        ({"confidence": "entropy"}, "log_probability, probability"),
        ({"guidance_scale": (1.0, 2.0)}, "one for each of 12"),
    ]:
        with pytest.raises(UserError, match=message):
            run(**settings)

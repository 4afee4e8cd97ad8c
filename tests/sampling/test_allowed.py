"""Decoding within ranges of ids: what is drawn, and with which probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.sampling.autoregressive import decode, recompute

LOGITS = jnp.log(jnp.asarray([0.4, 0.1, 0.2, 0.05, 0.15, 0.1]))


def model(tokens):
    """The same distribution for every token."""
    return recompute(lambda ids, _: jnp.broadcast_to(LOGITS[None, None, None], (*ids.shape, 1, 6)), tokens)


def sample(allowed, count=4000, **settings):
    keys = jax.random.split(jax.random.key(0), count)
    allowed_BN2 = jnp.broadcast_to(jnp.asarray(allowed, jnp.int32)[None], (count, len(allowed), 2))
    shape = dict(num_tokens=len(allowed), keys_B=keys, allowed_BN2=allowed_BN2)
    return np.asarray(jax.jit(lambda: decode(*model(len(allowed)), **shape, **settings))())


def test_a_range_leaves_the_proportions_of_what_is_in_it():
    ids = sample([(1, 5), (3, 4), (0, 6), (2, 2)])
    share = np.bincount(ids[:, 0], minlength=6) / len(ids)
    np.testing.assert_allclose(share, [0, 0.2, 0.4, 0.1, 0.3, 0], atol=0.03)
    assert set(ids[:, 1]) == {3}  # one may come, so it comes
    np.testing.assert_allclose(np.bincount(ids[:, 2]) / len(ids), np.exp(LOGITS), atol=0.03)
    assert set(ids[:, 3]) == {0}  # nothing may come


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict(temperature=0.0), {2}),
        (dict(top_k=2), {2, 4}),
        (dict(top_p=0.6, temperature=0.9), {2, 4}),
        (dict(temperature=0.01), {2}),
    ],
)
def test_settings_count_within_the_range(settings, expected):
    """The two likeliest of all are outside of it. Where nothing may come, 0 does."""
    ids = sample([(1, 5), (2, 2)], 300, **settings)
    assert set(ids[:, 0]) == expected and not ids[:, 1].any()


def test_what_cannot_be_is_refused():
    keys = jax.random.split(jax.random.key(0), 2)
    with pytest.raises(UserError, match=r"allowed ids \(2, 3, 2\): expected \(2, 2, 2\)"):
        decode(*model(2), num_tokens=2, keys_B=keys, allowed_BN2=jnp.zeros((2, 3, 2), jnp.int32))
    two = recompute(lambda ids, _: jnp.zeros((*ids.shape, 2, 6)), 1)
    with pytest.raises(UserError, match="allowed ids for codes of 2 factors: expected one"):
        decode(*two, num_tokens=1, keys_B=keys, allowed_BN2=jnp.ones((2, 1, 2), jnp.int32))

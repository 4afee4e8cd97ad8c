"""Token-by-token decoding on a table of logits, and what a draw leaves out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.sampling.autoregressive import decode, recompute
from magvit_jax.sampling.draw import draw, keep_top_k, keep_top_p

KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(jnp.arange(3))


def chain(logits_VV):
    """A model whose next token depends on the last one alone; before the first stands token 0."""

    def logits(ids, unconditional):
        before = jnp.concatenate([jnp.zeros((ids.shape[0], 1), jnp.int32), ids[:, :-1]], axis=1)
        return logits_VV[before][:, :, None]

    return logits


def test_samples_have_the_probabilities_of_the_model():
    logits_VV = jnp.asarray(np.random.default_rng(3).normal(0, 0.4, (4, 4)), jnp.float32)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(20_000))
    ids = np.asarray(
        jax.jit(lambda: decode(*recompute(chain(logits_VV), 2), num_tokens=2, keys_B=keys, temperature=0.5))()
    )
    share_VV = np.asarray(jax.nn.softmax(logits_VV / 0.5, axis=-1))
    np.testing.assert_allclose(np.bincount(ids[:, 0], minlength=4) / len(ids), share_VV[0], atol=0.015)
    for first in range(4):
        after = ids[ids[:, 0] == first, 1]
        np.testing.assert_allclose(np.bincount(after, minlength=4) / len(after), share_VV[first], atol=0.05)


def test_top_k_and_top_p_written_out():
    logits = jnp.log(jnp.asarray([[0.1, 0.4, 0.2, 0.3]]))
    infinite = np.isinf
    np.testing.assert_array_equal(infinite(keep_top_k(logits, 2))[0], [True, False, True, False])
    for share, hidden in (
        (0.39, [True, False, True, True]),
        (0.5, [True, False, True, False]),
        (0.75, [True, False, False, False]),
        (1.0, [False] * 4),
    ):
        np.testing.assert_array_equal(infinite(keep_top_p(logits, share))[0], hidden)
    ids, sub = draw(jnp.tile(logits[:, None, None], (3, 1, 2, 1)), KEYS, 1.0, top_p=0.01)
    np.testing.assert_array_equal(ids, [[5], [5], [5]])  # sub-ids 1 and 1 of 4
    np.testing.assert_array_equal(sub, np.ones((3, 1, 2)))
    # The share is that of the probabilities at the temperature: flatter ones need more ids to hold it.
    many, keys = jnp.tile(logits[:, None], (60, 1, 1)), jax.random.split(jax.random.key(0), 60)
    assert set(np.unique(draw(many, keys, 4.0, None, 0.5)[0])) == {1, 3}
    assert set(np.unique(draw(many, keys, 0.25, None, 0.5)[0])) == {1}


def test_mistakes_are_named():
    model = recompute(chain(jnp.zeros((4, 4))), 2)
    for settings, message in (
        (dict(num_tokens=0), "0 tokens to decode"),
        (dict(temperature=-1.0), "temperature -1.0"),
        (dict(top_k=0), "top_k 0"),
        (dict(top_p=0.0), "top_p 0.0"),
        (dict(given_BN=jnp.zeros((3, 2), jnp.int32)), "expected both, or neither"),
        (dict(given_BN=jnp.zeros((3, 1), jnp.int32), is_given_BN=jnp.zeros((3, 1), bool)), r"expected \(3, 2\)"),
    ):
        with pytest.raises(UserError, match=message):
            decode(*model, **(dict(num_tokens=2, keys_B=KEYS) | settings))

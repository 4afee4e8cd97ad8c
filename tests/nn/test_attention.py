import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.nn.attention import attend
from magvit_jax.nn.dropout import Dropout, keep_mask

SHAPE = (2, 3, 7, 8)
Q, K, V, UP = (jnp.asarray(np.random.default_rng(i).normal(0, 1, SHAPE), jnp.float32) for i in range(4))


def naive(q, k, v, mask=None, kept=None, rate=0.0):
    """The definition, differentiated by JAX."""
    scores = jnp.einsum("bnle,bnse->bnls", q, k) / jnp.sqrt(jnp.asarray(q.shape[-1], q.dtype))
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1)
    if kept is not None:
        weights = jnp.where(kept, weights / (1 - rate), 0.0)
    return jnp.einsum("bnls,bnse->bnle", weights, v)


def attention(q, k, v, mask=None, **options):
    """`attend`, heads first."""
    swap = lambda x: jnp.swapaxes(x, 1, 2)  # noqa: E731
    return swap(attend(swap(q), swap(k), swap(v), mask, **options))


def both(function, *inputs):
    def out_and_gradients(*inputs):
        out, pull = jax.vjp(function, *inputs)
        return out, pull(UP.astype(out.dtype))

    return jax.jit(out_and_gradients)(*inputs)


@pytest.mark.parametrize(("masked", "rate"), [(False, 0.0), (True, 0.4)])
def test_value_and_gradients_equal_the_definition(masked, rate):
    mask = jnp.tril(jnp.ones((7, 7), bool))[None, None] if masked else None
    key = jax.random.key(3)
    kept = keep_mask(key, rate, (2, 3, 7, 7)) if rate else None
    got = both(lambda q, k, v: attention(q, k, v, mask, dropout=rate, dropout_key=key), Q, K, V)
    want = both(lambda q, k, v: naive(q, k, v, mask, kept, rate), Q, K, V)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=3e-6), got, want)


def test_scores_of_any_size_stay_finite():
    got = both(lambda q, k, v: attention(q, k, v), Q * 1e3, K * 1e3, V)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(got))


def test_a_hidden_key_gets_exactly_no_gradient():
    mask = (jnp.arange(7) != 4)[None, None, None]
    _, (_, d_k, d_v) = both(lambda q, k, v: attention(q, k, v, mask), Q, K, V)
    assert not np.any(d_k[:, :, 4]) and not np.any(d_v[:, :, 4])
    assert np.all(np.any(d_v[:, :, :4] != 0, axis=-1))


def test_bfloat16_has_a_float32_softmax():
    low = tuple(x.astype(jnp.bfloat16) for x in (Q, K, V))
    got = both(lambda q, k, v: attention(q, k, v), *low)
    want = both(lambda q, k, v: naive(q, k, v), *(x.astype(jnp.float32) for x in low))
    assert all(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(got))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a.astype(jnp.float32), b, atol=0.04), got, want)


def test_keep_mask_has_its_rate_and_independent_halves():
    kept = np.asarray(keep_mask(jax.random.key(0), 0.1, (300, 101)))
    assert kept.shape == (300, 101) and abs(kept.mean() - 0.9) < 0.006
    even, odd = kept[:, :100:2].ravel(), kept[:, 1:100:2].ravel()
    assert abs(np.corrcoef(even, odd)[0, 1]) < 0.03
    assert np.asarray(keep_mask(jax.random.key(0), 0.0, (9, 9))).all()


def test_dropout_keeps_the_mean_and_is_off_when_deterministic():
    module, x = Dropout(0.25), jnp.ones((200, 100))
    y = np.asarray(module.apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(0)}))
    np.testing.assert_allclose(np.unique(y), [0.0, 4 / 3], rtol=1e-6)
    assert abs(y.mean() - 1) < 0.02
    np.testing.assert_array_equal(module.apply({}, x, deterministic=True), x)

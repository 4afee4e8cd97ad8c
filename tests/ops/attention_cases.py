"""Random inputs and masks for the tests of attention, and the comparison with the definition."""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.reference import reference

# Largest difference as a share of the largest number of the array, by dtype.
TOLERANCE = {jnp.float32: 4e-6, jnp.bfloat16: 1.6e-2}


def _int(*rows):
    """int32 of one dimension, or of two."""
    return jnp.asarray(rows, jnp.int32)


def _packed(queries: int, keys: int) -> Mask:
    """Two parts an example. A query of the first sees no key, and a key of the second is seen by no query."""
    share = [np.minimum(np.arange(n) * 2 // n, 1) for n in (queries, keys)]
    lone = np.where(np.arange(queries) == 2, 5, share[0])
    odd = np.where(np.arange(keys) == 1, 9, share[1])
    return Mask.full(q_segment_BL=_int(lone, share[0] * 2), k_segment_BS=_int(share[1], odd * 2))


# Of L queries and S keys, for two examples.
MASKS = {
    "full": lambda queries, keys: Mask.full(),
    "lengths": lambda queries, keys: Mask.full(lengths_B=_int(keys // 3, keys)),
    "causal": lambda queries, keys: Mask.causal(),
    "causal from an offset": lambda queries, keys: Mask.causal(query_offset=jnp.asarray(keys // 4, jnp.int32)),
    "causal from offsets, lengths": lambda queries, keys: Mask.causal(
        query_offset=_int(0, keys // 2), lengths_B=_int(keys - 2, keys // 2)
    ),
    "prefix": lambda queries, keys: Mask.prefix_lm(_int(0, keys * 2 // 3)),
    "prefix, lengths": lambda queries, keys: Mask.prefix_lm(_int(keys // 4, keys), lengths_B=_int(keys, keys // 2)),
    "segments": _packed,
    "causal segments": lambda queries, keys: _packed(queries, keys).replace(kind="causal"),
}


def case(dtype, queries: int, keys: int, heads: int = 2, groups: int = 1, width: int = 64, seed: int = 0):
    """q, k, v and the gradient of the output, of a batch of two."""
    random = np.random.default_rng([seed, queries, keys, heads, groups, width])
    shapes = [(2, queries, heads, width), (2, keys, groups, width), (2, keys, groups, width)]
    return tuple(jnp.asarray(random.normal(size=shape), dtype) for shape in (*shapes, shapes[0]))


def with_gradients(function, inputs, mask) -> tuple[jax.Array, ...]:
    """(out, d_q, d_k, d_v) of function(q, k, v, mask, scale)."""
    *inputs, up = inputs
    scale = inputs[0].shape[-1] ** -0.5

    @jax.jit
    def run(q, k, v, up, mask):
        out, pull = jax.vjp(lambda q, k, v: function(q, k, v, mask, scale), q, k, v)
        return out, *pull(up)

    return run(*inputs, up, mask)


def check_against_reference(function, mask, inputs) -> None:
    """Value and gradients; the definition gets the same numbers in float32."""
    got = with_gradients(function, inputs, mask)
    want = with_gradients(reference, tuple(x.astype(jnp.float32) for x in inputs), mask)
    tolerance = TOLERANCE[inputs[0].dtype.type]
    for name, a, b in zip(("out", "d_q", "d_k", "d_v"), got, want, strict=True):
        assert a.dtype == inputs[0].dtype and a.shape == b.shape, name
        b = np.asarray(b)
        np.testing.assert_allclose(np.asarray(a, np.float32), b, atol=tolerance * np.max(np.abs(b)), err_msg=name)

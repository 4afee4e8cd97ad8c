"""Which implementation of attention is chosen, and what its errors say."""

import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.ops import attention
from magvit_jax.ops.attention.choose import choose
from magvit_jax.ops.attention.masks import Mask

SHAPE, LONG = (2, 1026, 4, 64), (2, 8192, 4, 64)
BF16, F32 = jnp.bfloat16, jnp.float32
LENGTHS = Mask.causal(lengths_B=np.zeros(2, np.int32))
PREFIX = Mask.prefix_lm(np.zeros(2, np.int32))


@pytest.mark.parametrize(
    ("backend", "q", "k", "dtype", "mask", "dropout", "name"),
    [
        ("cpu", SHAPE, SHAPE, F32, None, 0.0, "xla"),
        ("cpu", LONG, LONG, F32, None, 0.0, "chunked"),
        ("cpu", SHAPE, SHAPE, F32, np.ones((1, 1, 1026, 1026), bool), 0.1, "xla"),
        ("tpu", SHAPE, SHAPE, BF16, PREFIX, 0.0, "pallas_tpu"),
        ("tpu", SHAPE, SHAPE, F32, LENGTHS, 0.1, "pallas_tpu"),
        ("tpu", SHAPE, SHAPE, jnp.float16, None, 0.0, "chunked"),
        ("tpu", (2, 5, 4, 64), (2, 5, 4, 64), BF16, None, 0.0, "xla"),
        ("tpu", (2, 1, 4, 64), LONG, BF16, LENGTHS, 0.0, "pallas_tpu"),
        ("tpu", (2, 1, 4, 64), SHAPE[:1] + (100, 4, 64), BF16, LENGTHS, 0.0, "xla"),
        ("gpu", SHAPE, SHAPE, BF16, LENGTHS, 0.0, "cudnn"),
        ("gpu", SHAPE, SHAPE, BF16, PREFIX, 0.0, "chunked"),
        ("gpu", SHAPE, SHAPE, F32, None, 0.0, "chunked"),
        ("gpu", SHAPE, SHAPE, BF16, None, 0.1, "chunked"),
        ("gpu", (2, 1026, 4, 256), (2, 1026, 4, 256), BF16, None, 0.0, "chunked"),
        ("gpu", (2, 1, 4, 64), LONG, BF16, LENGTHS, 0.0, "xla"),
    ],
)
def test_the_choice_by_backend_shapes_and_mask(backend, q, k, dtype, mask, dropout, name):
    assert choose(backend, q, k, dtype, mask, dropout) == name


X = jnp.zeros((2, 6, 4, 8))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((X, X[:, :, :3], X[:, :, :3]), {}, "4 heads of queries are no multiple of the 3"),
        ((X, X[..., :4], X[..., :4]), {}, r"\(2, 6, 4, 8\), k \(2, 6, 4, 4\).*batch and head width"),
        ((X, X, X[:, :5]), {}, r"v \(2, 5, 4, 8\): keys and values"),
        ((X[0], X, X), {}, r"q \(6, 4, 8\).*expected \[B, L, N, E\]"),
        ((X, X.astype(BF16), X), {}, "float32, bfloat16, float32"),
        ((X, X, X), {"dropout": 1.0}, "dropout 1.0: expected a rate"),
        ((X, X, X), {"dropout": 0.1}, "needs a dropout_key"),
        ((X, X, X), {"scale": 0.0}, "scale 0.0"),
        ((X, X, X), {"implementation": "splash"}, "'splash' is unknown.*pallas_tpu"),
        ((X, X, X), {"implementation": "pallas_tpu"}, "needs a TPU.*'cpu'"),
        ((X, X, X), {"implementation": "cudnn"}, "needs a GPU.*'cpu'"),
        ((X, X, X, jnp.ones((6, 6), bool)), {"implementation": "chunked"}, "takes a Mask"),
        ((X, X, X, jnp.ones((3, 1, 6, 6), bool)), {}, r"mask is bool \(3, 1, 6, 6\).*\(2, 4, 6, 6\)"),
        ((X, X, X, Mask("future")), {}, "'future': expected one of full, causal, prefix"),
        ((X, X, X, Mask("prefix")), {}, "prefix_B belongs to"),
        ((X, X, X, Mask(lengths_B=jnp.zeros(3, jnp.int32))), {}, r"lengths_B is int32 \(3,\), expected int32 \(2,\)"),
        ((X, X, X, Mask(q_segment_BL=jnp.zeros((2, 6), jnp.int32))), {}, "both of q_segment_BL and"),
    ],
)
def test_bad_input_is_one_line_with_its_numbers(arguments, options, words):
    with pytest.raises(UserError, match=words) as error:
        attention(*arguments, **options)
    assert "\n" not in str(error.value)

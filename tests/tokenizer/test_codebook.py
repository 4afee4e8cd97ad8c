"""The use of a codebook within a batch against counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.metrics import CodebookCounts
from magvit_jax.tokenizer.codebook import batch_use


@pytest.mark.parametrize("codes", [4, 16, 1000])
def test_equals_counting(codes):
    ids = np.random.default_rng(0).integers(min(codes, 12), size=(2, 3, 5, 4))
    use, perplexity = jax.jit(batch_use, static_argnums=1)(jnp.asarray(ids), codes)
    counts = CodebookCounts.empty(codes).update(ids)
    assert float(use) == pytest.approx(counts.usage * codes / min(codes, ids.size))
    assert float(perplexity) == pytest.approx(counts.perplexity, rel=1e-5)


def test_extremes():
    use, perplexity = batch_use(jnp.full((2, 8), 7), 1024)
    assert float(use) == pytest.approx(1 / 16) and float(perplexity) == pytest.approx(1.0)
    use, perplexity = batch_use(jnp.arange(16) * 2**26 % 2**30, 2**30)
    assert float(use) == pytest.approx(1.0) and float(perplexity) == pytest.approx(16.0, rel=1e-5)


def test_memory_does_not_grow_with_the_codebook():
    ids = jax.ShapeDtypeStruct((4, 64), jnp.int32)
    text = str(jax.make_jaxpr(lambda ids: batch_use(ids, 2**30))(ids))
    assert str(2**30) not in text.replace(":i32[]", "")
    compiled = jax.jit(lambda ids: batch_use(ids, 2**30)).lower(ids).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 64 * ids.size

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import CodebookCounts


def test_numbers_written_out():
    counts = CodebookCounts.empty(8).update(np.array([[0, 0, 1], [1, 3, 3]]))
    assert (counts.total, counts.usage) == (6, 3 / 8)
    assert counts.entropy == pytest.approx(np.log(3))
    assert counts.perplexity == pytest.approx(3)


def test_even_use_has_the_perplexity_of_the_codebook():
    counts = CodebookCounts.empty(2**18).update(np.arange(2**18))
    assert counts.usage == 1 and counts.perplexity == pytest.approx(2**18)


def test_streaming_and_merging_equal_one_count():
    ids = np.random.default_rng(0).integers(0, 32, (6, 50))
    whole = CodebookCounts.empty(32).update(ids)
    left, right = CodebookCounts.empty(32).update(ids[:2]).update(ids[2]), CodebookCounts.empty(32).update(ids[3:])
    np.testing.assert_array_equal(left.merge(right).counts_K, whole.counts_K)


def test_nothing_counted_is_zero_and_wrong_ids_are_refused():
    empty = CodebookCounts.empty(4)
    assert (empty.usage, empty.entropy, empty.total) == (0.0, 0.0, 0)
    for ids in ([4], [-1]):
        with pytest.raises(UserError, match=r"\[0, 4\)"):
            empty.update(ids)
    with pytest.raises(UserError, match="merged"):
        empty.merge(CodebookCounts.empty(5))

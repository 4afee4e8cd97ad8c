"""CLIPSIM, LPIPS, bits per pixel and BLEU by hand; their mistakes by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.metrics import (
    BleuCounts,
    CodebookCounts,
    bits_per_pixel,
    bleu,
    clip_similarity,
    entropy_bits_per_pixel,
)
from magvit_jax.metrics.lpips import lpips_distance


def test_clipsim_is_the_mean_cosine_over_frames():
    frames = np.float32([[[2.0, 0.0], [0.0, 3.0]], [[1.0, 1.0], [-1.0, -1.0]]])
    texts = np.float32([[5.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(clip_similarity(frames, texts), [0.5, 0.0], atol=1e-12)


def test_clipsim_needs_features_that_fit_and_have_a_length():
    with pytest.raises(UserError, match=r"expected \[N, T, F\] and \[N, F\]"):
        clip_similarity(np.ones((2, 3, 4)), np.ones((3, 4)))
    with pytest.raises(UserError, match="texts with features of length 0"):
        clip_similarity(np.ones((1, 3, 4)), np.zeros((1, 4)))


def test_lpips_written_out_in_float64():
    rng = np.random.default_rng(0)
    maps_a, maps_b = ([rng.normal(size=(2, s, s + 1, c)) for s, c in ((6, 3), (3, 8))] for _ in range(2))
    heads = [rng.uniform(size=c) for c in (3, 8)]
    expected = np.zeros(2)
    for a, b, head in zip(maps_a, maps_b, heads, strict=True):
        a, b = (x / np.sqrt((x**2).sum(-1, keepdims=True)) for x in (a, b))
        expected += (((a - b) ** 2) @ head).mean((1, 2))
    arguments = [[jnp.asarray(x, jnp.float32) for x in xs] for xs in (maps_a, maps_b, heads)]
    np.testing.assert_allclose(jax.jit(lpips_distance)(*arguments), expected, rtol=1e-5)


def test_lpips_of_a_picture_and_itself_is_zero_even_where_nothing_fires():
    maps = [jnp.zeros((1, 4, 4, 2))]
    assert lpips_distance(maps, maps, [jnp.ones(2)])[0] == 0.0
    with pytest.raises(UserError, match=r"lpips of \(1, 1, 2\) layers"):
        lpips_distance(maps, maps, [jnp.ones(2)] * 2)
    with pytest.raises(UserError, match="must fit"):
        lpips_distance(maps, maps, [jnp.ones(3)])


def test_bits_per_pixel_of_magvit():
    """Ten bits for 4 x 8 x 8 pixels (thesis 5.4.3)."""
    assert bits_per_pixel(4 * 16 * 16, 1024, 16 * 128 * 128) == pytest.approx(10 / 256)


def test_entropy_coding_needs_no_more_than_fixed_length():
    counts = CodebookCounts.empty(4).update([0, 0, 1, 2])
    assert entropy_bits_per_pixel(counts, 8) == pytest.approx(1.5 * 4 / 8)
    even = CodebookCounts.empty(4).update([0, 1, 2, 3])
    assert entropy_bits_per_pixel(even, 8) == pytest.approx(bits_per_pixel(4, 4, 8))
    with pytest.raises(UserError, match="0 tokens for 8 pixels"):
        entropy_bits_per_pixel(CodebookCounts.empty(4), 8)
    with pytest.raises(UserError, match="bits of 4 tokens of 1 codes"):
        bits_per_pixel(4, 1, 8)


def test_bleu_by_hand():
    hypothesis, reference = "the cat sat on the mat".split(), "the cat sat on a mat".split()
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; as long as the reference
    expected = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu([hypothesis], [[reference]]) == pytest.approx(expected)
    # "the" occurs once in the reference: it is counted once
    assert list(BleuCounts.of(hypothesis, [reference]).matched_4) == [5, 3, 2, 1]


def test_a_short_hypothesis_pays_for_its_brevity():
    reference = list(range(8))
    assert bleu([reference[:6]], [[reference]]) == pytest.approx(np.exp(1 - 8 / 6))
    assert bleu([reference + [9]], [[reference]]) < 1.0  # longer ones pay by precision
    # of two references equally near in length the shorter counts
    assert BleuCounts.of([1] * 5, [[1] * 6, [1] * 4]).reference_length == 4


def test_bleu_in_parts_is_bleu_of_the_whole():
    rng = np.random.default_rng(0)
    sentences = [list(rng.integers(5, size=rng.integers(1, 12))) for _ in range(30)]
    references = [[list(rng.integers(5, size=9))] for _ in range(30)]
    left = BleuCounts.empty()
    for sentence, reference in zip(sentences[:7], references[:7], strict=True):
        left = left.update(sentence, reference)
    right = BleuCounts.empty()
    for sentence, reference in zip(sentences[7:], references[7:], strict=True):
        right = right.update(sentence, reference)
    assert right.merge(left).score() == bleu(sentences, references)


def test_bleu_without_a_match():
    assert bleu([[1, 2, 3, 4]], [[[5, 6, 7, 8]]]) == 0.0
    assert bleu([[1, 2, 3, 4]], [[[1, 9, 9, 9]]]) == 0.0
    assert 0 < bleu([[1, 2, 3, 4]], [[[1, 9, 9, 9]]], smoothing="epsilon") < 0.2
    assert BleuCounts.empty().score() == 0.0
    with pytest.raises(UserError, match="1 sentences and 2 sets of references"):
        bleu([[1]], [[[1]], [[1]]])
    with pytest.raises(UserError, match="without references"):
        bleu([[1]], [[]])
    with pytest.raises(UserError, match="smoothing 'exp'"):
        bleu([[1]], [[[1]]], smoothing="exp")

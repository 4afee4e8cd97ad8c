"""CLIP's tokenizer against ids that are worked out by hand."""

import importlib.util
import sys

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.pretrained.clip_tokenizer import ClipTokenizer

PAIRS = ("t h", "th e</w>", "o w", "l ow</w>", "l l", "a n", "an a", "a na</w>", "h e")
MERGES = ("#version: 0.2\n" + "\n".join(PAIRS) + "\nl o\n").encode()
# Ids: 256 bytes, in the middle of a word; the same at its end; merges; the two marks.
THE, LOW, LL = 513, 515, 516
START, END = 521, 522


@pytest.fixture(scope="module")
def tokenizer():
    return ClipTokenizer(MERGES, vocabulary=523, context=8)


def middle(character):
    """The visible ones of ASCII are first, from 33 on."""
    return ord(character) - 33


def last(character):
    return middle(character) + 256


def test_merges_in_the_order_of_their_ranks(tokenizer):
    assert tokenizer.encode("the") == [THE]
    # "l ow</w>" needs "ow</w>", which no merge makes: "o w" is within a word only. The last line is not used.
    assert tokenizer.encode("low") == [middle("l"), middle("o"), last("w")]
    assert tokenizer.encode("lows") == [middle("l"), 514, last("s")]
    # "t h" comes before "h e", which overlaps it.
    assert tokenizer.encode("thex") == [512, middle("e"), last("x")]
    # Every occurrence of the best pair is joined before the next pair is looked for.
    assert tokenizer.encode("banana") == [middle("b"), 517, 517, last("a")]
    assert tokenizer.encode("llll") == [LL, middle("l"), last("l")]


def test_words(tokenizer):
    assert tokenizer.encode("  THE\t\nThe ") == [THE, THE]
    assert tokenizer.encode("a") == [320]  # as of the released vocabulary
    assert tokenizer.encode("42") == [last("4"), last("2")]
    assert tokenizer.encode("x's") == [last("x"), middle("'"), last("s")]
    assert tokenizer.encode("x'd2") == [last("x"), middle("'"), last("d"), last("2")]
    assert tokenizer.encode("x's'") == tokenizer.encode("x") + tokenizer.encode("'s") + tokenizer.encode("'")
    assert tokenizer.encode("!?'s") == [middle("!"), middle("?"), last("'"), last("s")]
    assert tokenizer.encode("a_b") == [last("a"), last("_"), last("b")]
    assert tokenizer.encode("") == []


@pytest.mark.skipif(importlib.util.find_spec("ftfy") is None, reason="needs the extra `text`")
def test_other_alphabets(tokenizer):
    # Bytes by ids: 21-7e from 0, a1-ac from 94, ae-ff from 106, 00-20 from 188, 7f, 80-a0 from 222, ad.
    assert tokenizer.encode("\u00e9") == [127, 102 + 256]  # c3 a9
    assert tokenizer.encode("\u0440") == [141, 222 + 256]  # d1 80
    assert tokenizer.encode("\u2463\u2463") == [158, 239, 96 + 256] * 2  # e2 91 a3, a numeral
    assert tokenizer.encode("don\u2019t") == tokenizer.encode("don't")
    # ftfy leaves entities alone where there is a "<".
    assert tokenizer.encode("< &amp;amp;") == [last("<"), last("&")]
    assert tokenizer.encode("schÃ¶n") == tokenizer.encode("sch\u00f6n")


def test_more_than_ascii_needs_ftfy(tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert tokenizer.encode("the") == [THE]
    with pytest.raises(UserError, match=r"text 'caf.' is more than plain ASCII: CLIP needs ftfy"):
        tokenizer.encode("caf\u00e9")


def test_rows(tokenizer):
    ids = tokenizer(["the the", "the"], truncate=False)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[START, THE, THE, END, 0, 0, 0, 0], [START, THE, END, 0, 0, 0, 0, 0]]
    full = tokenizer(["the " * 6], truncate=False)
    assert full.tolist() == [[START, *[THE] * 6, END]]
    with pytest.raises(UserError, match=r"'the the the .*has 7 ids: CLIP takes 6 at most"):
        tokenizer(["the " * 7], truncate=False)
    np.testing.assert_array_equal(tokenizer(["the " * 7], truncate=True), full)


def test_files_that_are_no_merges_are_refused():
    with pytest.raises(UserError, match="merges.txt: 10 lines of two symbols after the first; expected 20"):
        ClipTokenizer(MERGES, vocabulary=534, context=8)
    with pytest.raises(UserError, match="merges.txt: 1 lines of two symbols"):
        ClipTokenizer(b"#\na b\nc\nd e\n", vocabulary=517, context=8)
    with pytest.raises(UserError, match="no UTF-8"):
        ClipTokenizer(b"\xff\xfe", vocabulary=517, context=8)

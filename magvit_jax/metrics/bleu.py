"""Corpus BLEU-4 (Papineni et al. 2002) of tokens; streaming and mergeable. Exact integers until the last step."""

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from magvit_jax.errors import UserError

ORDERS = 4
SMOOTHINGS = ("none", "epsilon")
_EPSILON = 0.1  # NLTK's


@dataclasses.dataclass(frozen=True)
class BleuCounts:
    """Counts over the sentences seen so far; `update` and `merge` return new counts.

    Attributes:
      matched_4, possible_4: n-grams of the hypotheses that occur in a reference, clipped, and all of them, int64.
      length, reference_length: tokens of the hypotheses, and of the reference nearest in length to each.
    """

    matched_4: np.ndarray
    possible_4: np.ndarray
    length: int
    reference_length: int

    @classmethod
    def empty(cls) -> "BleuCounts":
        return cls(np.zeros(ORDERS, np.int64), np.zeros(ORDERS, np.int64), 0, 0)

    @classmethod
    def of(cls, hypothesis: Sequence[Hashable], references: Sequence[Sequence[Hashable]]) -> "BleuCounts":
        """Of one sentence of tokens, words or ids, against one or more references. UserError without any."""
        if not references:
            raise UserError("bleu: a sentence without references; expected 1 or more")
        matched, possible = [], []
        for n in range(1, ORDERS + 1):
            found = _ngrams(hypothesis, n)
            allowed = Counter()
            for reference in references:
                allowed |= _ngrams(reference, n)
            matched.append((found & allowed).total())
            possible.append(found.total())
        # The shorter one where two references are equally near.
        nearest = min((abs(len(r) - len(hypothesis)), len(r)) for r in references)[1]
        return cls(np.asarray(matched, np.int64), np.asarray(possible, np.int64), len(hypothesis), nearest)

    def update(self, hypothesis: Sequence[Hashable], references: Sequence[Sequence[Hashable]]) -> "BleuCounts":
        """With one more sentence."""
        return self.merge(self.of(hypothesis, references))

    def merge(self, other: "BleuCounts") -> "BleuCounts":
        """Of both sets of sentences."""
        return BleuCounts(
            self.matched_4 + other.matched_4,
            self.possible_4 + other.possible_4,
            self.length + other.length,
            self.reference_length + other.reference_length,
        )

    def score(self, smoothing: Literal["none", "epsilon"] = "none") -> float:
        """BLEU-4 in [0, 1]; papers often print it times 100. 0 before any sentence.

        Args:
          smoothing: "none" gives 0 where an order has no match; "epsilon" counts 0.1 matches then, which is
            method 1 of NLTK. An order that no hypothesis is long enough for counts one possible n-gram, as
            NLTK does; sacrebleu gives 0.
        """
        if smoothing not in SMOOTHINGS:
            raise UserError(f"smoothing {smoothing!r}: expected one of {', '.join(SMOOTHINGS)}")
        if self.matched_4[0] == 0:
            return 0.0
        floor = 0.0 if smoothing == "none" else _EPSILON
        matched_4 = np.where(self.matched_4 > 0, self.matched_4, floor)
        if not matched_4.all():
            return 0.0
        precision = np.exp(np.mean(np.log(matched_4 / np.maximum(self.possible_4, 1))))
        brevity = np.exp(min(0.0, 1.0 - self.reference_length / self.length))
        return float(brevity * precision)


def bleu(
    hypotheses: Sequence[Sequence[Hashable]],
    references: Sequence[Sequence[Sequence[Hashable]]],
    smoothing: Literal["none", "epsilon"] = "none",
) -> float:
    """Corpus BLEU-4 in [0, 1] of sentences of tokens, each against its references; see `BleuCounts.score`.

    UserError where their numbers differ, or there are none.
    """
    counts = bleu_counts(hypotheses, references)
    return sum_of_counts(counts, np.ones(len(counts), np.int64)).score(smoothing)


def bleu_counts(hypotheses, references) -> list[BleuCounts]:
    """Counts of each sentence by itself, for `bleu` and its bootstrap."""
    if len(hypotheses) != len(references) or not len(hypotheses):
        counts = len(hypotheses), len(references)
        raise UserError(f"bleu of {counts[0]} sentences and {counts[1]} sets of references: expected as many")
    return [BleuCounts.of(h, r) for h, r in zip(hypotheses, references, strict=True)]


def sum_of_counts(counts: Sequence[BleuCounts], times_N: np.ndarray) -> BleuCounts:
    """All counts, sentence i taken `times_N[i]` times."""
    matched_N4, possible_N4 = (np.stack([getattr(c, name) for c in counts]) for name in ("matched_4", "possible_4"))
    lengths_N2 = np.asarray([(c.length, c.reference_length) for c in counts])
    length, reference_length = (times_N @ lengths_N2).tolist()
    return BleuCounts(times_N @ matched_N4, times_N @ possible_N4, length, reference_length)


def _ngrams(tokens: Sequence[Hashable], n: int) -> Counter:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))

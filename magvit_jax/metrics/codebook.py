"""How much of a codebook is in use, from counts of ids (thesis Tab. 5.7d). Streaming and mergeable."""

import dataclasses

import numpy as np

from magvit_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class CodebookCounts:
    """Number of times each code was seen; `update` and `merge` return new counts.

    Attributes:
        counts_K: int64.
    """

    counts_K: np.ndarray

    @classmethod
    def empty(cls, codes: int) -> "CodebookCounts":
        return cls(np.zeros((codes,), np.int64))

    def update(self, ids) -> "CodebookCounts":
        """Adds integer ids of any shape. UserError for an id outside the codebook."""
        ids, codes = np.asarray(ids).reshape(-1), len(self.counts_K)
        if ids.size and (ids.min() < 0 or ids.max() >= codes):
            raise UserError(f"ids between {ids.min()} and {ids.max()}: expected codes in [0, {codes})")
        return CodebookCounts(self.counts_K + np.bincount(ids, minlength=codes))

    def merge(self, other: "CodebookCounts") -> "CodebookCounts":
        """Counts of two disjoint sets of clips."""
        if len(other.counts_K) != len(self.counts_K):
            sizes = len(self.counts_K), len(other.counts_K)
            raise UserError(f"codebooks of {sizes[0]} and {sizes[1]} codes cannot be merged")
        return CodebookCounts(self.counts_K + other.counts_K)

    @property
    def total(self) -> int:
        return int(self.counts_K.sum())

    @property
    def usage(self) -> float:
        """Share of the codes that were seen at least once, in [0, 1]."""
        return float(np.mean(self.counts_K > 0))

    @property
    def entropy(self) -> float:
        """Entropy of the codes' frequencies in nats, in [0, log K]; 0 before any id."""
        p = self.counts_K[self.counts_K > 0] / max(self.total, 1)
        return float(-np.sum(p * np.log(p)))

    @property
    def perplexity(self) -> float:
        """exp(entropy): the number of codes that, used evenly, would carry as much; in [1, K]."""
        return float(np.exp(self.entropy))

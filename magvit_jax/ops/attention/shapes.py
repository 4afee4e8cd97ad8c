"""Shapes that the benchmarks time and that the TPU kernels are compiled for ahead of time."""

from typing import NamedTuple


class Shape(NamedTuple):
    """One call: B, L, S, N, G, E, and the kind of mask. A prefix LM's prefix is half the sequence."""

    name: str
    batch: int
    queries: int
    keys: int
    heads: int
    groups: int
    width: int
    kind: str


# Tab. 6.1 with 4 x 16 x 16 tokens (Chapter 3) and 5 x 16 x 16 (MAGVIT-v2), each with two prefix tokens.
MAGVIT = (
    Shape("MAGVIT-B", 8, 1026, 1026, 12, 12, 64, "full"),
    Shape("MAGVIT-L", 8, 1026, 1026, 16, 16, 64, "full"),
    Shape("MAGVIT-H", 8, 1026, 1026, 16, 16, 80, "full"),
    Shape("MAGVIT-L, 5 frames", 8, 1282, 1282, 16, 16, 64, "full"),
    Shape("MAGVIT-H, 5 frames", 8, 1282, 1282, 16, 16, 80, "full"),
)

# Decoders of the sizes that VideoPoet has, and its range of lengths.
PREFIX_LM = (
    Shape("prefix LM 300M", 4, 2048, 2048, 16, 16, 64, "prefix"),
    Shape("prefix LM 1B", 2, 2880, 2880, 16, 16, 128, "prefix"),
    Shape("prefix LM 8B", 1, 4928, 4928, 32, 8, 128, "prefix"),
    Shape("prefix LM, wide heads", 1, 4928, 4928, 16, 4, 256, "prefix"),
)

# Caches of the lengths that `caches.cache_length` makes of 2,880 and 4,928 tokens for a TPU.
DECODE = (
    Shape("decode 1B", 8, 1, 3072, 16, 16, 128, "causal"),
    Shape("decode 8B", 8, 1, 5120, 32, 8, 128, "causal"),
)

BENCHMARK = MAGVIT + PREFIX_LM + DECODE

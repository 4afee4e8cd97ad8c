"""Sums that keep what rounding takes from them, so that order and batching do not show in the result."""

import numpy as np


def two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a + b as (rounded sum, what rounding took), float64, exactly (Knuth, TAOCP 4.2.2)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def add(high: np.ndarray, low: np.ndarray, *terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number high + low with terms added to it, again as two float64 numbers whose sum it is."""
    for term in terms:
        high, lost = two_sum(high, term)
        low = low + lost
    return two_sum(high, low)

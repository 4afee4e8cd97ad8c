"""Axes of charts: where they begin and end, and which round numbers are marked on them."""

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Axis:
    """An interval, the ticks inside it with their labels, and whether equal steps are equal ratios."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def fraction(self, value: float) -> float:
        """Where `value` lies between `low` (0) and `high` (1)."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear_axis(values: Sequence[float], tight: bool = False, steps: int = 5) -> Axis:
    """An axis that holds all (finite) `values`.

    Args:
        values: at least one.
        tight: end exactly at the smallest and the largest value (time); otherwise end on ticks.
        steps: about so many intervals between ticks, of 1, 2 or 5 times a power of ten.
    """
    low, high = min(values), max(values)
    if low == high:
        reach = abs(low) * 0.5 or 0.5
        low, high = low - reach, high + reach
    step = _round_step((high - low) / steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [index * step for index in range(first, last + 1)]
    if tight:
        ticks = [tick for tick in ticks if low <= tick <= high]
    else:
        low, high = ticks[0], ticks[-1]
    largest = max(abs(low), abs(high))
    return Axis(low, high, tuple((tick, tick_label(tick, step, largest)) for tick in ticks))


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis that holds all (positive, finite) `values`.

    Ticks stand at powers of ten; over less than two and a half decades at 1, 2 and 5 times powers of ten;
    over many decades at every few.
    """
    low, high = min(values), max(values)
    if low == high:
        low, high = low / 2, high * 2
    decades = math.log10(high / low)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil(decades / 6))
    factors = (1, 2, 5) if decades < 2.5 else (1,)
    candidates = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    below = [tick for tick in candidates if tick <= low * (1 + 1e-9)]
    above = [tick for tick in candidates if tick >= high * (1 - 1e-9)]
    low, high = max(below, default=low), min(above, default=high)
    ticks = [tick for tick in candidates if low <= tick <= high]
    return Axis(low, high, tuple((tick, tick_label(tick, tick, tick)) for tick in ticks), log=True)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if raw <= factor * power * (1 + 1e-9))


def tick_label(value: float, step: float, largest: float) -> str:
    """A short label, exact to the step, such as 0.05, 12, 20k, 1.5M, 2e-07; `largest` decides the suffix."""
    if abs(value) < step * 1e-6:
        return "0"
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if max(size, 1e4) <= largest < 1e13:
            return f"{value / size:.10g}{suffix}"
    if largest >= 1e13 or abs(value) < 1e-4:
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}"

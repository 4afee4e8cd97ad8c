"""Shapes as the optimised HLO prints them: element type, dimensions, and where in a chip's memory."""

import functools
import math
import re
from dataclasses import dataclass

#: Bits of an element.
BITS = {
    "pred": 8, "s2": 2, "u2": 2, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32,
    "s64": 64, "u64": 64, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128, "f4e2m1fn": 4,
}  # fmt: skip
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,<= ]*)\](?:\{([^{}]*)\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_TILE = re.compile(r"T\(([\d,]+)\)")


@dataclass(frozen=True)
class Array:
    """One array of a shape.

    Attributes:
      dtype: as HLO writes it, such as "bf16".
      dims: logical dimensions.
      size: bytes of its elements.
      stored: bytes with the padding of its tiles.
      space: 0 is the chip's main memory (HBM), all else is on the chip itself or on the host.
    """

    dtype: str
    dims: tuple[int, ...]
    size: int
    stored: int
    space: int

    @property
    def hbm(self) -> int:
        """Bytes it takes in HBM."""
        return 0 if self.space else self.stored

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.dims))}]"


@functools.lru_cache(maxsize=65536)
def parse_shape(text: str) -> tuple[Array, ...]:
    """The arrays of a shape, those of nested tuples one after another; tokens and opaque values have none."""
    return tuple(_array(*match.groups()) for match in _ARRAY.finditer(text) if match[1] not in ("token", "opaque"))


def _array(dtype: str, dims: str, layout: str | None) -> Array:
    sizes = tuple(int(size.strip("<= ")) for size in dims.split(",") if size.strip("<= "))
    bits = BITS.get(dtype, 8)  # the many float8 types
    order, _, tiling = (layout or "").partition(":")
    space = _SPACE.search(tiling)
    return Array(
        dtype,
        sizes,
        _bytes(math.prod(sizes), bits),
        _bytes(math.prod(_padded(sizes, order, _TILE.search(tiling))), bits),
        int(space[1]) if space else 0,
    )


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)


def _padded(dims: tuple[int, ...], order: str, tile: re.Match | None) -> list[int]:
    """Dimensions, the minor ones rounded up to whole tiles."""
    sizes = list(dims)
    if tile is None:
        return sizes
    minor_to_major = [int(axis) for axis in order.split(",") if axis]
    steps = [int(step) for step in tile[1].split(",")]
    for axis, step in zip(minor_to_major, reversed(steps), strict=False):
        sizes[axis] = -(-sizes[axis] // step) * step
    return sizes

"""How the TPU kernel cuts its work: paddings, tiles, block specs, and the HBM traffic that follows from them.

The logits lie as [K, N], rows of z along the 128 lanes, so 18 bits fill 24 sublanes of a register; as [N, K]
they would fill 128 lanes, and HBM traffic would be five times as large.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jax.experimental import pallas as pl

SUBLANES, LANES = 8, 128  # of a float32 register
LOW_BITS, HIGH_BITS = 3, 7  # at least so many bits in each half: a table of one register
MAX_CODES_TILE = 512  # a table block is 1 MiB then: two buffers, the operands and their pieces fit 16 MiB
MAX_ROW_TILE = 512


class Plan(NamedTuple):
    """Sizes of one call; hashable, so a custom VJP takes it as a static argument.

    Fields:
      rows, low_bits, high_bits: what the caller has: N, and the bits of each half, K = low_bits + high_bits.
      row_tile: rows of z in a block; `padded_rows` is a multiple of it.
      low_tile, high_tile: a table block is [low_tile, high_tile]; powers of two.
    """

    rows: int
    low_bits: int
    high_bits: int
    row_tile: int
    low_tile: int
    high_tile: int

    @property
    def padded_rows(self) -> int:
        return -(-self.rows // self.row_tile) * self.row_tile

    @property
    def padded_low(self) -> int:
        return max(self.low_bits, LOW_BITS)

    @property
    def padded_high(self) -> int:
        return max(self.high_bits, HIGH_BITS)

    @property
    def padded_bits(self) -> int:
        return self.padded_low + self.padded_high

    @property
    def table_shape(self) -> tuple[int, int]:
        return 2**self.padded_low, 2**self.padded_high

    @property
    def tiles(self) -> tuple[int, int, int]:
        """Table blocks over the first and the second half of the bits, and row blocks."""
        r, s = self.table_shape
        return r // self.low_tile, s // self.high_tile, self.padded_rows // self.row_tile


def make_plan(
    rows: int,
    bits: int,
    split: int | None = None,
    *,
    row_tile: int | None = None,
    codes_tile: int = MAX_CODES_TILE,
) -> Plan:
    """The tiles for N = `rows` and K = `bits`; the first `split` bits (half of them by default) are the
    table's rows.

    Args:
      row_tile: rows of z in a block, a multiple of 128; by default all rows up to 512.
      codes_tile: a table block has at most so many rows and columns; a power of two, at least 128.
    """
    low = bits // 2 if split is None else split
    high = bits - low
    if row_tile is None:
        row_tile = min(MAX_ROW_TILE, -(-rows // LANES) * LANES)
    return Plan(
        rows,
        low,
        high,
        row_tile,
        min(2 ** max(low, LOW_BITS), codes_tile),
        min(2 ** max(high, HIGH_BITS), codes_tile),
    )


class Blocks(NamedTuple):
    """The grid of one kernel and the block specs of what it reads and writes in HBM."""

    grid: tuple[int, ...]
    inputs: tuple[pl.BlockSpec, ...]
    outputs: tuple[pl.BlockSpec, ...]

    @property
    def hbm_bytes(self) -> int:
        """Bytes fetched and written: a block moves whenever its index differs from the step before."""
        return sum(_moved_bytes(self.grid, spec) for spec in (*self.inputs, *self.outputs))


def forward_blocks(plan: Plan) -> Blocks:
    """Rows are innermost, so a table block stays in VMEM until all rows are in it."""
    low, high, rows = plan.tiles
    k, n = plan.padded_bits, plan.row_tile
    return Blocks(
        grid=(low, high, rows),
        inputs=(pl.BlockSpec((k, n), lambda r, s, i: (0, i)), pl.BlockSpec((1, n), lambda r, s, i: (0, i))),
        outputs=(
            pl.BlockSpec((plan.low_tile, plan.high_tile), lambda r, s, i: (r, s)),
            pl.BlockSpec((None, None, 1, n), lambda r, s, i: (r, s, 0, 0)),
        ),
    )


def backward_blocks(plan: Plan) -> Blocks:
    """Table blocks are innermost, so the gradient of a block of rows stays in VMEM until it is whole."""
    low, high, rows = plan.tiles
    k, n = plan.padded_bits, plan.row_tile
    rows_of_z = pl.BlockSpec((k, n), lambda i, r, s: (0, i))
    one_row = pl.BlockSpec((1, n), lambda i, r, s: (0, i))
    return Blocks(
        grid=(rows, low, high),
        inputs=(
            rows_of_z,
            one_row,
            pl.BlockSpec((plan.low_tile, plan.high_tile), lambda i, r, s: (r, s)),
            pl.BlockSpec((1, n), lambda i, r, s: (0, 0)),
        ),
        outputs=(rows_of_z, one_row),
    )


def hbm_bytes(plan: Plan) -> tuple[int, int]:
    """Bytes that the forward and the backward kernel move between HBM and VMEM, paddings counted."""
    return forward_blocks(plan).hbm_bytes, backward_blocks(plan).hbm_bytes


def _moved_bytes(grid: Sequence[int], spec: pl.BlockSpec) -> int:
    moves, last = 0, None
    for step in itertools.product(*map(range, grid)):
        index = _call(spec.index_map, step)
        moves, last = moves + (index != last), index
    sizes = [1 if size is None else size for size in spec.block_shape]
    *leading, sublanes, lanes = sizes
    padded = -(-sublanes // SUBLANES) * SUBLANES * (-(-lanes // LANES)) * LANES
    return moves * math.prod(leading) * padded * 4


def _call(index_map: Callable[..., tuple[int, ...]], step: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in index_map(*step))


def cost(plan: Plan, blocks: Blocks, products: int, passes: int) -> pl.CostEstimate:
    """What the compiler is told of a kernel.

    Args:
      products: matrix products of all rows with the whole table.
      passes: bfloat16 products that one of them takes on the chip.
    """
    low, high, _ = plan.tiles
    return pl.CostEstimate(
        flops=2 * products * passes * plan.padded_rows * math.prod(plan.table_shape),
        transcendentals=4 * low * high * plan.padded_rows * plan.padded_bits,
        bytes_accessed=blocks.hbm_bytes,
    )

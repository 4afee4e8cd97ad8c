"""Which blocks the TPU kernels of attention fetch and compute: those that the mask leaves, and no others."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from attention_cases import MASKS

from magvit_jax.ops.attention import blocks
from magvit_jax.ops.attention.blocks import Limits, Sizes
from magvit_jax.ops.attention.kernel_parts import Static, block_sizes, cost
from magvit_jax.ops.attention.masks import Mask

# Lengths of which no block is a divisor, and blocks of queries and keys of different sizes.
SIZES = Sizes(block_q=16, block_k=24, queries=100, keys=130)


def limits(mask: Mask, sizes: Sizes) -> Limits:
    def whole(x, default):
        return jnp.broadcast_to(jnp.asarray(default if x is None else x, jnp.int32), (2,))

    return Limits(whole(mask.prefix_B, 0), whole(mask.lengths_B, sizes.keys), whole(mask.query_offset, 0))


def left_by(mask: Mask, sizes: Sizes) -> np.ndarray:
    """bool [B, Q, K]: blocks in which the bool mask leaves a bit."""
    seen = np.broadcast_to(np.asarray(mask.visible(sizes.queries, sizes.keys)), (2, sizes.queries, sizes.keys))
    rows, columns = range(0, sizes.queries, sizes.block_q), range(0, sizes.keys, sizes.block_k)
    cut = [[seen[:, q : q + sizes.block_q, k : k + sizes.block_k] for k in columns] for q in rows]
    return np.stack([np.stack([np.any(x, axis=(1, 2)) for x in row], axis=1) for row in cut], axis=1)


def same(*segments: list[int]) -> dict:
    ids = jnp.asarray(segments, jnp.int32)
    return dict(q_segment_BL=ids, k_segment_BS=ids)


PACKED = same([0] * 40 + [1] * 50 + [2] * 10, [3] * 5 + [4] * 90 + [7] * 5)
SLOTS = same([1] * 10 + [0] * 60 + [1] * 30, [1] * 100)  # unused slots in the middle: not neighbours
BLIND = dict(  # the last rows of example 0 and the first of example 1 see nothing
    q_segment_BL=jnp.asarray([[0] * 40 + [1] * 60, [3] * 20 + [4] * 80], jnp.int32),
    k_segment_BS=jnp.asarray([[0] * 100, [4] * 100], jnp.int32),
)
EXACT = {name: mask for name, mask in MASKS.items() if "segments" not in name} | {
    "packed": lambda queries, keys: Mask.full(**PACKED),
    "packed, blind rows": lambda queries, keys: Mask.full(**BLIND),
    "packed, causal": lambda queries, keys: Mask.causal(**PACKED),
    "slots": lambda queries, keys: Mask.full(**SLOTS),
}


@pytest.mark.parametrize("by_keys", [False, True])
@pytest.mark.parametrize("name", EXACT)
def test_as_many_blocks_are_fetched_and_computed_as_the_mask_leaves(name, by_keys):
    sizes = SIZES if name in MASKS else SIZES._replace(keys=100)
    mask = EXACT[name](sizes.queries, sizes.keys)
    want = left_by(mask, sizes)
    needed = blocks.needed(mask.kind, sizes, limits(mask, sizes), mask.q_segment_BL, mask.k_segment_BS)
    if by_keys:
        needed, want = jnp.swapaxes(needed, 1, 2), np.swapaxes(want, 1, 2)
    table, entries = blocks.plan(needed, listed=mask.q_segment_BL is not None)
    table, (batch, rows, steps) = np.asarray(table), want.shape
    computed, fetched, held = [], [], None
    for b, row, step in itertools.product(range(batch), range(rows), range(steps)):
        block, wanted = blocks.at(table, entries, rows, b, row, step)
        if held != (b, int(block)):  # a block that is already in fast memory is not fetched again
            held = (b, int(block))
            fetched.append(False)
        if wanted:
            computed.append((b, row, int(block)))
            fetched[-1] = True
    assert sorted(computed) == [tuple(int(x) for x in place) for place in np.argwhere(want)]
    # What is fetched is used, but for the one block that an example holds that sees nothing at all.
    assert fetched.count(False) == sum(not np.any(want[b]) for b in range(batch))


def test_counts_of_blocks_by_hand():
    """128 queries and keys in blocks of 32: 16 pairs, 10 of them on or below the diagonal."""
    sizes = Sizes(32, 32, 128, 128)

    def count(kind, prefix, length, offset=0):
        values = (jnp.asarray([x], jnp.int32) for x in (prefix, length, offset))
        return int(jnp.sum(blocks.needed(kind, sizes, Limits(*values), None, None)))

    assert count("full", 0, 128) == 16 and count("full", 0, 65) == 12 and count("full", 0, 0) == 0
    assert count("causal", 0, 128) == 10 and count("causal", 0, 33) == 7
    assert count("prefix", 33, 128) == 11 and count("prefix", 128, 128) == 16
    assert count("causal", 0, 128, offset=64) == 3 + 4 + 4 + 4


@pytest.mark.parametrize("kind", ["full", "prefix"])
@pytest.mark.parametrize(("width", "dtype"), [(64, jnp.bfloat16), (256, jnp.bfloat16), (256, jnp.float32)])
def test_blocks_waste_little_and_fit_into_16_mib(kind, width, dtype):
    for length in (1026, 1282, 2048, 2880, 4928):
        sizes = block_sizes(kind, length, length, width, dtype)
        assert sizes.rows_q * sizes.block_q < 1.25 * length and sizes.rows_k * sizes.block_k < 1.25 * length
        lanes, number = max(width, 128), jnp.dtype(dtype).itemsize
        scores = sizes.block_q * sizes.block_k * (4 + 4 + number)
        streamed = 2 * number * lanes * (3 * sizes.block_q + 4 * sizes.block_k)
        sums = 4 * lanes * 2 * max(sizes.block_q, sizes.block_k)
        assert scores + streamed + sums < 16 * 2**20


@pytest.mark.parametrize("name", ["segments", "causal segments"])
def test_ids_in_any_order_need_no_block_too_few(name):
    mask = MASKS[name](SIZES.queries, SIZES.keys)
    needed = blocks.needed(mask.kind, SIZES, limits(mask, SIZES), mask.q_segment_BL, mask.k_segment_BS)
    assert not np.any(left_by(mask, SIZES) & ~np.asarray(needed))


def test_a_plan_too_large_for_scalar_memory_names_the_range():
    needed = np.zeros((1, 300, 300), bool)
    needed[:, :, [3, 7]] = True
    table, entries = blocks.plan(jnp.asarray(needed), listed=True)
    assert entries == 1 and table.size == 600
    assert [int(blocks.at(table, entries, 300, 0, 5, step)[0]) for step in (0, 4, 9)] == [3, 7, 7]


@pytest.mark.parametrize("kind", ["full", "causal"])
def test_the_compiler_is_told_of_the_blocks_that_the_mask_leaves(kind):
    sizes = Sizes(128, 256, 1000, 1000)
    static = Static(kind, True, sizes, repeats=2, scale=1.0, dropout=0.0, batch=3, interpret=True)
    left = int(np.sum(left_by(Mask(kind), sizes)[0]))
    found = cost(static, heads=4, width=64, dtype=jnp.bfloat16, products=2)
    assert found.transcendentals == 3 * 4 * left * 128 * 256
    assert found.flops == 2 * 2 * found.transcendentals * 64
    rows = 2 * left * 256 + 2 * 8 * 128  # keys and values of each block, queries and output
    assert found.bytes_accessed == 3 * 4 * rows * 64 * 2
    late = cost(static._replace(sizes=sizes._replace(queries=1)), heads=4, width=64, dtype=jnp.bfloat16, products=2)
    assert late.transcendentals == 3 * 4 * 128 * 1024  # a query of a cache sees it whole

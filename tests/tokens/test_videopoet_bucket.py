"""Rows without gaps, the columns that carry the loss, and tasks drawn for a bucket of examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from videopoet_example import CODES, TEXT, VOCABULARY, plan_of, sequence_of, used

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import merge_rows
from magvit_jax.tokens.videopoet.bucket import Bucket
from magvit_jax.tokens.videopoet.columns import compact, target_columns

PLAN = plan_of("text_to_image", "image_to_video", "video_to_audio")
example = jax.jit(lambda index, words: sequence_of(PLAN, index, words))
short = jax.jit(compact, static_argnums=1)


def test_a_row_loses_its_unused_columns_and_nothing_else():
    whole = example(1, 1)
    length = PLAN.layouts[1].length
    row = short(whole, length)
    assert row.ids_BL.shape == (1, length) and whole.ids_BL.shape[1] > length
    assert used(row) == used(whole)
    # <bos> <task> <bot_i> t <eot_i> <bov_i> v v <eov_i> <bov_o>, then v v <eov_o> <eos>
    assert int(row.prefix_B[0]) == 10
    np.testing.assert_array_equal(row.segment_BL[0], np.arange(length) < 14)
    np.testing.assert_array_equal(row.position_BL[0, :14], np.arange(14))
    assert int(row.text_slot_BL[0, 3]) == 0 and np.sum(np.asarray(row.text_slot_BL) >= 0) == 1


def test_targets_are_the_ids_after_their_columns():
    row = short(example(1, 1), PLAN.layouts[1].length)
    columns, real = target_columns(row, 6)
    np.testing.assert_array_equal(columns[0, :4], [9, 10, 11, 12])
    np.testing.assert_array_equal(real[0], [True] * 4 + [False] * 2)
    targets = np.asarray(jnp.take_along_axis(row.target_BL, columns, axis=1))[0, :4]
    assert VOCABULARY.describe(targets) == ["v3", "v4", "<eov_o>", "<eos>"]


def test_rows_of_several_sequences_keep_each_of_them():
    bucket = Bucket(PLAN, (1.0, 1.0, 1.0), per_row=2)
    index_B, count_B = jnp.asarray([2, 0, 1, 0]), jnp.asarray([0, 3, 2, 1])
    codes = {name: jnp.tile(CODES[name], (4,) + (1,) * (CODES[name].ndim - 1)) for name in PLAN.needs}
    rows = jax.jit(bucket.rows)(index_B, codes, text_count_B=count_B, text_BT=jnp.tile(TEXT, (4, 1)))
    assert rows.ids_BL.shape == (2, bucket.row_length) == (2, 2 * max(x.length for x in PLAN.layouts))
    alone = [used(example(int(i), int(n))) for i, n in zip(index_B, count_B, strict=True)]
    assert [used(rows, row) for row in range(2)] == [f"{alone[0]} {alone[1]}", f"{alone[2]} {alone[3]}"]
    segment = np.asarray(rows.segment_BL)
    assert ((segment > 0).argmin(axis=1) == (segment > 0).sum(axis=1)).all()  # no gap before the end
    # Prefixes first; the slots of the second sequence follow those of the first.
    column = np.arange(bucket.row_length)[None]
    words = np.asarray(rows.text_slot_BL)
    assert sorted(words[0][words[0] >= 0]) == [3, 4, 5] and sorted(words[1][words[1] >= 0]) == [0, 1, 3]
    assert (words[column >= np.asarray(rows.prefix_B)[:, None]] == -1).all()
    made = [sum(PLAN.layouts[i].output_length for i in pair) for pair in ((2, 0), (1, 0))]
    assert np.asarray(rows.is_target_BL).sum(axis=1).tolist() == made
    assert max(made) <= bucket.row_outputs


def test_compact_rows_are_merged_rows():
    """In either order, but for the length."""
    sequences = jax.tree.map(lambda *x: np.concatenate(x), *(example(i, 2) for i in (1, 2)))
    merged = merge_rows(sequences, 2, prefix_length=PLAN.prefix_length, text_slots=PLAN.text_slots)
    assert used(short(merged, merged.ids_BL.shape[1])) == used(merged)


def test_tasks_are_drawn_by_weight_and_those_of_sound_only_with_sound():
    bucket = Bucket(PLAN, (1.0, 2.0, 5.0), per_row=1)
    assert bucket.sounding_M.tolist() == [False, False, True]
    uniform_B = jnp.asarray((np.arange(800) + 0.5) / 800, jnp.float32)
    counts = lambda index_B: np.bincount(np.asarray(index_B), minlength=3).tolist()  # noqa: E731
    assert counts(bucket.draw(uniform_B, None)) == [100, 200, 500]
    assert counts(bucket.draw(uniform_B, jnp.ones(800, bool))) == [100, 200, 500]
    silent_B = jnp.arange(800) % 2 == 0  # half of every range of numbers
    index_B = np.asarray(bucket.draw(uniform_B, ~silent_B))
    assert (index_B[np.asarray(silent_B)] < 2).all()
    np.testing.assert_allclose(counts(index_B[np.asarray(silent_B)]), [400 / 3, 800 / 3, 0], atol=1)
    np.testing.assert_allclose(counts(index_B[~np.asarray(silent_B)]), [50, 100, 250], atol=1)
    only = bucket.draw(uniform_B, None, jnp.asarray([0.0, 1.0, 0.0]))
    assert counts(only) == [0, 800, 0]
    last = jnp.asarray([np.nextafter(np.float32(1), np.float32(0))])
    assert Bucket(PLAN, (1.0, 2.0, 0.0), 1).draw(last, None).tolist() == [1]


@pytest.mark.parametrize(
    ("weights", "per_row", "message"),
    [
        ((1.0,), 1, "1 weights for 3 layouts"),
        ((1.0, 1.0, -1.0), 1, "expected 0 or more"),
        ((0.0, 0.0, 0.0), 1, "one above 0"),
        ((1.0, 1.0, 1.0), 0, "0 a row"),
    ],
)
def test_a_bucket_that_cannot_be(weights, per_row, message):
    with pytest.raises(UserError, match=message):
        Bucket(PLAN, weights, per_row)

"""Packed rows see what their sequences saw alone, and the mixtures of Tab. 8.1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from videopoet_example import CODES, TEXT, plan_of, used

from magvit_jax.errors import UserError
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.tokens.videopoet import (
    PUBLISHED,
    SEQUENCE_TASKS,
    TAB_8_1,
    TWO_STAGES,
    Plan,
    Stages,
    build,
    first_fit,
    images_per_video,
    layout,
    merge_rows,
    pack,
    published_clip,
    row_weights,
    stack_rows,
    used_lengths,
)
from magvit_jax.tokens.videopoet.mixtures import COLUMNS, draw, given_weights

TASKS = ("text_to_image", "stylization", "text_to_image", "image_to_video", "text_to_image", "video_to_audio")
WORDS = (2, 3, 0, 1, 3, 0)


def batch():
    """Six sequences of four tasks, with texts of different lengths."""
    plan = plan_of(*dict.fromkeys(TASKS))
    names = [own.task.name for own in plan.layouts]
    shift = jnp.arange(len(TASKS))
    return plan, build(
        plan,
        jnp.asarray([names.index(task) for task in TASKS]),
        {s: CODES[s] + shift.reshape(-1, *[1] * (CODES[s].ndim - 1)) % 2 for s in plan.needs},
        text_count_B=jnp.asarray(WORDS),
        text_BT=jnp.repeat(TEXT, len(TASKS), axis=0),
        source_B=None,
    )


def visible(rows):
    """bool [B, L, L], from `ops.attention`'s definition."""
    segment = jnp.asarray(rows.segment_BL)
    mask = Mask.prefix_lm(jnp.asarray(rows.prefix_B), q_segment_BL=segment, k_segment_BS=segment)
    return np.asarray(mask.visible(segment.shape[1], segment.shape[1]))


def sequence(rows, row, segment):
    """Columns of one sequence in the order of its positions."""
    columns = np.flatnonzero(np.asarray(rows.segment_BL[row]) == segment)
    return columns[np.argsort(np.asarray(rows.position_BL[row])[columns])]


def assert_same_sequences(packed, where, alone, text_slots):
    """Every sequence keeps ids, targets and mask; `where`: its row and segment, by its number."""
    seen_packed, seen_alone = visible(packed), visible(alone)
    for number, (row, segment) in enumerate(where):
        there, here = sequence(packed, row, segment), sequence(alone, number, 1)
        for name in ("ids_BL", "position_BL", "target_BL", "is_target_BL", "allowed_BL2"):
            found, expected = np.asarray(getattr(packed, name)[row]), np.asarray(getattr(alone, name)[number])
            np.testing.assert_array_equal(found[there], expected[here], name)
        found, expected = seen_packed[row][np.ix_(there, there)], seen_alone[number][np.ix_(here, here)]
        np.testing.assert_array_equal(found, expected)
        others = np.setdiff1d(np.arange(seen_packed.shape[1]), there)
        assert not seen_packed[row][np.ix_(there, others)].any()
        slot_there = np.asarray(packed.text_slot_BL[row])[there]
        slot_here = np.asarray(alone.text_slot_BL[number])[here]
        expected = np.where(slot_here >= 0, slot_here + text_slots * (segment - 1), -1)
        np.testing.assert_array_equal(slot_there, expected)


def test_a_sequence_alone_sees_its_prefix_whole_and_its_output_causally():
    _, alone = batch()
    seen = visible(alone)
    for number in range(len(TASKS)):
        columns = sequence(alone, number, 1)
        prefix = int(np.sum(columns < int(alone.prefix_B[number])))
        i, j = np.arange(len(columns))[:, None], np.arange(len(columns))[None]
        np.testing.assert_array_equal(seen[number][np.ix_(columns, columns)], (j < prefix) | (j <= i))


def test_host_packing_keeps_every_sequence_and_wastes_little():
    plan, alone = batch()
    lengths = used_lengths(alone)
    rows = first_fit(lengths, 40)
    assert sorted(n for row in rows for n in row) == list(range(len(TASKS)))
    assert len(rows) == 3 < len(TASKS)
    packed = pack(alone, rows, 40, plan.text_slots)
    assert packed.ids_BL.shape == (3, 40) and int(np.sum(packed.segment_BL > 0)) == lengths.sum()
    place = {n: (row, 1 + at) for row, numbers in enumerate(rows) for at, n in enumerate(numbers)}
    assert_same_sequences(packed, [place[n] for n in range(len(TASKS))], alone, plan.text_slots)
    assert not packed.is_target_BL[packed.segment_BL == 0].any()
    assert int(packed.is_target_BL.sum()) == int(np.asarray(alone.is_target_BL).sum())


def test_merging_in_a_jitted_step_keeps_every_sequence():
    plan, alone = batch()
    merge = jax.jit(lambda s: merge_rows(s, 3, prefix_length=plan.prefix_length, text_slots=plan.text_slots))
    merged = merge(alone)
    assert merged.ids_BL.shape == (2, 3 * plan.length)
    where = [divmod(n, 3) for n in range(len(TASKS))]
    assert_same_sequences(merged, [(row, 1 + at) for row, at in where], alone, plan.text_slots)
    assert used(merged, 0).startswith(used(alone, 0) + " <bos> <task:stylization>")
    with pytest.raises(UserError, match="6 sequences in rows of 4: expected a multiple"):
        merge_rows(alone, 4, prefix_length=plan.prefix_length, text_slots=3)


def test_rows_of_five_images_beside_rows_of_one_video():
    image, video = plan_of("text_to_image"), plan_of("text_to_video")
    codes = CODES["video"] + jnp.arange(5).reshape(5, 1, 1, 1)
    text_BT, words_B = jnp.repeat(TEXT, 5, axis=0), jnp.asarray([3, 0, 1, 2, 3])

    @jax.jit
    def batch(codes):
        arguments = dict(text_count_B=words_B, text_BT=text_BT, source_B=None)
        first = jnp.zeros(5, jnp.int32)
        both = [build(plan, first, {"video": codes}, **arguments) for plan in (image, video)]
        merged = merge_rows(both[0], 5, prefix_length=image.prefix_length, text_slots=3)
        return *both, stack_rows(merged, both[1])

    images, videos, rows = batch(codes)
    assert rows.ids_BL.shape == (1 + 5, 5 * image.length)
    assert_same_sequences(rows, [(0, 1 + n) for n in range(5)], images, 3)
    assert_same_sequences(rows, [(1 + n, 1) for n in range(5)], videos, 3)
    unused = np.asarray(rows.segment_BL) == 0
    assert not np.asarray(rows.is_target_BL)[unused].any()
    assert (np.asarray(rows.text_slot_BL)[unused] == -1).all()


def test_first_fit_written_out():
    assert first_fit([5, 4, 6, 1, 5, 4], 10) == [[0, 1, 3], [2, 5], [4]]
    with pytest.raises(UserError, match="sequence of 11 tokens: rows have 10"):
        first_fit([3, 11], 10)


def test_five_images_for_a_video_and_what_is_wasted():
    clip = published_clip(17, 128, 128)
    assert images_per_video(clip) == 5
    image = Plan((layout("text_to_image", clip, PUBLISHED, text_slots=12),), PUBLISHED)
    video = Plan((layout("text_to_video", clip, PUBLISHED, text_slots=12),), PUBLISHED)
    # 5 captions of 12 tokens: 1,365 against 1,299 columns, of which all are used.
    assert (5 * image.length, video.length) == (1365, 1299)
    rows = first_fit([image.length] * 50 + [video.length] * 10, 1365)
    assert [len(row) for row in rows] == [5] * 10 + [1] * 10


def test_tab_8_1():
    assert row_weights("T2V") == {"text_to_video": 1.0}
    assert row_weights("ALL") == {
        "text_to_image": 1.0,
        "text_to_video": 0.2,
        "unconditional": 0.2,
        "frame_prediction": 0.2,
        "inpainting": 0.1,
        "outpainting": 0.1,
        "audio_video_continuation": 0.2,
    }
    assert set(row_weights("SSL")) == set(row_weights("NO_T2I")) - {"text_to_video"}
    for row in TAB_8_1:
        videos = [weight for task, weight in row_weights(row).items() if task != "text_to_image"]
        np.testing.assert_allclose(sum(videos), 1.0)
    assert {task for tasks in COLUMNS.values() for task in tasks} <= set(SEQUENCE_TASKS)
    assert given_weights(5, 0.2) == {given: 0.05 for given in (1, 2, 3, 4)}
    with pytest.raises(UserError, match="mixture 'SOME' is unknown; Tab. 8.1 has: T2V, "):
        row_weights("SOME")


def test_two_stages():
    assert [TWO_STAGES.image_share(step, 100) for step in (0, 24, 25, 99)] == [0.9, 0.9, 0.1, 0.1]
    drawn = np.asarray([TWO_STAGES.is_image_batch(step, 8000, seed=3) for step in range(8000)])
    assert abs(drawn[:2000].mean() - 0.9) < 0.03 and abs(drawn[2000:].mean() - 0.1) < 0.02
    again = [TWO_STAGES.is_image_batch(step, 8000, seed=3) for step in (5, 7999, 2000)]
    assert again == drawn[[5, 7999, 2000]].tolist()
    with pytest.raises(UserError, match="image_after is 1.5, expected 0 to 1"):
        Stages(0.25, 0.9, 1.5)


def test_drawn_layouts_follow_the_weights_and_the_examples_number():
    numbers = np.arange(4000)
    index = draw(np.asarray([1.0, 0.0, 3.0]), numbers, seed=0)
    assert abs(np.mean(index == 0) - 0.25) < 0.03 and not np.any(index == 1)
    np.testing.assert_array_equal(draw(np.asarray([1.0, 0.0, 3.0]), numbers[100:110], seed=0), index[100:110])

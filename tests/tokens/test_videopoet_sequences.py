"""VideoPoet's sequences, each written out, and taken apart again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from videopoet_example import AUDIO, CLIP, CODES, TEXT, VOCABULARY, plan_of, sequence_of, used

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import (
    PUBLISHED,
    SEQUENCE_TASKS,
    Plan,
    build,
    build_prefix,
    commit,
    layout,
    parse,
    published_clip,
    require_codes,
    take_apart,
    take_outputs,
)

TEXTED = "<bot_i> t3 t1 <eot_i>"
GIVEN, REST = "<bov_i> v1 v2 <eov_i>", "<bov_o> | v3 v4 <eov_o> <eos>"
VIDEO = "<bov_o> | v1 v2 v3 v4 <eov_o> <eos>"
MASKED = "<bov_i> v5 <mask> <mask> v6 <eov_i>"
# Every task with two words of text, then without any; "|" is where the prefix ends.
WRITTEN_OUT = {
    "unconditional": ("<bos> <task:video>", "", VIDEO),
    "text_to_image": ("<bos> <task:video>", "", "<bov_o> | v1 v2"),
    "text_to_video": ("<bos> <task:video>", "", VIDEO),
    "image_to_video": ("<bos> <task:video>", GIVEN, REST),
    "frame_prediction": ("<bos> <task:video>", GIVEN, REST),
    "inpainting": ("<bos> <task:painting>", MASKED, VIDEO),
    "outpainting": ("<bos> <task:painting>", MASKED, VIDEO),
    "stylization": (
        "<bos> <task:stylization>",
        "<bov_i> v7 v8 v9 v10 <eov_i> <bov_i> v11 v12 v13 v14 <eov_i>",
        VIDEO,
    ),
    "audio_to_video": ("<bos> <task:video>", f"<boa_i> {AUDIO} <ea_i>", VIDEO),
    "video_to_audio": (
        "<bos> <task:audio>",
        "<bov_i> v1 v2 v3 v4 <eov_i>",
        f"<boa_o> | {AUDIO} <ea_o> <eos>",
    ),
    "audio_video_continuation": (
        "<bos> <task:audio_video>",
        f"{GIVEN} <boa_i> a0:0 a1:7 <ea_i>",
        "<bov_o> | v3 v4 <eov_o> <boa_o> a0:1 a0:2 a0:3 a0:4 a1:6 a1:5 a1:4 a1:3 <ea_o> <eos>",
    ),
}


def joined(*parts):
    return " ".join(part for part in parts if part)


def with_bar(sequences, vocabulary=VOCABULARY):
    """The used ids with "|" between prefix and output."""
    prefix = int(np.sum(np.asarray(sequences.segment_BL[0])[: int(sequences.prefix_B[0])]))
    words = used(sequences, vocabulary=vocabulary).split()
    return " ".join([*words[:prefix], "|", *words[prefix:]])


@pytest.mark.parametrize("task", SEQUENCE_TASKS)
def test_written_out(task):
    begin, inputs, output = WRITTEN_OUT[task]
    plan = plan_of(task)
    assert with_bar(sequence_of(plan)) == joined(begin, TEXTED, inputs, output)
    # Without text its brackets go too; a known source stands before the output.
    assert with_bar(sequence_of(plan, words=0, source=1)) == joined(begin, inputs, "<source:film>", output)


def test_a_video_of_another_size_says_so_and_an_image_names_no_duration():
    from dataclasses import replace

    tall = replace(CLIP, grid=replace(CLIP.grid, frames=3, height=2, width=1))
    codes = {"video": jnp.asarray([[[[1], [2]], [[3], [4]], [[5], [6]]]])}
    video = sequence_of(plan_of("unconditional", clip=tall, text_slots=0), words=0, codes=codes)
    assert used(video) == (
        "<bos> <task:video> <resolution:16x8> <duration:9> <bov_o> v1 v2 v3 v4 v5 v6 <eov_o> <eos>"
    )
    image = sequence_of(plan_of("text_to_image", clip=tall), codes=codes)
    assert used(image) == f"<bos> <task:video> {TEXTED} <resolution:16x8> <bov_o> v1 v2"
    sound = sequence_of(
        plan_of("video_to_audio", clip=tall, text_slots=0),
        words=0,
        codes=codes | {"audio": jnp.zeros((1, 9, 2), jnp.int32)},
    )
    assert "<resolution" not in used(sound) and "<duration" not in used(sound)


def test_an_image_is_the_beginning_of_a_video():
    plan = plan_of("text_to_image", "text_to_video")
    image, video = used(sequence_of(plan, 0)), used(sequence_of(plan, 1))
    assert video.startswith(image) and video != image


@pytest.mark.parametrize("task", SEQUENCE_TASKS)
def test_taken_apart_and_parsed_is_what_it_was_built_from(task):
    plan = plan_of(task, "stylization")  # longer than most: columns of padding on both sides
    sequences = sequence_of(plan)
    parts = take_apart(plan, 0, sequences.ids_BL)
    both = {**parts.inputs, **parts.outputs}
    spec = SEQUENCE_TASKS[task]
    assert set(both) == {part.source for part in (*spec.inputs, *spec.outputs)}
    for source in both:
        expected = CODES[source][:, :1] if task == "text_to_image" else CODES[source]
        np.testing.assert_array_equal(parts.whole(source), expected)
    outputs = take_outputs(plan, 0, sequences.ids_BL[:, plan.prefix_length :])
    for source, codes in outputs.items():
        np.testing.assert_array_equal(codes, parts.outputs[source])

    ids = np.asarray(sequences.ids_BL[0])[np.asarray(sequences.segment_BL[0]) > 0]
    parsed = parse(ids, VOCABULARY)
    assert parsed.prompt == SEQUENCE_TASKS[task].prompt
    np.testing.assert_array_equal(parsed.text, [3, 1])
    assert parsed.ended == SEQUENCE_TASKS[task].ends
    assert (parsed.source, parsed.resolution, parsed.duration) == (None, (8, 16), 5)
    for found, wanted, half in (
        (parsed.inputs, spec.inputs, parts.inputs),
        (parsed.outputs, spec.outputs, parts.outputs),
    ):
        assert [kind for kind, _ in found] == [part.kind for part in wanted]
        for (kind, codes), part in zip(found, wanted, strict=True):
            expected = np.asarray(half[part.source][0])
            np.testing.assert_array_equal(codes, expected if kind == "audio" else expected.ravel())


def test_unused_columns_move_nothing():
    short = sequence_of(plan_of("text_to_video", text_slots=2), words=2)
    wide = sequence_of(plan_of("text_to_video", "stylization"), 0, words=2)
    keep_short, keep_wide = (np.asarray(s.segment_BL[0]) > 0 for s in (short, wide))
    assert keep_wide.sum() == keep_short.sum() < keep_wide.size
    for name in ("ids_BL", "position_BL", "target_BL", "is_target_BL", "allowed_BL2", "text_slot_BL"):
        found, expected = np.asarray(getattr(wide, name)[0]), np.asarray(getattr(short, name)[0])
        np.testing.assert_array_equal(found[keep_wide], expected[keep_short], name)
    np.testing.assert_array_equal(np.asarray(wide.position_BL[0])[keep_wide], np.arange(keep_wide.sum()))


def test_targets_are_the_outputs_one_column_earlier():
    plan = plan_of("image_to_video")
    sequences = sequence_of(plan)
    is_target, target, ids = (
        np.asarray(x[0]) for x in (sequences.is_target_BL, sequences.target_BL, sequences.ids_BL)
    )
    assert VOCABULARY.describe(target[is_target]) == ["v3", "v4", "<eov_o>", "<eos>"]
    assert VOCABULARY.describe(ids[is_target]) == ["<bov_o>", "v3", "v4", "<eov_o>"]
    low_high = np.asarray(sequences.allowed_BL2[0])
    np.testing.assert_array_equal(low_high[is_target], [[256, 272], [256, 272], [9, 10], [12, 13]])
    assert not low_high[~is_target].any() and not target[~is_target].any()


def test_text_slots_point_at_the_words():
    sequences = sequence_of(plan_of("text_to_video"), words=2)
    words = np.asarray(sequences.text_slot_BL[0])
    assert VOCABULARY.describe(np.asarray(sequences.ids_BL[0])[words == 1]) == ["t1"]
    assert sorted(words[words >= 0]) == [0, 1]
    plan = plan_of("text_to_video")
    unnamed = build(
        plan,
        jnp.asarray([0]),
        {"video": CODES["video"]},
        text_count_B=jnp.asarray([3]),
        text_BT=None,
        source_B=None,
    )
    assert used(unnamed).startswith("<bos> <task:video> <bot_i> <text> <text> <text> <eot_i> <bov_o>")


def test_a_batch_of_different_tasks_is_each_of_them_alone_also_when_jitted():
    plan = plan_of(*SEQUENCE_TASKS)
    count = len(SEQUENCE_TASKS)
    codes = {name: jnp.repeat(CODES[name], count, axis=0) for name in plan.needs}

    @jax.jit
    def batch(index_B, codes, words_B, text_BT):
        return build(plan, index_B, codes, text_count_B=words_B, text_BT=text_BT, source_B=None)

    sequences = batch(jnp.arange(count), codes, jnp.full((count,), 2), jnp.repeat(TEXT, count, axis=0))
    for index, task in enumerate(SEQUENCE_TASKS):
        assert used(sequences, index) == joined(WRITTEN_OUT[task][0], TEXTED, *WRITTEN_OUT[task][1:]).replace(
            " |", ""
        )
    assert sequences.ids_BL.shape == (count, plan.length)
    np.testing.assert_array_equal(sequences.prefix_B, np.full(count, plan.prefix_length))


@pytest.mark.parametrize("task", SEQUENCE_TASKS)
def test_a_prefix_alone_is_the_beginning_of_the_sequence(task):
    plan = plan_of(task, "text_to_video")
    whole = sequence_of(plan)
    given = {"image_to_video": 1, "frame_prediction": 1, "audio_video_continuation": 1}.get(task)
    names = {part.source for part in SEQUENCE_TASKS[task].inputs}
    prefix = build_prefix(
        plan,
        jnp.asarray([0]),
        {name: CODES[name][:, :given] for name in names},
        text_count_B=jnp.asarray([2]),
        text_BT=TEXT,
        source_B=None,
    )
    width = plan.prefix_length
    for name in ("ids_BL", "position_BL", "segment_BL", "text_slot_BL"):
        np.testing.assert_array_equal(getattr(prefix, name), getattr(whole, name)[:, :width], name)
    assert not prefix.is_target_BL.any()


def test_published_sizes_in_one_step():
    clip = published_clip(17, 128, 128)
    plan = Plan(
        tuple(
            layout(task, clip, PUBLISHED, text_slots=64, given=2 if task == "frame_prediction" else None)
            for task in SEQUENCE_TASKS
        ),
        PUBLISHED,
    )
    codes = {name: jnp.zeros((2, 5, 16, 16), jnp.int32) for name in plan.needs}
    codes["audio"] = jnp.zeros((2, 106, 4), jnp.int32)

    def batch(index_B, codes):
        return build(plan, index_B, codes, text_count_B=index_B, text_BT=None, source_B=None)

    made = jax.eval_shape(batch, jnp.zeros((2,), jnp.int32), codes)
    # The longest prefix is stylization's, the longest output continues video and audio.
    assert plan.prefix_length == 2 + 66 + 2 * 1282 + 1 and plan.output_length == 1024 + 2 + 400 + 2
    assert made.ids_BL.shape == (2, plan.length) and made.allowed_BL2.shape == (2, plan.length, 2)


def test_commit_masks_what_is_not_given():
    codes = jnp.asarray([[[[5, 3]], [[2, 6]]]])
    region = jnp.asarray([[[True, False]], [[False, True]]])
    np.testing.assert_array_equal(commit(codes, region), CODES["masked"])


def test_an_id_of_another_kind_is_no_code():
    plan = plan_of("audio_video_continuation", text_slots=0)
    sequences = sequence_of(plan, words=0)
    ids = np.array(sequences.ids_BL)
    start = plan.prefix_length
    ids[0, start], ids[0, start + 4] = VOCABULARY.audio_range(0)[0], VOCABULARY.audio_range(1)[0]
    outputs = take_apart(plan, 0, jnp.asarray(ids)).outputs
    np.testing.assert_array_equal(outputs["video"][0], [[[-1, 4]]])
    np.testing.assert_array_equal(outputs["audio"][0, 0], [-1, 6])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bos video", "place 1: v7, expected a <task>"),
        ("bos task bov_o video eov_o", "place 5: the end, expected <eos>"),
        ("bos task bov_o video audio", "place 4: a0:2, expected <eov_o>"),
        ("bos task bov_o eov_o eos", "place 3: <eov_o>, expected a visual id"),
        ("bos task boa_o audio fine ea_o eos bos", "place 7: <bos>, expected the end of the sequence"),
        ("bos task boa_o fine audio ea_o eos", "place 3: a1:2, expected an id of audio level 0"),
        ("bos task boa_o audio fine audio ea_o eos", "place 6: <ea_o>, expected a multiple of 2 audio ids"),
        ("bos task eos", "place 2: <eos>, expected <bov_o> or <boa_o>"),
        ("bos task bot_i eot_i bov_o video", "place 3: <eot_i>, expected a text id"),
    ],
)
def test_what_does_not_parse_is_named(words, message):
    from magvit_jax.tokens.videopoet.vocabulary import SPECIAL

    start = VOCABULARY.audio_start
    ids = {"task": 32, "video": 256 + 7, "audio": start + 2, "fine": start + 10}
    with pytest.raises(UserError, match=message):
        parse(np.asarray([ids.get(word, SPECIAL.get(word)) for word in words.split()]), VOCABULARY)


def test_missing_and_misshapen_sources_are_named():
    plan = plan_of("audio_video_continuation", text_slots=0)
    arguments = dict(text_count_B=None, text_BT=None, source_B=None)
    with pytest.raises(UserError, match="'audio' is missing"):
        build(plan, jnp.asarray([0]), {"video": CODES["video"]}, **arguments)
    wrong = {"video": CODES["video"][:, :1], "audio": CODES["audio"]}
    with pytest.raises(UserError, match=r"'video' has codes of shape \(1, 1, 1, 2\): expected \(1, 2, "):
        build(plan, jnp.asarray([0]), wrong, **arguments)
    with pytest.raises(UserError, match="0 latent frames of 'audio' are given, expected 1"):
        build_prefix(plan, jnp.asarray([0]), {"video": CODES["video"][:, :1]}, **arguments)


def test_codes_that_would_be_of_another_modality_are_refused():
    plan = plan_of("inpainting", "audio_to_video")
    require_codes(plan, CODES)
    for source, codes, message in (
        ("video", CODES["masked"], "'video' has codes from -1 to 6: expected 0 to 15"),
        ("masked", CODES["video"] + 12, "'masked' has codes from 13 to 16: expected -1 to 15"),
        ("audio", CODES["audio"] + 1, "'audio' has codes from 1 to 8: expected 0 to 7"),
    ):
        with pytest.raises(UserError, match=message):
            require_codes(plan, {source: codes})

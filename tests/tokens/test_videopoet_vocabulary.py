"""VideoPoet's vocabulary and lengths against the numbers of the thesis, and what may come next."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from videopoet_example import CLIP, VOCABULARY, plan_of, sequence_of

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import (
    PUBLISHED,
    SEQUENCE_TASKS,
    Plan,
    Words,
    forced,
    layout,
    next_ranges,
    published_clip,
    restrict,
    vocabulary_mask,
)
from magvit_jax.tokens.videopoet.vocabulary import FAMILIES, SPECIAL


def test_the_published_vocabulary():
    assert PUBLISHED.visual_range == (256, 262_400)
    levels = [PUBLISHED.audio_range(level) for level in range(4)]
    assert levels == [(262_400, 263_424), (263_424, 264_448), (264_448, 265_472), (265_472, 266_496)]
    assert PUBLISHED.text_range == (266_496, 298_624)
    assert PUBLISHED.size == 298_624
    ids = [1, 32, 193, 225, 256, 262_399, 262_400, 263_423, 266_495, 266_496, 298_624, 15]
    assert PUBLISHED.describe(ids) == [
        "<bos>",
        "<task:video>",
        "<resolution:224x128>",
        "<duration:41>",
        "v0",
        "v262143",
        "a0:0",
        "a0:1023",
        "a3:1023",
        "t0",
        "<unknown:298624>",
        "<unknown:15>",
    ]


def test_special_ids_are_different_and_below_256():
    families = [i for first, end in FAMILIES.values() for i in range(first, end)]
    ids = [*SPECIAL.values(), *families]
    assert len(set(ids)) == len(ids) and max(ids) < 256


def test_audio_is_flattened_level_by_level_and_back():
    codes_BfQ = np.random.default_rng(0).integers(0, 1024, (3, 106, 4))
    ids_BL = np.asarray(PUBLISHED.audio(codes_BfQ))
    assert ids_BL.shape == (3, 424)
    assert ids_BL[1, 106 + 7] == 262_400 + 1024 + codes_BfQ[1, 7, 1]
    np.testing.assert_array_equal(PUBLISHED.audio_codes_of(jnp.asarray(ids_BL)), codes_BfQ)


@pytest.mark.parametrize(
    ("frames", "height", "visual", "audio"),
    [(17, 128, 1280, 424), (17, 224, 2240, 424), (41, 128, 2816, 1024), (41, 224, 4928, 1024)],
)
def test_published_lengths(frames, height, visual, audio):
    clip = published_clip(frames, height, 128)
    assert (clip.visual_tokens, clip.audio_tokens) == (visual, audio)
    named = (height != 128) + (frames != 17)  # <res> and the duration
    video = layout("text_to_video", clip, PUBLISHED, text_slots=64)
    assert (video.prefix_length, video.output_length) == (69 + named, visual + 2)
    sound = layout("video_to_audio", clip, PUBLISHED, text_slots=0)
    assert sound.length == 5 + visual + 1 + audio + 1
    image = layout("text_to_image", clip, PUBLISHED, text_slots=64)
    assert image.output_length == height * 2


def test_nine_frames_are_three_latents_and_a_second_of_sound():
    clip = published_clip(17, 128, 128)
    assert [clip.pixel_frames_of(n) for n in (0, 1, 3, 5)] == [0, 1, 9, 17]
    assert [clip.audio_frames_of(n) for n in (1, 3, 5)] == [6, 56, 106]
    assert dataclasses.replace(clip, fps=2.2).audio_frames_of(9) == 750  # 33 x 50 / 2.2 is a hair below it
    continued = layout("audio_video_continuation", clip, PUBLISHED, text_slots=0)
    assert continued.output_length == 4 * 256 + 1 + 1 + 4 * 100 + 1 + 1
    extended = layout("frame_prediction", clip, PUBLISHED, text_slots=0, given=3)
    assert (extended.prefix_length, extended.output_length) == (2 + 770 + 1, 512 + 2)


@pytest.mark.parametrize("task", SEQUENCE_TASKS)
def test_every_id_of_a_sequence_is_allowed_at_its_place_and_no_other_kind(task):
    plan = plan_of(task, "audio_video_continuation")
    sequences = sequence_of(plan, words=3, source=1)
    ids, ranges = np.asarray(sequences.ids_BL[0]), plan.allowed_ML2[0]
    used = np.asarray(sequences.segment_BL[0]) > 0
    masked = ids == SPECIAL["mask"]
    inside = (ids >= ranges[:, 0]) & (ids < ranges[:, 1])
    assert inside[used & ~masked].all()
    assert not ranges[plan.least_text_ML[0] > 3].any()  # nothing may stand in padding
    output = np.asarray(next_ranges(plan, jnp.asarray([0])))[0]
    np.testing.assert_array_equal(output, ranges[plan.prefix_length :])


def test_what_may_come_next_written_out():
    plan = plan_of("audio_video_continuation", text_slots=0)
    ranges = next_ranges(plan, jnp.asarray([0]))[0]
    visual, low, high = [256, 272], [272, 280], [280, 288]
    one = {name: [SPECIAL[name], SPECIAL[name] + 1] for name in ("eov_o", "boa_o", "ea_o", "eos")}
    expected = [visual] * 2 + [one["eov_o"], one["boa_o"]]
    expected += [low] * 4 + [high] * 4 + [one["ea_o"], one["eos"]]
    np.testing.assert_array_equal(ranges, expected)
    np.testing.assert_array_equal(forced(ranges), [False] * 2 + [True] * 2 + [False] * 8 + [True] * 2)
    assert not forced(jnp.zeros((1, 2), jnp.int32)).any()  # behind the end nothing may come, which is not one thing


def test_restricted_logits_keep_what_is_allowed_in_a_batch_of_tasks():
    plan = plan_of("text_to_image", "video_to_audio")
    size = VOCABULARY.size
    logits_BV = jnp.asarray(np.random.default_rng(1).normal(size=(2, size)), jnp.float32)

    @jax.jit
    def step(position):
        ranges = next_ranges(plan, jnp.asarray([0, 1]))
        return restrict(logits_BV, jax.lax.dynamic_index_in_dim(ranges, position, 1, keepdims=False))

    for position, spans in ((0, [(256, 272), (272, 280)]), (6, [(0, 0), (280, 288)])):
        found = np.asarray(step(position))
        for row, (first, end) in enumerate(spans):
            np.testing.assert_array_equal(found[row, first:end], logits_BV[row, first:end])
            others = np.delete(found[row], np.s_[first:end])
            assert (others == np.finfo(np.float32).min).all() and len(others) == size - (end - first)
    assert vocabulary_mask(jnp.asarray([[3, 5]]), 7).tolist() == [[False] * 3 + [True] * 2 + [False] * 2]


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        ("text_to_video", dict(text_slots=0), "'text_to_video': 0 text slots, expected 1 to 64"),
        ("text_to_video", dict(text_slots=65), "65 text slots, expected 1 to 64"),
        ("frame_prediction", dict(given=2), "2 given latent frames of 2, expected 1 to 1"),
        ("frame_prediction", dict(), "expected the number of given latent frames"),
        ("image_to_video", dict(given=2), "2 given latent frames, expected 1"),
        ("sing", dict(), "task 'sing' is unknown; VideoPoet's are: unconditional, "),
    ],
)
def test_a_layout_that_cannot_be_is_refused(task, changes, message):
    with pytest.raises(UserError, match=message):
        layout(task, CLIP, VOCABULARY, **dict(text_slots=3) | changes)


def test_sounds_and_sizes_that_are_not_there_are_refused():
    mute = dataclasses.replace(CLIP, audio_levels=0)
    with pytest.raises(UserError, match="'video_to_audio' needs sound, and these clips have none"):
        layout("video_to_audio", mute, VOCABULARY, text_slots=0)
    other = dataclasses.replace(CLIP, grid=dataclasses.replace(CLIP.grid, width=3))
    with pytest.raises(UserError, match=r"resolution \(8, 24\) is unknown; known are: \(8, 16\), \(16, 8\)"):
        layout("unconditional", other, VOCABULARY, text_slots=0)
    with pytest.raises(UserError, match="audio of 3 levels, the vocabulary has 2"):
        layout("audio_to_video", dataclasses.replace(CLIP, audio_levels=3), VOCABULARY, text_slots=0)
    clips = [published_clip(frames, 128, 128) for frames in (17, 41)]
    one, two = (layout("unconditional", clip, PUBLISHED, text_slots=0) for clip in clips)
    with pytest.raises(UserError, match="expected one shape a plan"):
        Plan((one, two), PUBLISHED)


def test_words():
    words = Words.of(["A dog runs.", "a cat; a dog's bone", "the dog"], size=6)
    assert words.words == ("a", "dog", ".", ";", "bone") and words.size == 6
    ids_BT, count_B = words.encode(["The dog, a DOG.", ""], slots=6)
    np.testing.assert_array_equal(ids_BT, [[0, 2, 0, 1, 2, 3], [0] * 6])
    np.testing.assert_array_equal(count_B, [6, 0])
    assert words.unknown("The dog, a DOG.") == ["the", ","]
    assert words.decode(ids_BT[0, : count_B[0]]) == "? dog ? a dog ."
    with pytest.raises(UserError, match="prompt of 3 words: expected at most 2"):
        words.encode(["a dog runs"], slots=2)

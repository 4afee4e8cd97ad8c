"""Long video: a window that slides over its own output."""

import gc
import itertools

import jax
import numpy as np
import pytest
import tiny_generators

from magvit_jax.errors import UserError
from magvit_jax.generation.long import slide

FP, CFP = "frame_prediction", "class_conditional_frame_prediction"
KINDS = ("causal", "windows", "frames")


@pytest.fixture(scope="module")
def generators():
    return {kind: tiny_generators.generator(kind, (FP, CFP)) for kind in KINDS}


def joined(chunks):
    return np.concatenate([np.asarray(chunk) for chunk in chunks], axis=1)


def test_windows_slide_over_their_own_output():
    """Each window goes on counting from the last frame it is given."""
    seen = []

    def count_on(tail, window):
        seen.append((window, np.asarray(tail)[0, :, 0, 0, 0].tolist()))
        ramp = np.arange(tail.shape[1], 7, dtype=np.float32) - tail.shape[1] + 1
        new = tail[:, -1:] + ramp[None, :, None, None, None]
        return np.concatenate([0 * tail - 1, new], axis=1)  # what it makes of the given frames is thrown away

    video = np.arange(10, dtype=np.float32)[None, :, None, None, None]
    chunks = list(slide(count_on, video, 5, 7))
    assert [chunk.shape[1] for chunk in chunks] == [2, 2, 2, 1]
    assert joined(chunks).ravel().tolist() == [10, 11, 12, 13, 14, 15, 16]
    # Fewer new frames than given ones: the rest of the tail are frames of before.
    assert seen == [
        (0, [5, 6, 7, 8, 9]),
        (1, [7, 8, 9, 10, 11]),
        (2, [9, 10, 11, 12, 13]),
        (3, [11, 12, 13, 14, 15]),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_video_by_hand(generators, kind):
    """Window j is a prediction from the last frames, seeded by the clip's number and j."""
    generator, video = generators[kind], tiny_generators.video(kind)
    total, given = generator.clip.frames, 5
    settings = {"temperature": 0.0, "sampling_temperature": 0.0}
    made = joined(generator.extend(video, frames=9, **settings))
    assert made.shape == (2, 9, 16, 16, 3) and made.dtype == np.float32
    history = video / np.float32(255)
    for _ in range(-(-9 // (total - given))):
        window = np.asarray(generator.generate(FP, video=history[:, -given:], **settings))
        history = np.concatenate([history, window[:, given:]], axis=1)
    np.testing.assert_array_equal(made, history[:, video.shape[1] :][:, :9])


def test_it_is_the_same_however_it_is_consumed(generators):
    generator, video = generators["causal"], tiny_generators.video()
    whole = joined(generator.extend(video, frames=14, seed=3))
    np.testing.assert_array_equal(whole, joined(generator.extend(video, frames=14, seed=3)))
    endless = generator.extend(video, seed=3)
    np.testing.assert_array_equal(joined(itertools.islice(endless, 4))[:, :14], whole)
    np.testing.assert_array_equal(joined(generator.extend(video[:, -5:], frames=6, seed=3)), whole[:, :6])
    np.testing.assert_array_equal(joined(generator.extend(video[1], frames=14, seed=3, first=1)), whole[1:])
    assert np.any(joined(generator.extend(video, frames=4, seed=4)) != whole[:, :4])


def test_windows_are_sampled_anew_even_from_the_same_frames(generators):
    """A still video would repeat itself for ever if every window had one seed."""
    generator = generators["causal"]
    keys = {
        np.asarray(jax.random.key_data(generator._keys(0, 0, 1, window))).tobytes() for window in range(20)
    }
    assert len(keys) == 20


def test_memory_and_programs_do_not_grow_with_the_video():
    generator, video = tiny_generators.generator("windows", (FP, CFP)), tiny_generators.video("windows")
    frames = generator.extend(video, temperature=0.0, sampling_temperature=0.0)  # programs of the test before
    held = []
    for _ in range(7):
        next(frames)
        gc.collect()
        held.append(sum(array.nbytes for array in jax.live_arrays()))
    assert len(set(held[2:])) == 1  # not an array more after seven windows than after three
    assert generator._decode._cache_size() == 1
    assert generator.tokenizer._encode._cache_size() == 1 and generator.tokenizer._decode._cache_size() == 1


def test_a_class_can_lead_the_way(generators):
    generator, video = generators["causal"], tiny_generators.video(clips=1)
    greedy = {"temperature": 0.0, "sampling_temperature": 0.0}
    one, other = (
        joined(generator.extend(video, frames=16, task=CFP, label=label, **greedy)) for label in (0, "class2")
    )
    assert one.shape == (1, 16, 16, 16, 3) and np.any(one != other)
    two = joined(generator.extend(video, frames=16, task=CFP, label=[0, 2], **greedy))
    np.testing.assert_array_equal(two, np.concatenate([one, other]))
    only = tiny_generators.generator("causal", (CFP,))
    assert joined(only.extend(video, frames=3, num=2)).shape == (2, 3, 16, 16, 3)  # the one task it knows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 0}, "frames is 0; expected 1 or more, or None"),
        ({"video": None}, "task 'frame_prediction' needs a video; expected at least 5 frames of 16x16"),
        ({"video": np.zeros((1, 4, 16, 16, 3), np.uint8)}, "video of 4 frames of 16x16; expected at least 5"),
        ({"video": np.zeros((1, 9, 8, 16, 3), np.uint8)}, "video of 5 frames of 8x16"),
        ({"video": np.zeros((16, 3), np.uint8)}, "video of shape"),
        ({"task": "central_outpainting"}, "task 'central_outpainting' is unknown"),
        ({"task": CFP, "label": 7}, "label 7 is unknown"),
        ({"task": FP, "stepz": 7}, "setting 'stepz' is unknown"),
        ({"num": 0}, "num is 0"),
    ],
)
def test_mistakes_are_named_at_the_call(generators, arguments, message):
    arguments = {"video": tiny_generators.video(), "frames": 4} | arguments
    with pytest.raises(UserError, match=message):
        generators["causal"].extend(arguments.pop("video"), **arguments)


def test_a_model_that_predicts_no_frames_is_refused():
    generator = tiny_generators.generator("causal", ("class_conditional", "central_inpainting"))
    with pytest.raises(
        UserError, match="needs a model of frame_prediction or class_conditional_frame_prediction"
    ):
        generator.extend(tiny_generators.video(), frames=4)
    with pytest.raises(UserError, match="task 'central_inpainting' does not extend a video"):
        generator.extend(tiny_generators.video(), frames=4, task="central_inpainting")

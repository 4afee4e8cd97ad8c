"""Long videos from windows, with and without sound; and tasks in a chain."""

import copy
import itertools

import numpy as np
import pytest
import tiny_multimodal as tiny

from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal_given import given_latents
from magvit_jax.generation.multimodal_long import frames_of_a_second
from magvit_jax.tokens.videopoet import published_clip


@pytest.fixture
def generator():
    return tiny.scripted()


def start(seed=9):
    """A clip, and its sound."""
    codes = tiny.true_codes(1, seed)
    return tiny.pixels_of(codes["video"]), tiny.sound_of(codes["audio"])


def test_the_last_second_is_given():
    """Nine frames of the published clips, three latents; all but the last latent of a clip that is shorter."""
    assert frames_of_a_second(published_clip(17, 128, 128)) == frames_of_a_second(published_clip(41, 128, 128)) == 9
    assert frames_of_a_second(published_clip(5, 128, 128)) == 1
    assert frames_of_a_second(tiny.generator().clip) == 5
    # What a model was trained to be given comes first: the most that is not above a second, else the least there is.
    clip = published_clip(17, 128, 128)
    assert [frames_of_a_second(clip, trained) for trained in ((1, 2), (2, 4), (3, 4))] == [5, 5, 9]
    assert frames_of_a_second(clip, (5, 4)) == 13
    # Of a video as long as a clip those of two latents are given, or what was trained that is not above that.
    found = [given_latents("frame_prediction", None, None, clip, trained) for trained in ((), (1, 4), (4, 3))]
    assert found == [2, 1, 3]


def test_a_model_of_one_count_of_given_frames_goes_on_with_that():
    generator = copy.copy(tiny.generator())
    video = tiny.pixels_of(tiny.true_codes(1, 6)["video"])
    generator.given = (1,)
    for given in (None, 1):
        (made,) = generator.extend(video, frames=4, given=given, task="frame_prediction")
        assert made.codes["video"].shape[1] == 3 and made.ids.shape[1] == 2 * 4 + 2
    assert generator.latents_of("frame_prediction", None, video) == 1
    with pytest.raises(UserError, match="is given 5 frames; expected one of 1$"):
        generator.extend(video, frames=4, given=5, task="frame_prediction")
    generator.given = (2,)
    assert generator.latents_of("frame_prediction", None, video) == 2
    (made,) = generator.extend(video, frames=4, task="frame_prediction")
    assert made.ids.shape[1] == 4 + 2


def test_each_window_goes_on_from_the_end_of_the_one_before(generator):
    video, _ = start()
    parts = list(generator.extend(video, frames=10))
    assert [part.video.shape for part in parts] == [(1, 4, 8, 8, 3)] * 2 + [(1, 2, 8, 8, 3)]
    assert all(part.audio is None for part in parts)
    given = [np.asarray(prefixes.codes["video"]) for prefixes in generator.program.prefixes]
    # The second given latent of a window is the last one of the window before; what each makes is known.
    np.testing.assert_array_equal(given[0][:, 1], tiny.true_codes(1, 9)["video"][:, 2])
    for window in (1, 2):
        np.testing.assert_array_equal(given[window][:, 1], tiny.true_codes(1, window - 1)["video"][:, 2])
    # A window's noise is its own.
    keys = {str(prefixes.keys_B) for prefixes in generator.program.prefixes}
    assert len(keys) == 3


def test_windows_and_chains_are_in_the_manner_of_their_source(generator):
    list(generator.extend(start()[0], frames=5, source="film"))
    generator.chain(("text_to_video", "video_to_audio"), prompts="a digit", source="film")
    known = generator.vocabulary.sources.index("film")
    assert [prefixes.source_B.tolist() for prefixes in generator.program.prefixes] == [[known]] * 4
    with pytest.raises(UserError, match="source 'book' is unknown"):
        generator.extend(start()[0], frames=5, source="book").__next__()


def test_sound_goes_on_with_its_video(generator):
    """One frame and one latent of sound are given; 8 frames and 8 latents, one second each, are new."""
    video, audio = start()
    parts = list(itertools.islice(generator.extend(video, audio=audio), 2))
    assert [part.video.shape[1] for part in parts] == [8, 8]
    assert [part.audio.shape[1] for part in parts] == [8000, 8000]
    for number, part in enumerate(parts):
        made = tiny.true_codes(1, number)
        np.testing.assert_allclose(part.audio, tiny.sound_of(made["audio"])[:, 1000:], atol=1e-6)
        np.testing.assert_allclose(part.video, tiny.pixels_of(made["video"])[:, 1:] / 255, atol=3e-3)
    second = generator.program.prefixes[1]
    np.testing.assert_array_equal(second.codes["audio"][:, 0], tiny.true_codes(1, 0)["audio"][:, -1])
    short = list(generator.extend(video, audio=audio, frames=3))
    assert (short[0].video.shape[1], short[0].audio.shape[1]) == (3, 3000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(video=np.zeros((1, 4, 8, 8, 3), np.uint8)), "video of 4 frames.*expected at least 5 frames"),
        (dict(frames=0), "frames is 0; expected 1 or more"),
        (dict(task="inpainting"), "'inpainting' does not extend a video; expected frame_prediction or image_to_video"),
        (dict(audio=np.zeros(3000, np.float32)), "sound of 0.375 s, video of 1.125 s; expected equal lengths"),
        (dict(audio=np.zeros(9000, np.float32), task="frame_prediction"), "does not extend a video with its sound"),
        (dict(given=4), "is given 4 frames; expected one of 1, 5"),
        (dict(temperature=-1.0), "temperature -1.0"),
        (dict(task="image_to_video", video=start()[0], known=("frame_prediction",)), "'image_to_video' is unknown"),
    ],
)
def test_what_cannot_be_extended_is_said_at_the_call(generator, arguments, message):
    if (known := arguments.pop("known", None)) is not None:
        generator = tiny.scripted(tasks=known)
    with pytest.raises(UserError, match=message):
        generator.extend(**(dict(video=start()[0]) | arguments))


@pytest.mark.parametrize("sounding", [False, True])
def test_one_video_goes_on_in_several_ways(generator, sounding):
    """By `num`, or by one prompt each; every example's window is given the same end."""
    video, audio = start()
    heard = dict(audio=audio) if sounding else {}
    two = list(generator.extend(video, frames=10, num=2, **heard))
    prompted = list(generator.extend(video, frames=10, prompt=["a digit", "left"], **heard))
    for parts in (two, prompted):
        assert {part.video.shape[0] for part in parts} == {2} and sum(part.video.shape[1] for part in parts) == 10
        assert all((part.audio is not None) == sounding for part in parts)
    first = generator.program.prefixes[0].codes["video"]
    np.testing.assert_array_equal(first[0], first[1])


def test_a_model_that_knows_no_task_to_extend_with():
    generator = tiny.scripted(tasks=("unconditional", "image_to_video"))
    assert len(list(generator.extend(start()[0], frames=8))) == 1
    with pytest.raises(UserError, match="needs a model of audio_video_continuation; this one knows: unconditional"):
        generator.extend(start()[0], audio=start()[1])


def test_a_chain_hands_on_what_it_makes(generator):
    """An image is animated, and the sound of that video is made: Fig. 8.7 with the tasks at hand."""
    tasks = ("text_to_image", "image_to_video", "video_to_audio")
    made = generator.chain(tasks, prompts=["a digit", "left", None], guidance_scale=2.0)
    image, video, _ = (tiny.true_codes(1, number) for number in range(3))
    seen = [prefixes.codes.get("video") for prefixes in generator.program.prefixes]
    np.testing.assert_array_equal(seen[1], image["video"][:, :1])
    np.testing.assert_array_equal(seen[2][:, 1:], video["video"][:, 1:])
    assert [prefixes.text_count_B.tolist() for prefixes in generator.program.prefixes] == [[2], [1], [0]]
    assert [own.guidance_scale for own in generator.program.decodings] == [2.0, 2.0, 0.0]
    with pytest.raises(UserError, match="guidance_scale 2.0 without a text"):
        generator.chain(("image_to_video", "video_to_audio"), video=start()[0], guidance_scale=2.0)
    assert made[1].audio is None and made[2].video is None and made[2].audio.shape == (1, 9000)


def test_stylization_follows_the_flow_and_depth_of_what_was_made(generator):
    """A function is asked for those of the video; videos are taken as they are."""
    asked = []

    def estimate(video):
        asked.append(np.asarray(video))
        return np.asarray(video)[:, ::-1]

    depth = start(4)[0]
    made = generator.chain(
        ("image_to_video", "stylization"), prompts="a digit", video=start()[0], flow=estimate, depth=depth
    )
    np.testing.assert_array_equal(asked[0], made[0].video)
    codes = generator.program.prefixes[1].codes
    np.testing.assert_array_equal(codes["flow"], generator.tokenizer.encode(asked[0][:, ::-1]))
    np.testing.assert_array_equal(codes["depth"], tiny.true_codes(1, 4)["video"])


@pytest.mark.parametrize(
    ("tasks", "arguments", "message"),
    [
        ((), {}, "expected a list of one task or more"),
        (
            ("image_to_video", "stylization"),
            dict(video=1, flow=1),
            "needs the depth of the video that it is to follow; expected depth=a video",
        ),
        (("image_to_video", "text_to_video"), dict(video=1), "after 'image_to_video': it takes nothing"),
        (("text_to_video", "audio_to_video"), {}, "'audio_to_video' after 'text_to_video': it takes nothing"),
        (("image_to_video", "video_to_audio"), {}, "task 'image_to_video' needs video; expected video"),
        (("text_to_video", "video_to_audio"), dict(flow=1), "none of the tasks .* takes the flow that is given"),
        (("text_to_video", "video_to_audio"), dict(prompts=["a"]), "1 prompts for 2 tasks"),
        (("text_to_video", "video_to_audio"), dict(prompts=["", "a"]), "'text_to_video' needs a text"),
        (("text_to_video", "magic"), dict(prompts="a"), "task 'magic' is unknown"),
        (("text_to_video", "video_to_audio"), dict(prompts="  "), "'text_to_video' needs a text"),
        (("text_to_image", "video_to_audio"), {}, "'video_to_audio' after 'text_to_image': it takes a video, and what"),
        (("text_to_image", "inpainting"), {}, "'inpainting' after 'text_to_image': it takes a video"),
        (("text_to_image", "frame_prediction"), {}, "'frame_prediction' after 'text_to_image': it takes a video"),
    ],
)
def test_chains_that_cannot_be_are_refused_before_anything_is_made(generator, tasks, arguments, message):
    arguments = {name: start()[0] if value == 1 else value for name, value in arguments.items()}
    with pytest.raises(UserError, match=message):
        generator.chain(tasks, **(dict(prompts="a digit") | arguments))
    assert not generator.program.plans

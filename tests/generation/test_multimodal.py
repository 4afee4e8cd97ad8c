"""A multimodal generator as users hold it: what it reads, what it gives back, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
import tiny_multimodal as tiny

from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh
from magvit_jax.tokens.videopoet import take_apart


@pytest.fixture
def generator():
    return tiny.scripted()


@pytest.mark.parametrize("task", tiny.TASKS)
def test_every_task_is_given_its_condition_and_gives_its_modality(generator, task):
    """The prefix holds the codes of what was given, and what comes back is what the program made, decoded."""
    arguments = tiny.arguments(task, clips=2, seed=5)
    given, made = tiny.true_codes(2, 5), tiny.true_codes(2, 0)
    found = generator.generate(task, **arguments)
    plan, prefixes = generator.program.plans[0], generator.program.prefixes[0]
    spec = plan.layouts[0].task
    for part in spec.inputs:
        latents = slice({"given": plan.layouts[0].given, "all": None}[part.extent])
        if part.kind == "audio" and part.extent == "given":
            latents = slice(generator.clip.audio_frames_of(plan.layouts[0].given))
        if part.source != "masked":
            np.testing.assert_array_equal(prefixes.codes[part.source], given[part.source][:, latents])
    assert prefixes.text_count_B.tolist() == [3, 3] and prefixes.text_BT.tolist() == [[1, 2, 3, 0]] * 2
    outputs = {part.source: part.extent for part in spec.outputs}
    for source, decode, value in (("video", tiny.pixels_of, found.video), ("audio", tiny.sound_of, found.audio)):
        if source not in outputs:
            assert value is None
            continue
        whole = jnp.asarray(made[source])
        if outputs[source] == "rest":
            count = prefixes.codes[source].shape[1]
            whole = jnp.concatenate([prefixes.codes[source], made[source][:, count:]], axis=1)
        elif outputs[source] == "first":
            whole = whole[:, :1]
        np.testing.assert_array_equal(found.codes[source], whole)
        np.testing.assert_allclose(value, decode(whole) / (255 if source == "video" else 1), atol=3e-3)
    assert (found.fps, found.sample_rate, found.ids.shape) == (8.0, 8000, (2, plan.output_length))


def test_painting_shows_what_is_given_and_masks_the_rest(generator):
    """The pixels of a user's mask, or of the window of training; every other token is <mask>."""
    video = tiny.pixels_of(tiny.true_codes(1, 5)["video"])
    left = np.zeros(tiny.PIXELS, bool)
    left[:, :, :4] = True
    for mask, task in ((left, "outpainting"), (left, "inpainting"), (None, "outpainting")):
        generator.generate(task, video=video, mask=mask)
    codes = [np.asarray(prefixes.codes["masked"][0]) for prefixes in generator.program.prefixes]
    truth = np.asarray(tiny.true_codes(1, 5)["video"][0])
    for found in codes[:2]:
        np.testing.assert_array_equal(found[..., 0], truth[..., 0])
        assert (found[..., 1] == -1).all()
    # The strip in the middle reaches into every token, each half filled with its nearest pixels: all are given.
    np.testing.assert_array_equal(codes[2], truth)
    for bad, message in (
        (np.zeros((8, 8), bool), "mask gives no pixels"),
        (np.ones(tiny.PIXELS, bool), "mask gives all pixels"),
        (np.zeros((3, 8, 8), bool), r"mask of shape .*3, 8, 8\]: expected \[9, 8, 8\]"),
    ):
        with pytest.raises(UserError, match=message):
            generator.generate("inpainting", video=video, mask=bad)


def test_prompts_and_sources_of_a_batch_and_how_it_is_decoded(generator):
    texts = ["a digit moves left", None, "up"]
    generator.generate("text_to_video", prompt="a", num=2, guidance_scale=3.0, top_k=4, temperature=0.5)
    generator.generate("unconditional", prompt=texts, num=4, source="film")
    generator.generate("unconditional", num=1)
    first, second, third = generator.program.prefixes[:3]
    assert second.text_count_B.tolist() == [4, 0, 1, 4] and second.source_B.tolist() == [1] * 4
    assert third.source_B.tolist() == [-1]
    settings = generator.program.decodings
    assert (settings[0].guidance_scale, settings[0].top_k, settings[0].temperature) == (3.0, 4, 0.5)
    assert settings[1] == settings[2] == tiny.DECODING
    # A model that is guided by default is not where there is no text to be guided by.
    generator.decoding = dict.fromkeys(tiny.TASKS, dataclasses.replace(tiny.DECODING, guidance_scale=2.0))
    generator.generate("unconditional", prompt=[None, "up"])
    generator.generate("unconditional", prompt=[None, ""])
    assert [own.guidance_scale for own in settings[3:]] == [2.0, 0.0]
    # Example i has its key wherever it stands.
    later = tiny.scripted()
    later.generate("unconditional", num=2, first=2)
    found, whole = (jax.random.key_data(x.keys_B).tolist() for x in (later.program.prefixes[0], second))
    assert found == whole[2:] and len({str(key) for key in whole}) == 4


def test_text_embeddings_reach_the_network():
    generator = tiny.scripted(text="embeddings")
    generator.generate("text_to_video", prompt=["one two", "three"])
    prefixes = generator.program.prefixes[0]
    assert prefixes.text_BT is None and prefixes.text_count_B.tolist() == [2, 1]
    np.testing.assert_allclose(prefixes.text_BTE[0, :2], tiny.embed(["one two"])[0], rtol=1e-6)
    assert not prefixes.text_BTE[0, 2:].any() and prefixes.text_BTE.shape == (2, 4, tiny.TEXT_WIDTH)
    generator.generate("unconditional")
    assert generator.program.prefixes[1].text_BTE.shape == (1, 4, tiny.TEXT_WIDTH)
    with pytest.raises(UserError, match="prompt 'a b c d e': 5 tokens; expected at most 4"):
        generator.generate("text_to_video", prompt="a b c d e")


def test_frame_prediction_is_given_what_fills_latents(generator):
    video = tiny.pixels_of(tiny.true_codes(1)["video"])
    for frames, given, latents in ((9, None, 2), (5, None, 2), (1, None, 1), (9, 1, 1), (9, 5, 2)):
        generator.generate("frame_prediction", video=video[:, :frames], given=given)
        assert generator.program.plans[-1].layouts[0].given == latents
    for frames, given in ((4, None), (8, None), (9, 9), (9, 0), (9, 4)):
        count = frames if given is None else given
        with pytest.raises(UserError, match=f"is given {count} frames; expected one of 1, 5"):
            generator.generate("frame_prediction", video=video[:, :frames], given=given)


VIDEO, SOUND = np.zeros((9, 8, 8, 3), np.uint8), np.zeros(9000, np.float32)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("editing", {}, "task 'editing' is unknown; this model knows: unconditional, text_to_image"),
        ("text_to_video", {}, "task 'text_to_video' needs a text; expected a prompt"),
        ("text_to_video", dict(prompt=["a", None]), "needs a text"),
        ("text_to_video", dict(prompt="a a a a a"), "prompt of 5 words: expected at most 4"),
        ("text_to_video", dict(prompt="quick fox"), "'quick fox': the model knows none of its words; it knows a"),
        ("text_to_video", dict(prompt=3), "prompt 3: expected a text"),
        ("text_to_video", dict(prompt="a", video=VIDEO), "takes no video; it is given nothing to see or hear"),
        ("image_to_video", {}, "task 'image_to_video' needs video; expected video"),
        ("image_to_video", dict(video=VIDEO[:, :4]), "video of 9 frames of 4x8; expected at least 1 frame of 8x8"),
        ("image_to_video", dict(video=VIDEO.astype(np.int32)), "video of dtype int32"),
        ("image_to_video", dict(video=VIDEO * np.float32(np.nan)), "video of float pixels: NaN; expected 0 to 1"),
        ("image_to_video", dict(video=VIDEO, audio=SOUND), "takes no audio; it takes video"),
        ("image_to_video", dict(video=VIDEO, given=5), "is given 1 frames; expected given=1, or none, found 5"),
        ("video_to_audio", dict(video=VIDEO[:8]), "video of 8 frames of 8x8; expected at least 9 frames"),
        ("audio_to_video", dict(audio=SOUND[:8000]), "8000 samples, 1.000 s; expected 9000 at 8000 Hz, 1.125 s"),
        ("audio_to_video", dict(audio=SOUND * np.nan), "samples as large as nan"),
        ("audio_to_video", dict(audio=np.zeros(9000, np.int16)), "sound: int16"),
        ("stylization", dict(prompt="a", flow=VIDEO), "needs flow, depth; expected depth"),
        ("stylization", dict(prompt="a", flow=VIDEO, depth=VIDEO[:1]), "stylization: depth.*video of 1 frames"),
        ("inpainting", dict(video=VIDEO, source="tv"), "source 'tv' is unknown; known are: web, film"),
        ("unconditional", dict(num=0), "num is 0"),
        ("unconditional", dict(guidance_scale=2.0), "guidance_scale 2.0 without a text"),
        ("unconditional", dict(prompt="a", guidance_scale=-1.0), "guidance_scale -1.0: expected 0 or more"),
        ("unconditional", dict(temperature=-1.0), "temperature -1.0"),
        ("unconditional", dict(top_k=-1), "top_k -1"),
        ("unconditional", dict(top_p=1.5), "top_p 1.5"),
        ("unconditional", dict(steps=3), "decoding setting 'steps' is unknown; expected one of cached, guidance_scale"),
    ],
)
def test_mistakes_are_named(generator, task, arguments, message):
    with pytest.raises(UserError, match=message) as raised:
        generator.generate(task, **arguments)
    assert "\n" not in str(raised.value) and not generator.program.plans


def test_a_task_that_was_not_trained_is_refused():
    with pytest.raises(UserError, match="'text_to_video' is unknown; this model knows: unconditional"):
        tiny.scripted(tasks=("unconditional",)).generate("text_to_video", prompt="a")


def test_what_is_made_is_what_stands_in_its_ids_also_on_a_mesh():
    """Of real programs: images of different prompts, on one device and on eight."""
    mesh = make_mesh(dict(data=2, fsdp=2, tensor=2))
    one, eight = tiny.generator(), tiny.generator(mesh=mesh)
    arguments = dict(prompt=["a digit", "up", None, "left"], num=4, seed=1, temperature=0.5)
    with tiny_models.quick_compilation():
        made = one.generate("unconditional", **arguments)
        found = eight.generate("unconditional", **arguments)
    np.testing.assert_array_equal(found.ids, made.ids)
    assert len(found.ids.sharding.device_set) == 8
    assert not eight.params["stack_0"]["in_kernel"].sharding.is_fully_replicated
    plan = one.plan("unconditional")
    sequence = jnp.concatenate([jnp.zeros((4, plan.prefix_length), jnp.int32), made.ids], axis=1)
    codes = take_apart(plan, 0, sequence).outputs["video"]
    np.testing.assert_array_equal(codes, made.codes["video"])
    np.testing.assert_allclose(made.video, tiny.pixels_of(codes) / 255, atol=3e-3)
    assert made.video.shape == (4, 9, 8, 8, 3) and len({str(row) for row in made.ids.tolist()}) == 4

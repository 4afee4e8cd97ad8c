"""A user's own mask, pasting, the frames that a task needs, and models of images."""

import numpy as np
import pytest
import tiny_generators

from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.systems.video_tokenizer import build_model
from magvit_jax.tokens import latent_grid

TASKS = tuple(tiny_generators.TASKS)


@pytest.fixture(scope="module")
def generator():
    return tiny_generators.generator()


@pytest.fixture(scope="module")
def video():
    return tiny_generators.video()


def task_of(generator, name):
    return generator.mixture.tasks[generator.tasks.index(name)]


@pytest.mark.parametrize("name", ["frame_prediction", "central_outpainting", "horizontal_outpainting"])
def test_a_mask_of_a_task_is_that_task(generator, video, name):
    """Also without a prompt: the task whose region is the mask's is found."""
    mask = task_of(generator, name).given(generator.clip.shape)
    expected = np.asarray(generator.generate_ids(name, video=video))
    for prompt in (name, None):
        ids = generator.generate_ids("mask", video=video, mask=mask, prompt=prompt)
        np.testing.assert_array_equal(ids, expected)


def test_masks_of_every_form(generator, video):
    frame = np.zeros((16, 16), bool)
    frame[4:12, 4:12] = True
    clip = np.broadcast_to(frame, (9, 16, 16))
    arguments = {"video": video, "prompt": "central_outpainting"}
    expected = np.asarray(generator.generate("mask", mask=frame, **arguments))
    for mask in (clip, np.stack([clip] * 2), frame.astype(np.uint8) * 255, clip[None]):
        np.testing.assert_array_equal(generator.generate("mask", mask=mask, **arguments), expected)
    two = np.stack([clip, ~clip])
    ids = np.asarray(generator.generate_ids("mask", mask=two, **arguments))
    np.testing.assert_array_equal(ids[:1], generator.generate_ids("mask", mask=frame, **arguments)[:1])
    other = generator.generate_ids("mask", mask=~frame, first=1, **(arguments | {"video": video[1]}))
    np.testing.assert_array_equal(ids[1:], other)
    assert generator.generate_ids("mask", mask=two, video=video[0]).shape[0] == 2  # one clip, two masks


def test_what_the_mask_hides_changes_nothing(generator, video):
    rng = np.random.default_rng(2)
    mask = rng.uniform(size=(9, 16, 16)) < 0.3
    other = np.where(mask[..., None], video, 255 - video)
    for prompt in ("central_outpainting", "central_inpainting", "frame_interpolation"):
        expected = generator.generate_ids("mask", video=video, mask=mask, prompt=prompt)
        np.testing.assert_array_equal(
            generator.generate_ids("mask", video=other, mask=mask, prompt=prompt), expected
        )


@pytest.mark.parametrize("name", [name for name in TASKS if name != "class_conditional"])
def test_pasting_gives_the_given_pixels_back_and_touches_no_other(generator, video, name):
    given = task_of(generator, name).given(generator.clip.shape)
    plain = np.asarray(generator.generate(name, video=video))
    pasted = np.asarray(generator.generate(name, video=video, paste=True))
    np.testing.assert_allclose(pasted[:, given], video[:, given] / 255.0, atol=1e-7)
    np.testing.assert_array_equal(pasted[:, ~given], plain[:, ~given])
    assert np.any(plain[:, given] != pasted[:, given])


def test_a_mask_is_pasted_clip_by_clip(generator, video):
    masks = np.random.default_rng(0).uniform(size=(2, 9, 16, 16)) < 0.5
    pasted, states = generator.generate_states("mask", video=video, mask=masks, paste=True)
    np.testing.assert_allclose(np.asarray(pasted)[masks], video[masks] / 255.0, atol=1e-7)
    np.testing.assert_array_equal(
        np.asarray(generator.generate("mask", video=video, mask=masks))[~masks], np.asarray(pasted)[~masks]
    )
    assert states.ids_KBN.shape[1] == 2


@pytest.mark.parametrize("name", [name for name in TASKS if name != "class_conditional"])
def test_frames_after_the_last_given_one_may_be_missing(generator, video, name):
    needed = task_of(generator, name).frames_needed(9)
    assert needed == {"frame_prediction": 5, "class_conditional_frame_prediction": 1}.get(name, 9)
    expected = generator.generate(name, video=video)
    np.testing.assert_array_equal(generator.generate(name, video=video[:, :needed]), expected)
    message = f"video of {needed - 1} frames of 16x16; expected at least {needed} frame"
    with pytest.raises(UserError, match=message):
        generator.generate(name, video=video[:, : needed - 1])


def test_a_mask_needs_the_frames_up_to_its_last_given_one(generator, video):
    mask = np.zeros((9, 16, 16), bool)
    mask[2:7, :8] = True
    expected = generator.generate_ids("mask", video=video, mask=mask)
    np.testing.assert_array_equal(generator.generate_ids("mask", video=video[:, :7], mask=mask), expected)
    with pytest.raises(
        UserError, match="task 'mask': video of 6 frames of 16x16; expected at least 7 frames"
    ):
        generator.generate("mask", video=video[:, :6], mask=mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "mask"}, "task 'mask' needs a mask; expected bool"),
        ({"mask": np.ones((9, 16, 16), bool)}, "mask gives all pixels of a clip"),
        ({"mask": np.zeros((9, 16, 16), bool)}, "mask gives no pixels of a clip"),
        (
            {"mask": np.stack([np.eye(16, dtype=bool)] * 8)},
            r"mask of shape \[1, 8, 16, 16\]: expected \[9, 16, 16\]",
        ),
        ({"mask": np.eye(8, dtype=bool)}, r"mask of shape \[1, 9, 8, 8\]: expected \[9, 16, 16\]"),
        ({"mask": np.eye(16)}, "mask of float64: expected bool, or uint8"),
        ({"mask": 3 * np.eye(16, dtype=np.uint8)}, "mask of uint8: expected bool, or uint8 of 0"),
        ({"mask": np.eye(16, dtype=bool), "prompt": "uncrop"}, "task 'uncrop' is unknown to this model"),
        ({"mask": np.eye(16, dtype=bool), "video": None}, "task 'mask' needs a video"),
        ({"task": "frame_prediction", "mask": np.eye(16)}, "task 'frame_prediction' takes no mask"),
        ({"task": "frame_prediction", "prompt": "central_inpainting"}, "takes no prompt"),
        ({"task": "class_conditional", "paste": True}, "is given no pixels: there are none to paste"),
        ({"task": "class_conditional", "label": []}, "label is an empty list"),
        ({"task": "class_conditional", "decoding": "bair"}, "decoding 'bair' is unknown"),
        ({"task": "central_inpainting", "steps": 0}, "0 steps: expected 1 or more"),
    ],
)
def test_what_does_not_fit_is_named(generator, video, arguments, message):
    arguments = {"task": "mask", "video": video} | arguments
    with pytest.raises(UserError, match=message):
        generator.generate(arguments.pop("task"), **arguments)


def test_a_model_of_images_takes_and_gives_images():
    names = ("class_conditional", "central_outpainting", "central_inpainting")
    model = tiny_generators.generator("image", names)
    images = tiny_generators.video("image", clips=3)[:, 0]
    assert model.makes_images and model.mixture.grid.shape == (1, 4, 4)
    made = model.generate("class_conditional", label=[0, 1, 2], decoding="magvit2_imagenet_guided", steps=4)
    assert made.shape == (3, 16, 16, 3)
    pasted = np.asarray(model.generate("central_inpainting", video=images, paste=True))
    given = task_of(model, "central_inpainting").given((1, 16, 16))[0]
    assert pasted.shape == images.shape
    np.testing.assert_allclose(pasted[:, given], images[:, given] / 255.0, atol=1e-7)
    frame = model.generate("central_inpainting", video=images[:, None], paste=True)
    np.testing.assert_array_equal(frame, pasted)  # clips of one frame are the same
    masks = np.stack([given, given, ~given])
    by_mask = np.asarray(model.generate("mask", video=images, mask=masks, paste=True))
    np.testing.assert_allclose(by_mask[2][~given], images[2][~given] / 255.0, atol=1e-7)


def test_frames_of_an_image_tokenizer_are_tokens_of_their_own():
    """MaskGIT on 2D-VQ (Tab. 6.9): as many latent frames as frames, each from its frame alone."""
    model, video = tiny_generators.generator("frames"), tiny_generators.video("frames")
    grid = model.mixture.grid
    assert (grid.shape, grid.strides, grid.num_tokens) == ((8, 4, 4), (1, 4, 4), 128)
    ids = np.asarray(model.tokenizer.encode(video))
    assert ids.shape == (2, 8, 4, 4)
    for frame in range(8):
        np.testing.assert_array_equal(
            ids[:, frame : frame + 1], model.tokenizer.encode(video[:, frame : frame + 1])
        )
    region = task_of(model, "frame_prediction").region(grid)
    assert region.any(axis=(1, 2)).tolist() == [True] * 5 + [False] * 3
    made = np.asarray(model.generate_ids("frame_prediction", video=video, decoding="magvit"))
    np.testing.assert_array_equal(made[:, :5], ids[:, :5])  # exact, so kept


def test_the_published_image_tokenizer_gives_a_clip_4096_tokens():
    model = build_model(load_config("magvit/imagenet:b", []).model)
    grid = latent_grid(model, (16, 128, 128))
    assert (grid.shape, grid.num_tokens, grid.causal) == ((16, 16, 16), 4096, True)

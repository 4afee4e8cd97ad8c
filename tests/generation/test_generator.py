"""The generator as users hold it: conditions, seeds, batching, and what is refused."""

import jax
import numpy as np
import pytest

import magvit_jax
from magvit_jax.errors import UserError
from magvit_jax.generation.generator import Generator
from magvit_jax.partitioning import make_mesh

GIVEN = 5


@pytest.fixture(scope="module")
def generator(tiny):
    return magvit_jax.load_generator(tiny.generator.bundle)


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(0).integers(0, 256, (4, 9, 16, 16, 3), dtype=np.uint8)


def predict(generator, video, **more):
    return np.asarray(generator.generate_ids("frame_prediction", video=video, **more))


def test_it_says_what_it_knows(generator):
    assert generator.tasks == ("class_conditional", "frame_prediction")
    assert generator.clip.shape == (9, 16, 16)
    assert len(generator.class_names) == 10 and "grow" in generator.class_names


def test_clips_are_pixels_of_the_ids(generator, video):
    clips = generator.generate("frame_prediction", video=video)
    assert clips.shape == video.shape and clips.dtype == np.float32
    assert float(clips.min()) >= 0 and float(clips.max()) <= 1
    np.testing.assert_array_equal(clips, generator.tokenizer.decode(predict(generator, video)))


def test_the_condition_needs_no_second_encoding(generator, video):
    """Five frames fill two latent frames of stride four: padding what follows changes none of their tokens."""
    task = generator.mixture.tasks[generator.tasks.index("frame_prediction")]
    grid = generator.mixture.grid
    assert task.given_frames == GIVEN and task.exact(grid)
    region = np.asarray(task.region(grid))
    assert region.any(axis=(1, 2)).tolist() == [True, True, False]
    pixels = video.astype(np.float32) / 255.0
    whole = np.asarray(generator.tokenizer.encode(pixels))
    padded = np.asarray(generator.tokenizer.encode(task.pad(pixels)))
    np.testing.assert_array_equal(whole[:, region], padded[:, region])
    assert np.any(whole[:, ~region] != padded[:, ~region])


def test_given_tokens_are_returned_as_they_are(generator, video):
    ids = predict(generator, video)
    np.testing.assert_array_equal(ids[:, :2], generator.tokenizer.encode(video[:, :GIVEN]))


def test_frames_after_the_given_ones_change_nothing(generator, video):
    other = video.copy()
    other[:, GIVEN:] = 255 - other[:, GIVEN:]
    expected = predict(generator, video)
    np.testing.assert_array_equal(predict(generator, other), expected)
    np.testing.assert_array_equal(predict(generator, video[:, :GIVEN]), expected)
    other[:, GIVEN - 1] = 255 - other[:, GIVEN - 1]
    assert np.any(predict(generator, other) != expected)


def test_seeds_are_repeatable_and_differ(generator, video):
    first = predict(generator, video, seed=1)
    np.testing.assert_array_equal(first, predict(generator, video, seed=1))
    other = predict(generator, video, seed=2)
    assert np.any(first[:, 2] != other[:, 2])
    one_clip = predict(generator, video[0], num=4)  # the same condition, each sampled by itself
    assert len(np.unique(one_clip.reshape(4, -1), axis=0)) == 4


def test_a_clip_does_not_depend_on_its_batch(generator, video):
    whole = predict(generator, video, seed=3)
    parts = [predict(generator, video[i : i + 2], seed=3, first=i) for i in (0, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_labels_by_name_and_number(generator):
    names = generator.class_names
    by_name = generator.generate_ids("class_conditional", label=[names[7], names[2]])
    np.testing.assert_array_equal(by_name, generator.generate_ids("class_conditional", label=[7, 2]))
    in_turn = generator.generate_ids("class_conditional", label=[7, 2], num=3)
    np.testing.assert_array_equal(in_turn, generator.generate_ids("class_conditional", label=[7, 2, 7]))
    assert generator.generate_ids("class_conditional").shape == (1, 3, 4, 4)
    assert generator.generate("class_conditional", num=2).shape == (2, 9, 16, 16, 3)


def test_the_label_reaches_the_transformer(tiny, generator):
    """With everything that mixes tokens turned up, another label has to give another clip."""
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: 20 * x if "kernel" in jax.tree_util.keystr(path) else x, generator.params
    )
    loud = Generator(
        transformer=generator.transformer,
        params=params,
        tokenizer=generator.tokenizer,
        vocabulary=generator.vocabulary,
        mixture=generator.mixture,
        decoding=generator.decoding,
        clip=generator.clip,
        class_names=generator.class_names,
        fingerprint="",
    )
    clips = [
        np.asarray(loud.generate_ids("class_conditional", label=label, sampling_temperature=0.0, temperature=0.0))
        for label in (0, 1, None)
    ]
    assert np.any(clips[0] != clips[1]) and np.any(clips[0] != clips[2])


def test_settings_change_the_decoding(generator):
    ids = [
        np.asarray(generator.generate_ids("class_conditional", label=1, **settings))
        for settings in ({}, {"steps": 1}, {"guidance_scale": [0.0, 1.0, 2.0]})
    ]
    assert ids[0].shape == ids[1].shape == ids[2].shape
    assert np.any(ids[0] != ids[1])


def test_a_mesh_changes_no_shape_and_no_given_token(tiny, video):
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    spread = magvit_jax.load_generator(tiny.generator.bundle, mesh=mesh)
    one = magvit_jax.load_generator(tiny.generator.bundle)
    ids, expected = (
        predict(model, video, sampling_temperature=0.0, temperature=0.0) for model in (spread, one)
    )
    assert (ids == expected).mean() > 0.9  # a near tie may fall the other way


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("outpainting", {}, "task 'outpainting' is unknown to this model, which knows: class_conditional"),
        ("class_conditional", {"label": "jump"}, "label 'jump' is unknown; expected one of move_right"),
        ("class_conditional", {"label": 10}, "label 10 is unknown"),
        ("class_conditional", {"label": -1}, "label -1 is unknown"),
        ("class_conditional", {"label": [1, "jump"]}, "label 'jump'"),
        ("class_conditional", {"temprature": 1.0}, "setting 'temprature' is unknown; expected one of confidence"),
        ("class_conditional", {"steps": 0}, "0 steps: expected 1 or more"),
        ("class_conditional", {"temperature": -1.0}, "temperature -1.0"),
        ("class_conditional", {"guidance_scale": (1.0, 2.0)}, "guidance scale of shape"),
        ("class_conditional", {"num": 0}, "num is 0; expected 1 or more"),
        ("frame_prediction", {}, "task 'frame_prediction' needs a video; expected at least 5 frames of 16x16"),
        ("frame_prediction", {"frames": 4}, "video of 4 frames of 16x16; expected at least 5 frames of 16x16"),
        ("frame_prediction", {"size": 8}, "video of 9 frames of 8x8; expected at least 5 frames of 16x16"),
        ("frame_prediction", {"video": np.zeros((16, 16, 3), np.uint8)}, "video of shape"),
    ],
)
def test_what_does_not_fit_is_named(generator, task, arguments, message):
    arguments = dict(arguments)
    frames, size = arguments.pop("frames", 9), arguments.pop("size", 16)
    if (frames, size) != (9, 16):
        arguments["video"] = np.zeros((1, frames, size, size, 3), np.uint8)
    with pytest.raises(UserError, match=message):
        generator.generate(task, **arguments)

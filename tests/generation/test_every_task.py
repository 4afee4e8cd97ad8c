"""All ten tasks through one generator of random weights: what the transformer sees, and what nobody may look at."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_generators

from magvit_jax.generation.masked import Conditions, generate_ids
from magvit_jax.partitioning import make_mesh
from magvit_jax.tokens import PREFIX_LENGTH

TASKS = tuple(tiny_generators.TASKS)
WITHOUT_CLASS = tuple(name for name in TASKS if not name.startswith("class"))
GREEDY = {"temperature": 0.0, "sampling_temperature": 0.0}


@pytest.fixture(scope="module")
def generators():
    return {kind: tiny_generators.generator(kind) for kind in ("causal", "windows", "frames")}


def task_of(generator, name):
    return generator.mixture.tasks[generator.tasks.index(name)]


def first_inputs(generator, name, pixels):
    """What the transformer has to see at the first step: condition tokens of the padded clip, [MASK] elsewhere."""
    task = task_of(generator, name)
    shape = (len(pixels), -1)
    tokens = np.asarray(generator.tokenizer.encode(task.pad(pixels))).reshape(shape)
    region = np.broadcast_to(task.region(generator.mixture.grid).reshape(-1), tokens.shape)
    return np.where(region, tokens, generator.vocabulary.mask_id)


@pytest.mark.parametrize("kind", ["causal", "windows", "frames"])
@pytest.mark.parametrize("name", TASKS)
def test_the_first_step_sees_the_tokens_of_the_padded_clip_and_masks(generators, kind, name):
    generator, video = generators[kind], tiny_generators.video(kind)
    clips, states = generator.generate_states(name, video=video, label=[0, 1], guidance_scale=0.0)
    assert clips.shape == video.shape and clips.dtype == np.float32
    assert states.inputs_KBN.shape == (3, 2, generator.mixture.grid.num_tokens)
    expected = first_inputs(generator, name, jnp.asarray(video, jnp.float32) / 255)
    np.testing.assert_array_equal(states.inputs_KBN[0], expected)
    np.testing.assert_array_equal(clips, generator.tokenizer.decode(ids_of(generator, states.ids_KBN[-1])))


def ids_of(generator, ids_BN):
    return np.asarray(ids_BN).reshape(-1, *generator.mixture.grid.shape)


@pytest.mark.parametrize("name", TASKS)
def test_only_given_pixels_matter(generators, name):
    generator, video = generators["causal"], tiny_generators.video()
    given = task_of(generator, name).given(generator.clip.shape)
    other = np.where(given[..., None], video, 255 - video)
    arguments = {"label": 1, "num": 2, "guidance_scale": 0.0}
    expected = np.asarray(generator.generate_ids(name, video=video, **arguments))
    np.testing.assert_array_equal(generator.generate_ids(name, video=other, **arguments), expected)
    if given.any():
        changed = np.where(given[..., None], 255 - video, video)
        assert np.any(generator.generate_ids(name, video=changed, **arguments) != expected)


def test_all_tasks_and_masks_share_one_program():
    generator, video = tiny_generators.generator(), tiny_generators.video()
    for name in TASKS:
        generator.generate_ids(name, video=video, num=2, label=0, guidance_scale=0.0)
    mask = np.zeros((16, 16), bool)
    mask[3:9, 2:7] = True
    generator.generate_ids("mask", video=video, mask=mask)
    assert generator._decode._cache_size() == 1
    generator.generate_ids("class_conditional", num=2, label=0, guidance_scale=1.0)
    assert generator._decode._cache_size() == 2  # guidance is another program: twice the work


def test_clips_of_different_tasks_and_masks_go_in_one_batch(generators):
    """Each comes out as it does by itself, at temperature 0 and above."""
    generator, video = generators["causal"], tiny_generators.video(clips=4)
    names = ("central_outpainting", "frame_prediction", "dynamic_inpainting", "frame_interpolation")
    grid, pixels = generator.mixture.grid, jnp.asarray(video, jnp.float32) / 255
    tasks = [task_of(generator, name) for name in names]
    tokens = [generator.tokenizer.encode(task.pad(pixels[i : i + 1])) for i, task in enumerate(tasks)]
    mixed = Conditions(
        prompt_B=jnp.asarray([generator.tasks.index(name) for name in names], jnp.int32),
        label_B=jnp.full(4, -1, jnp.int32),
        condition_BN=jnp.concatenate(tokens).reshape(4, -1),
        region_BN=jnp.asarray(np.stack([task.region(grid).reshape(-1) for task in tasks])),
        keep_B=jnp.asarray([task.exact(grid) for task in tasks]),
        keys_B=jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(4)),
    )
    for settings in ({}, GREEDY):
        decoding = dataclasses.replace(tiny_generators.DECODING, **settings)
        run = jax.jit(
            lambda params, conditions, decoding=decoding: generate_ids(
                generator.transformer, params, generator.vocabulary, decoding, conditions
            )
        )
        ids = ids_of(generator, run(generator.params, mixed))
        for i, name in enumerate(names):
            alone = generator.generate_ids(name, video=video[i], first=i, **settings)
            np.testing.assert_array_equal(ids[i], alone[0])


def test_every_task_has_its_own_prompt(generators):
    """With the same condition tokens, another prompt has to give other tokens."""
    generator, video = generators["causal"], tiny_generators.video(clips=1)
    mask = np.zeros(generator.clip.shape, bool)
    mask[:1] = True
    outputs = {
        np.asarray(generator.generate_ids("mask", video=video, mask=mask, prompt=name, **GREEDY)).tobytes()
        for name in TASKS
        if task_of(generator, name).padding == "zero"  # the same padded clip
    }
    assert len(outputs) == 4


def test_the_sampling_is_the_same_over_eight_devices_and_in_parts(generators):
    one, video = generators["causal"], tiny_generators.video(clips=8)
    spread = tiny_generators.generator(mesh=make_mesh({"data": 8}))
    for name, settings in (
        ("central_inpainting", GREEDY),
        ("frame_prediction", {}),
        ("frame_prediction", GREEDY),
    ):
        expected = np.asarray(one.generate_ids(name, video=video, **settings))
        assert len(np.unique(expected.reshape(8, -1), axis=0)) > 6
        np.testing.assert_array_equal(one.generate_ids(name, video=video, **settings), expected)
        np.testing.assert_array_equal(spread.generate_ids(name, video=video, **settings), expected)
        parts = [one.generate_ids(name, video=video[i : i + 2], first=i, **settings) for i in range(0, 8, 2)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert np.any(one.generate_ids("frame_prediction", video=video) != expected)


@pytest.mark.parametrize("name", ["class_conditional", "class_conditional_frame_prediction"])
def test_tasks_with_a_class_are_guided_by_it(generators, name):
    generator, video = generators["causal"], tiny_generators.video()
    arguments = {"video": video, "label": [0, 1], "num": 2, **GREEDY}
    plain = np.asarray(generator.generate_ids(name, **arguments))
    guided = np.asarray(generator.generate_ids(name, guidance_scale=3.0, **arguments))
    assert np.any(plain != guided)
    scheduled = generator.generate_ids(
        name, guidance_scale=3.0, guidance_schedule="power_cosine", guidance_power=4.0, **arguments
    )
    assert np.any(scheduled != guided)
    by_hand = [3 * (1 - np.cos(np.pi * ((k + 1) / 3) ** 4)) / 2 for k in range(3)]
    np.testing.assert_array_equal(
        generator.generate_ids(name, guidance_scale=by_hand, **arguments), scheduled
    )
    other = generator.generate_ids(name, guidance_scale=3.0, **(arguments | {"label": [2, 2]}))
    assert np.any(other != guided)


@pytest.mark.parametrize("name", WITHOUT_CLASS)
def test_tasks_without_a_class_are_not_guided(generators, name):
    generator, video = generators["causal"], tiny_generators.video()
    expected = generator.generate_ids(name, video=video)
    programs = generator._decode._cache_size()
    np.testing.assert_array_equal(generator.generate_ids(name, video=video, guidance_scale=3.0), expected)
    assert generator._decode._cache_size() == programs  # the same program, not one of twice the work


@pytest.mark.parametrize("name", ["central_outpainting", "frame_interpolation", "frame_prediction"])
def test_a_model_of_latent_masking_keeps_all_condition_tokens(name):
    generator, video = (
        tiny_generators.generator("windows", keep_condition=True),
        tiny_generators.video("windows"),
    )
    refining = tiny_generators.generator("windows")
    region = task_of(generator, name).region(generator.mixture.grid)
    given = np.asarray(
        generator.tokenizer.encode(task_of(generator, name).pad(jnp.asarray(video, jnp.float32) / 255))
    )
    ids, refined = (np.asarray(model.generate_ids(name, video=video)) for model in (generator, refining))
    np.testing.assert_array_equal(ids[:, region], given[:, region])
    assert np.any(refined[:, region] != given[:, region])
    _, states = generator.generate_states(name, video=video)
    assert not np.any(states.unknown_KBN[:, :, region.reshape(-1)])


def test_states_are_those_of_the_decoding(generators):
    generator, video = generators["causal"], tiny_generators.video()
    _, states = generator.generate_states("central_outpainting", video=video, seed=4, steps=12)
    tokens = generator.mixture.grid.num_tokens
    assert all(part.shape == (12, 2, tokens) for part in states)
    left = [47, 46, 44, 41, 38, 33, 29, 24, 18, 12, 6, 1]  # cosine, 48 tokens
    np.testing.assert_array_equal(np.asarray(states.unknown_KBN).sum(-1).T, [left, left])
    assert PREFIX_LENGTH + tokens == generator.transformer.max_length
    ids = generator.generate_ids("central_outpainting", video=video, seed=4, steps=12)
    np.testing.assert_array_equal(np.asarray(states.ids_KBN[-1]).reshape(ids.shape), ids)


def test_published_settings_are_chosen_by_name(generators):
    generator, video = generators["causal"], tiny_generators.video()
    named = generator.generate_ids("frame_prediction", video=video, decoding="magvit_bair")
    by_hand = generator.generate_ids(
        "frame_prediction", video=video, steps=12, schedule="exp", temperature=400.0
    )
    np.testing.assert_array_equal(named, by_hand)
    _, states = generator.generate_states("frame_prediction", video=video, decoding="magvit2_kinetics600_24")
    assert len(states.ids_KBN) == 24

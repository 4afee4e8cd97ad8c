"""VideoPoet's training step: the loss of outputs alone, rows against single sequences, microbatches, meshes, tasks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_multimodal_system as example

from magvit_jax.errors import UserError
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh
from magvit_jax.systems.multimodal_rows import Frozen
from magvit_jax.tokens.videopoet import SEQUENCE_TASKS
from magvit_jax.training.sharded import abstract_state, place_state
from magvit_jax.training.step import make_train_step
from magvit_jax.transformer.multimodal_loss import output_scores

SHORT = dict(tasks=("unconditional", "text_to_image", "text_to_video", "frame_prediction"), share=2, per_row=2)
AUDIBLE = ("audio_to_video", "video_to_audio", "audio_video_continuation")
SOUND = dict(tasks=("image_to_video", *AUDIBLE), share=1, per_row=1)
LONG = dict(tasks=("inpainting", "outpainting", "stylization"), share=1, per_row=1)
BUCKETS = (SHORT, SOUND, LONG)

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@functools.cache
def system_of(buckets=True, images="none", *overrides):
    config = example.config_of(*example.EVERY, f"data.images.source={images}", *overrides)
    with config.unlocked():
        config.buckets = BUCKETS if buckets else ()
    return example.build(config)


@functools.cache
def trained():
    """Two buckets, of two sequences a row and of one, and a batch that divides them over four devices twice."""
    tasks = (("text_to_video", "frame_prediction"), ("image_to_video", "audio_video_continuation"))
    weights = [f"tasks.{name}.weight={float(name in tasks[0] + tasks[1])}" for name in SEQUENCE_TASKS]
    config = example.config_of(*weights, "loss.chunk=1024")
    with config.unlocked():
        config.buckets = (dict(tasks=tasks[0], share=1, per_row=2), dict(tasks=tasks[1], share=1, per_row=1))
    system = example.build(config)
    return system, keyed(system, example.batch_of(32, silent=(1, 25)))


def keyed(system, batch):
    return {name: batch[name] for name in (system.image_keys if "image" in batch else system.data_keys)}


def test_two_microbatches_on_eight_devices_are_one_batch_on_one():
    """Examples, width, heads and vocabulary split; the mean is over the ids of both microbatches together."""
    (system, batch), mesh, key = trained(), make_mesh(dict(data=2, fsdp=2, tensor=2)), jax.random.key(0)
    before = example.loop_state_of(system)
    alone, metrics = jax.jit(make_train_step(system))(before, batch, key)
    placed = place_state(jax.tree.map(np.asarray, before), abstract_state(system, mesh))
    with logical_context(mesh):
        step = jax.jit(make_train_step(system, microbatches=2))
        spread, same_metrics = step(placed, jax.device_put(batch, batch_sharding(mesh)), key)
    for name, value in metrics.items():
        share = 2 if name.endswith("_targets") else 1  # a count is that of a microbatch
        np.testing.assert_allclose(same_metrics[name] * share, value, rtol=1e-4, err_msg=name)
    assert metrics["visual_targets"] > metrics["audio_targets"] > 50
    old, new, same = (state.system.train.params for state in (before, alone, spread))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), new, same)
    moved = jax.tree.map(lambda a, b: float(np.abs(np.asarray(a) - np.asarray(b)).max()), new, old)
    assert min(jax.tree.leaves(moved)) > 1e-4  # every array learns


@functools.cache
def images_alone():
    """A bucket of images, one a row."""
    system = system_of(True, "frames", "text.kind=t5", "text.width=5")
    assert system.rows.images.per_row == 3
    return system, dataclasses.replace(system.rows.images, per_row=1), example.images_of(12)


@functools.cache
def clips_alone():
    """A bucket of all eleven tasks on clips some of which are silent, one a row, and clips that draw every task."""
    system = system_of(False, "none", "text.kind=t5", "text.width=5")
    (bucket,) = system.rows.buckets
    batch = example.batch_of(66, silent=(1, 25))
    index_B = system.rows.draw(Frozen({}, {}), keyed(system, with_texts(batch)), bucket).index_B
    drawn = {bucket.plan.layouts[int(index)].task.name for index in index_B}
    assert drawn == set(SEQUENCE_TASKS)
    return system, bucket, batch


def with_texts(batch):
    """Text embeddings of their own for all, of some none."""
    count = len(batch["index"])
    embedding = np.random.default_rng(5).normal(size=(count, example.SLOTS, 5)).astype(np.float32)
    return batch | dict(text_embedding=embedding, text_count=np.arange(count, dtype=np.int32) % (example.SLOTS + 1))


@pytest.mark.parametrize(("alone", "per_row"), [(images_alone, 3), (clips_alone, 2)])
def test_sequences_of_a_row_have_the_losses_that_they_have_alone(alone, per_row):
    """Images, and videos with and without sound of every task: each with its own text embeddings."""
    system, single_bucket, batch = alone()
    batch = keyed(system, with_texts(batch))

    @functools.partial(jax.jit, static_argnums=2)
    def losses(params, batch, bucket):
        rows, text_BTE = system.rows._bucket_rows(Frozen({}, {}), batch, bucket)
        fields = dict(outputs=bucket.row_outputs, label_smoothing=0.1, chunk=7)
        return output_scores(system.transformer, params, rows, text_BTE, **fields)

    buckets = (dataclasses.replace(single_bucket, per_row=per_row), single_bucket)
    made = (losses(example.params_of(system), batch, bucket) for bucket in buckets)
    packed, single = (jax.tree.map(np.asarray, each) for each in made)
    assert packed.target_BO.shape[0] * per_row == single.target_BO.shape[0] == len(batch["index"])
    for number in range(len(batch["index"])):
        row, place = divmod(number, per_row)
        mine = packed.is_target_BO[row] & (packed.segment_BO[row] == 1 + place)
        real = single.is_target_BO[number]
        assert mine.sum() == real.sum() >= 4
        for name in ("target_BO", "loss_BO", "correct_BO"):
            found, expected = getattr(packed, name), getattr(single, name)
            np.testing.assert_allclose(found[row][mine], expected[number][real], rtol=1e-4, atol=1e-5)


def test_a_network_that_knows_nothing_loses_the_log_of_the_vocabulary_in_every_task():
    """And clips without sound, or without text, do not count where there has to be some."""
    system = system_of(False)
    state = example.state_of(system)
    zeros = jax.tree.map(jnp.zeros_like, state.train.params)
    state = state.replace(train=state.train.replace(params=zeros))
    batch = example.batch_of(4, silent=(0, 1, 2, 3))
    batch["text_count"] = np.asarray([0, 3, 0, 1], np.int32)
    values = system.evaluators["validation"](state, [batch, example.batch_of(4, seed=1, silent=(0, 1, 2, 3))])
    expected = {f"{task}_loss" for task in system.evaluation.tasks if task not in AUDIBLE}
    expected |= {name.replace("_loss", "_visual_loss") for name in expected} | {"loss", "visual_loss"}
    assert set(values) == expected and len(system.evaluation.tasks) == 11
    np.testing.assert_allclose(list(values.values()), np.log(system.vocabulary.size), rtol=1e-5)
    heard = system.evaluators["validation"](state, [example.batch_of(4)])
    assert {f"{task}_audio_loss" for task in AUDIBLE[1:]} <= set(heard)
    assert "audio_to_video_audio_loss" not in heard and "audio_loss" in heard


@functools.cache
def drawing(system, bucket, drops=True):
    """Jitted: a batch and weights of layouts, which may be None, to what is drawn."""
    return jax.jit(lambda batch, weights_M: system.rows.draw(Frozen({}, {}), batch, bucket, weights_M, drops=drops))


def test_what_is_drawn_follows_from_the_index_alone():
    """The task, none of sound for a silent clip, and whether the text is dropped: never when something is measured."""
    system = system_of(False, "none", "conditions.text_dropout=0.25")
    [bucket] = system.rows.buckets
    batch, order = keyed(system, example.batch_of(64, silent=range(0, 64, 2))), np.arange(64)[::-1]
    batch["text_count"][:] = 3
    drawn = drawing(system, bucket)(batch, None)
    other = drawing(system, bucket)({name: x[order] for name, x in batch.items()}, None)
    for name in ("index_B", "text_count_B"):
        np.testing.assert_array_equal(getattr(other, name), np.asarray(getattr(drawn, name))[order])
    sounding = bucket.sounding_M[np.asarray(drawn.index_B)]
    assert not sounding[::2].any() and sounding[1::2].any() and len(set(np.asarray(drawn.index_B).tolist())) > 8
    count_B = np.asarray(drawn.text_count_B)
    assert set(count_B.tolist()) == {0, 3} and 5 <= (count_B == 0).sum() <= 28
    assert (np.asarray(drawing(system, bucket, False)(batch, None).text_count_B) == 3).all()


def test_sources_stand_in_the_rows_and_are_sometimes_dropped():
    """One name for the videos and one for the images; nothing else that is drawn changes."""
    named = ("vocabulary.sources=('films', 'photos')", "conditions.source_dropout=0.25")
    system, plain = system_of(False, "frames", *named), system_of(False, "frames")
    videos, images = example.batch_of(60), example.images_of(60)
    for position, (batch, bucket) in enumerate(((videos, system.rows.buckets[0]), (images, system.rows.images))):
        batch = keyed(system, batch)
        drawn = drawing(system, bucket)(batch, None)
        kept_B = np.asarray(drawn.source_B) >= 0
        assert set(np.asarray(drawn.source_B).tolist()) == {-1, position} and 5 <= (~kept_B).sum() <= 28
        assert (np.asarray(drawing(system, bucket, False)(batch, None).source_B) == position).all()
        rows = jax.jit(lambda batch: system.rows.rows(Frozen({}, {}), batch)[0])(batch)
        source = system.vocabulary.source_id(("films", "photos")[position])
        assert ((np.asarray(rows.ids_BL) == source) & np.asarray(rows.segment_BL > 0)).sum() == kept_B.sum()
        other = plain.rows.buckets[0] if position == 0 else plain.rows.images
        assert drawing(plain, other)(batch, None).source_B is None
        np.testing.assert_array_equal(drawing(plain, other)(batch, None).index_B, drawn.index_B)


def test_a_model_that_was_made_before_there_were_sources_is_built():
    config = example.config_of()
    with config.unlocked():
        del config.vocabulary["sources"], config.conditions["source_dropout"]
    system = example.build(config)
    assert system.vocabulary.sources == () and system.rows.source_dropout == 0


def test_painting_sees_the_commit_encoding_of_its_own_task():
    """Of 2x2 cells of 4x4 equal pixels the centre is a quarter of each; the window of the latents is the first cell."""
    system, batch = system_of(False), example.batch_of(2)
    names = [layout.task.name for layout in system.evaluation.every.plan.layouts]

    def masked(task):
        weights_M = jnp.asarray([float(name == task) for name in names])
        drawn = drawing(system, system.evaluation.every)(keyed(system, batch), weights_M)
        return np.asarray(drawn.codes["masked"]).reshape(2, 3, 4)[:, 0]

    brightness = batch["video"][:, 0].reshape(2, 2, 4, 2, 4, 3).mean(axis=(2, 4, 5)).reshape(2, 4) / 255
    inpainting, outpainting = masked("inpainting"), masked("outpainting")
    assert (inpainting[:, 0] == -1).all() and (outpainting[:, 1:] == -1).all()
    np.testing.assert_array_equal(outpainting[:, 0], np.floor(64 * brightness[:, 0]))  # edges repeat what is there
    np.testing.assert_array_equal(inpainting[:, 1:], np.floor(64 * 0.75 * brightness[:, 1:]))  # a quarter is black


def test_samples_of_every_task_of_videos():
    system, _ = trained()
    batch = example.batch_of(2)
    samples = system.sample(example.state_of(system), batch)
    videos = {"text_to_video", "frame_prediction", "image_to_video", "audio_video_continuation"}
    assert set(samples) == videos | {"original"}
    assert all(x.shape == (2, *example.PIXELS, 3) and x.dtype == np.uint8 for x in samples.values())
    # What is given stays: the first frame as the tokenizer knows it.
    codes = system.rows.visual(Frozen({}, {}), jnp.asarray(batch["video"], jnp.float32) / 255)
    known = np.round(np.asarray(system.evaluation._pixels({}, codes)) * 255).astype(np.uint8)
    for task in ("image_to_video", "audio_video_continuation", "frame_prediction"):
        np.testing.assert_array_equal(samples[task][:, :1], known[:, :1])
    assert (samples["image_to_video"][:, 1:] != samples["text_to_video"][:, 1:]).any()


def test_a_new_run_begins_with_the_tokenizers_and_with_given_parameters():
    system = system_of()
    fresh = example.state_of(system)
    given = jax.tree.map(lambda x: x + 1, fresh.train.params)
    system.rows.tokenizer.params = {"kernel": np.ones(2)}
    try:
        begun = system.warm_start(fresh, params=given)
    finally:
        system.rows.tokenizer.params = {}
    assert begun.frozen.tokenizer["kernel"].tolist() == [1, 1] and begun.frozen.sound == {}
    jax.tree.map(np.testing.assert_array_equal, begun.train.params, given)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["text.kind=letters"], "text.kind: 'letters'; expected one of words, t5, none"),
        (["text.kind=none"], "text.slots: 4 of kind 'none'; expected 0"),
        (["text.width=3"], "text.width: 3 of kind 'words'"),
        (["text.kind=none", "text.slots=0"], "task 'text_to_image': 0 text slots, expected 1 to 64"),
        (["data.sound=none"], "data.sound: 'none', but task 'audio_to_video' needs sound"),
        (["data.samples=8000"], "data.samples: 8000; expected 9000, the 9 whole latents of sound in 9 frames at 8"),
        (["data.sample_rate=16000"], "data.sample_rate: 16000; expected 8000 of the sound tokenizer"),
        (["data.height=16"], "resolution .16, 8. is unknown; known are: .8, 8."),
        (["tasks.unconditional.weight=-1.0"], "tasks.unconditional.weight is -1.0; expected 0"),
        (["conditions.text_dropout=1.5"], "conditions.text_dropout is 1.5"),
        (["conditions.source_dropout=-0.5"], "conditions.source_dropout is -0.5"),
        (["vocabulary.sources=('a', 'b')"], r"\['a', 'b'\]; expected none, or the name of the videos'"),
        (["vocabulary.sources=('a',)", "data.images.source=frames"], "expected none, or two names"),
        (["loss.chunk=0"], "loss.chunk: 0; expected 1 or more"),
        (["model.dtype=float64"], "model.dtype: 'float64'; expected one of"),
        (["tasks.frame_prediction.settings.given=(3,)"], "3 given latent frames of 3, expected 1 to 2"),
        (["data.images.source=frames", "tasks.text_to_image.weight=0.0"], "without a task of images"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        example.build(example.config_of(*overrides))


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ((SHORT, SOUND), "task 'inpainting' is in 0 of them; expected 1"),
        ((SHORT, SOUND, LONG, dict(tasks=("inpainting",), share=1, per_row=1)), "'inpainting' is in 2 of them"),
        ((SHORT, SOUND, dict(LONG, share=0)), "share 0 of inpainting, outpainting, stylization"),
        ((dict(SHORT, tasks=("cooking",)),), "unknown task 'cooking'"),
        (
            (dict(SHORT, tasks=(*SHORT["tasks"], "image_to_video")), dict(SOUND, tasks=AUDIBLE), LONG),
            "all need sound, and data.sound is 'optional'",
        ),
    ],
)
def test_buckets_that_cannot_be_are_refused(buckets, message):
    config = example.config_of(*example.EVERY)
    with config.unlocked():
        config.buckets = buckets
    with pytest.raises(UserError, match=message):
        example.build(config)


def test_tasks_of_sound_need_its_tokenizer_and_the_others_do_not():
    with pytest.raises(UserError, match="task 'audio_to_video' needs config.sound_tokenizer"):
        example.build(example.config_of(), sound=False)
    silent = [f"tasks.{name}.weight=0.0" for name in AUDIBLE]
    system = example.build(example.config_of(*silent, "data.sound=none"), sound=False)
    assert system.vocabulary.audio_levels == 0 and "audio" not in system.data_keys
    with pytest.raises(UserError, match="'words' without words"):
        example.build(example.config_of(), words=None)


@pytest.mark.parametrize(("size", "message"), [(6, "6 examples in buckets of 4"), (4, None), (8, None)])
def test_a_batch_divides_among_the_buckets(size, message):
    system, batch = system_of(), example.batch_of(size)
    make = lambda batch: system.rows.rows(Frozen({}, {}), batch)[0]  # noqa: E731
    if message is not None:
        with pytest.raises(UserError, match=message):
            jax.eval_shape(make, keyed(system, batch))
        return
    rows = jax.eval_shape(make, keyed(system, batch))
    assert rows.ids_BL.shape == (size * 3 // 4, max(bucket.row_length for bucket in system.rows.buckets))
    images = system_of(True, "frames").rows
    rows = jax.eval_shape(lambda batch: images.rows(Frozen({}, {}), batch)[0], example.images_of(3 * size))
    assert rows.ids_BL.shape == (size, images.images.row_length)  # as many rows as there would be videos
    with pytest.raises(UserError, match="batch of images; expected videos"):
        jax.eval_shape(make, example.images_of(3))

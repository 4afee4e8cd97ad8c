"""Generator systems on the ten tasks: what they draw, how they are masked, with labels and without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_config

from magvit_jax import bundles, data, systems
from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.tokens import TASKS

CLIPS = 48
ALL = tuple(f"tasks.{name}.weight=1.0" for name in TASKS)
MASK_ONLY = ("loss.part_weights.refine=0.0", "loss.part_weights.reconstruct=0.0")
LATENT = ("masking.method=latent", *MASK_ONLY)


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return bundles.build_tokenizer(bundles.read(tiny.tokenizer.bundle))


@pytest.fixture(scope="module")
def batch(tiny):
    """So many clips that every task is drawn."""
    config = tiny.tokenizer.config.data
    source, spec = data.build_source(config, "test"), data.ClipSpec.from_config(config)
    return next(iter(data.eval_batches(source, spec, batch_size=CLIPS, num=CLIPS)))


@pytest.fixture(scope="module")
def ten(tokenizer):
    return build(tokenizer, *ALL)


@pytest.fixture(scope="module")
def out(ten, batch):
    return drawn(ten, batch)


def build(tokenizer, *changes, num_classes=10):
    return systems.build(tiny_config("generator", *changes), tokenizer=tokenizer, num_classes=num_classes)


def started(system):
    return unbox(system.warm_start(system.init(jax.random.key(0))))


def drawn(system, batch):
    """What the system makes of a batch."""
    return jax.jit(lambda batch: system._draw(system.tokenizer.params, batch))(batch)


def test_every_task_conditions_on_its_own_padded_clip_and_prompt(ten, tokenizer, batch, out):
    assert set(np.asarray(out.task_B).tolist()) == set(range(10))
    np.testing.assert_array_equal(out.target_BN, tokenizer.encode(batch["video"]).reshape(CLIPS, -1))
    differs = set()
    for i, index in enumerate(np.asarray(out.task_B)):
        task = ten.mixture.tasks[index]
        padded = task.pad(jnp.asarray(batch["video"][i : i + 1], jnp.float32) / 255)
        expected = np.asarray(tokenizer.encode(padded)).reshape(-1)
        region = task.region(ten.mixture.grid).reshape(-1)
        np.testing.assert_array_equal(out.region_BN[i], region)
        np.testing.assert_array_equal(np.asarray(out.condition_BN[i])[region], expected[region])
        assert int(out.prefix_B2[i, 0]) == ten.vocabulary.prompt_id(task.name)
        if np.any(expected[region] != np.asarray(out.target_BN[i])[region]):
            differs.add(task.name)
    # What is around a window reaches its tokens; whole latent frames of a causal tokenizer are the clip's own.
    assert "dynamic_outpainting" in differs
    assert not differs & {"frame_prediction", "class_conditional", "class_conditional_frame_prediction"}


def test_labels_belong_to_two_tasks_and_may_be_dropped(ten, tokenizer, batch):
    out = drawn(build(tokenizer, *ALL, "masking.class_dropout=0.0"), batch)
    uses = np.asarray([task.uses_class for task in ten.mixture.tasks])[np.asarray(out.task_B)]
    assert uses.any() and not uses.all()
    np.testing.assert_array_equal(out.label_B, np.where(uses, batch["label"], -1))
    expected = np.where(uses, ten.vocabulary.codes + batch["label"], ten.vocabulary.unconditional_id)
    np.testing.assert_array_equal(out.prefix_B2[:, 1], expected)
    dropped = drawn(build(tokenizer, *ALL, "masking.class_dropout=1.0"), batch)
    np.testing.assert_array_equal(dropped.prefix_B2[:, 1], ten.vocabulary.unconditional_id)
    np.testing.assert_array_equal(dropped.prefix_B2[:, 0], out.prefix_B2[:, 0])
    with pytest.raises(UserError, match="class_dropout is 1.5; expected a share"):
        build(tokenizer, "masking.class_dropout=1.5")


def test_a_step_on_all_ten_and_a_sample_of_each(ten, batch):
    state = started(ten)
    grads, scalars = jax.jit(ten.gradients)(state, batch, jax.random.key(0))
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves((grads, scalars)))
    assert {"loss", "loss_refine", "loss_mask", "loss_reconstruct"} <= set(scalars)
    assert all(float(scalars[f"loss_{part}"]) > 0 for part in ("refine", "mask", "reconstruct"))
    # Every prompt is learned, but one of which no example was drawn would not be.
    rows = np.asarray(grads["embedding"]["special_embedding"])
    prompts = [ten.vocabulary.prompt_id(name) - ten.vocabulary.codes for name in TASKS]
    assert len(set(prompts)) == 10 and np.all(np.any(rows[prompts] != 0, axis=-1))
    pictures = ten.sample(state, {key: value[:2] for key, value in batch.items()})
    assert set(pictures) == {"original", *TASKS}
    assert all(picture.shape == (2, 9, 16, 16, 3) for picture in pictures.values())


def test_data_without_classes_have_no_labels(tokenizer, batch):
    system = build(tokenizer, *ALL, num_classes=0)
    assert system.data_keys == ("video", "index")
    plain = {key: batch[key] for key in system.data_keys}
    out = drawn(system, plain)
    np.testing.assert_array_equal(out.prefix_B2[:, 1], system.vocabulary.unconditional_id)
    np.testing.assert_array_equal(out.prefix_B2, drawn(system, batch).prefix_B2)  # labels mean nothing
    state, few = started(system), {key: value[:4] for key, value in plain.items()}
    assert np.isfinite(system.evaluate_loss(state, [few])["loss"])
    video = system.generate(state, few, "class_conditional_frame_prediction")
    assert video.shape == (4, 9, 16, 16, 3)


def test_a_weight_of_zero_leaves_a_task_out(tokenizer):
    system = build(tokenizer, "tasks.central_inpainting.weight=2.5", "tasks.class_conditional.weight=0.0")
    assert system.vocabulary.tasks == system.mixture.names == ("central_inpainting", "frame_prediction")
    assert system.mixture.weights == (2.5, 2.0) and set(system.decoding) == set(system.vocabulary.tasks)
    with pytest.raises(
        UserError, match=r"tasks.frame_prediction.weight is -1.0; expected 0 \(left out\) or more"
    ):
        build(tokenizer, "tasks.frame_prediction.weight=-1.0")
    with pytest.raises(UserError, match="has a weight above 0; expected one"):
        build(tokenizer, *(f"tasks.{name}.weight=0.0" for name in TASKS))


def test_a_clip_too_short_for_a_task_is_refused_before_training(tokenizer):
    with pytest.raises(UserError, match="frame_prediction: 9 frames given of 9: none is left to make"):
        build(tokenizer, "tasks.frame_prediction.settings.frames=9")
    with pytest.raises(UserError, match="frame_interpolation: 9 frames given of 9"):
        build(tokenizer, *ALL, "tasks.frame_interpolation.settings.frames_end=8")


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ((0.0, 1.0, 0.0), ("mask",)),
        ((0.0, 1.0, 1.0), ("mask", "reconstruct")),
        ((1.0, 1.0, 1.0), ("mask", "reconstruct", "refine")),
    ],
)
def test_the_rows_of_table_6_8_are_part_weights(tokenizer, out, weights, parts):
    """The loss is the mean over the positions of the parts that count, but all three are logged."""
    names = ("refine", "mask", "reconstruct")
    changes = [f"loss.part_weights.{name}={x}" for name, x in zip(names, weights, strict=True)]
    system = build(tokenizer, *ALL, *changes)
    state = started(system)
    loss, scalars = jax.jit(lambda: system.loss(state.train.params, out, None))()
    hit = system.corrupt(out.keys_B, out.target_BN, out.condition_BN, out.region_BN)
    counts = {name: float(np.sum(getattr(hit, f"{name}_BN"))) for name in names}
    total = sum(counts[name] * float(scalars[f"loss_{name}"]) for name in parts)
    assert float(loss) == pytest.approx(total / sum(counts[name] for name in parts), rel=1e-5)
    assert all(float(scalars[f"loss_{name}"]) > 0 for name in names)


def test_latent_masking_learns_from_the_clips_own_tokens(tokenizer, batch):
    system = build(tokenizer, *ALL, *LATENT)
    state, out = started(system), drawn(system, batch)
    np.testing.assert_array_equal(out.condition_BN, out.target_BN)  # no padded clip is tokenized
    hit = system.corrupt(out.keys_B, out.target_BN, out.condition_BN, out.region_BN)
    region, target = np.asarray(out.region_BN), np.asarray(out.target_BN)
    np.testing.assert_array_equal(np.asarray(hit.ids_BN)[region], target[region])
    loss, scalars = jax.jit(lambda: system.loss(state.train.params, out, None))()
    assert float(loss) == pytest.approx(float(scalars["loss_mask"]), rel=1e-6)
    assert float(scalars["loss_refine"]) == 0.0


def test_latent_masking_keeps_the_padded_clips_tokens_and_commit_refines_them(ten, tokenizer, batch):
    few = {key: value[:4] for key, value in batch.items()}
    name = "central_outpainting"
    task = ten.mixture.tasks[ten.vocabulary.tasks.index(name)]
    region = task.region(ten.mixture.grid)
    padded = np.asarray(tokenizer.encode(task.pad(jnp.asarray(few["video"], jnp.float32) / 255)))
    kept = np.broadcast_to(region[None], padded.shape).reshape(4, -1)
    index = jnp.int32(ten.vocabulary.tasks.index(name))
    for system, equal in ((build(tokenizer, *ALL, *LATENT), True), (ten, False)):
        ids = system._generate_ids(started(system), few, index, system.decoding[name])
        assert np.array_equal(np.asarray(ids)[kept], padded.reshape(4, -1)[kept]) is equal


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("masking.method=commt",), "masking.method: 'commt'; expected one of commit, latent"),
        (("masking.ratio_per=device",), "masking.ratio_per: 'device'; expected one of example, batch"),
        (("masking.schedule=sine",), "mask schedule 'sine' is unknown"),
        (
            ("masking.method=latent",),
            "learned from masked tokens alone .* expected refine=0 and reconstruct=0",
        ),
        (("loss.part_weights.mask=-1.0",), "expected all 0 or more"),
        (("loss.part_weights.mask=0.0", *MASK_ONLY), "and one above 0"),
    ],
)
def test_masking_that_cannot_be_is_named(tokenizer, changes, message):
    with pytest.raises(UserError, match=message):
        build(tokenizer, *changes)

"""The baselines of Tab. 6.8 and 6.9, and the prefix LM, from training to a bundle."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

import magvit_jax
from magvit_jax import bundles, data, metrics, systems
from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.systems.generator_base import Drawn, GeneratorState
from magvit_jax.training.state import TrainState
from magvit_jax.workflows import train

METHODS = {
    "commit": ("generator", ()),
    "prefix": ("generator", ("masking.method=prefix", "loss.part_weights.refine=0.0")),
    "autoregressive": ("autoregressive", ()),
}
#: With condition tokens in front.
CONDITIONED = ("prefix", "autoregressive", "prefix_lm")
#: What makes VideoPoet's backbone a model for the tiny tokenizer and the embedded clips.
PREFIX_LM = (
    "data.source=embedded",
    "data.workers=0",
    "data.random_crop=False",
    "model.width=16",
    "model.layers=2",
    "model.heads=2",
    "model.kv_heads=1",
    "model.head_width=8",
    "model.mlp_dim=32",
    "model.dtype=float32",
    "loss.chunk=10",
    "optimizer.schedule=constant",
    "training.eval_every=0",
)
#: Four given frames end within a latent frame, so that the condition is not exact.
INEXACT = "tasks.frame_prediction.settings.frames=4"


def config_of(tiny, method, *more):
    if method == "prefix_lm":
        values = (*tiny_models.SHARED, *PREFIX_LM, f"tokenizer={tiny.tokenizer.bundle}", *more)
        return tiny_models.load_config("videopoet/prefix_lm:300m", [f"--config.{value}" for value in values])
    stage, changes = METHODS[method]
    shrunk = tiny_models.SHARED + tuple(value for value in tiny_models.GENERATOR if value.startswith("model."))
    if stage == "generator":
        shrunk = tiny_models.SHARED + tiny_models.GENERATOR
    values = (*shrunk, f"tokenizer={tiny.tokenizer.bundle}", *changes, *more)
    return tiny_models.load_config(f"quickstart/{stage}:smoke", [f"--config.{value}" for value in values])


def build(tiny, method, *more):
    tokenizer = bundles.build_tokenizer(bundles.read(tiny.tokenizer.bundle))
    return systems.build(config_of(tiny, method, *more), tokenizer=tokenizer, num_classes=10)


def batches(config):
    spec = data.ClipSpec.from_config(config.data)
    return list(data.eval_batches(data.build_source(config.data, "test"), spec, batch_size=8, num=8))


def enlarged(params):
    """Random of the same shapes, as if much had been learned: what is seen can be seen in what comes out."""
    rng, spread = np.random.default_rng(0), dict(kernel=0.6, embedding=1.0, scale=0.0, bias=0.0)

    def change(path, x):
        kind = path[-1].key.split("_")[-1]
        return jnp.asarray(rng.normal(kind == "scale", spread[kind], x.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(change, params)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """Workdirs of a few steps each, by method."""
    root, made = tmp_path_factory.mktemp("baselines"), {}
    with tiny_models.quick_compilation():
        for method in CONDITIONED:
            config = config_of(tiny, method, INEXACT, "training.steps=12", "optimizer.learning_rate=0.01")
            train(config, root / method, stream=io.StringIO(), devices=jax.devices()[:1])
            made[method] = root / method
    return made


@pytest.mark.parametrize("method", CONDITIONED)
def test_the_loss_falls(trained, method):
    records = map(json.loads, (trained[method] / "metrics.jsonl").read_text().splitlines())
    losses = [record["loss"] for record in records if record["kind"] == "train"]
    assert len(losses) == 12 and losses[0] == pytest.approx(np.log(64), rel=0.1)
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1


def test_the_loss_of_a_prefix_lm_is_that_of_its_tokens_one_after_another(tiny):
    """The chain rule, with the cache: what decoding gives each token of the clip after those before it."""
    system = build(tiny, "prefix_lm", INEXACT)
    params = enlarged(unbox(jax.eval_shape(system.init, jax.random.key(0)).train.params))
    count = system.mixture.grid.num_tokens
    rng = np.random.default_rng(5)
    ids_BN = jnp.asarray(rng.integers(0, 64, (3, count)), jnp.int32)
    drawn = Drawn(
        task_B=jnp.ones(3, jnp.int32),
        label_B=jnp.full(3, -1),
        prefix_B2=jnp.asarray([[64, 67]] * 3, jnp.int32),
        target_BN=ids_BN,
        condition_BN=(ids_BN + 7) % 64,
        region_BN=jnp.broadcast_to(jnp.arange(count)[None] < 4, (3, count)),
        keys_B=jax.random.split(jax.random.key(1), 3),
    )
    found, _ = jax.jit(lambda p: system.loss(p, drawn, None))(params)

    def one_by_one(params):
        model = system.transformer
        condition = drawn.before(model.condition_length)
        logits, cache = model.apply({"params": params}, drawn.prefix_B2, count, condition, method="prefill")

        def step(state, id_B):
            logits_BFV, cache = state
            log_BV = jax.nn.log_softmax(logits_BFV[:, 0])
            return model.apply({"params": params}, id_B, cache, method="step"), log_BV[jnp.arange(3), id_B]

        _, log_NB = jax.lax.scan(step, (logits, cache), ids_BN.T)
        return -jnp.mean(log_NB)

    assert float(found) == pytest.approx(float(jax.jit(one_by_one)(params)), rel=1e-4)


@pytest.mark.parametrize("method", CONDITIONED)
def test_a_bundle_generates_what_the_system_measures(tiny, trained, method, tmp_path):
    generator = magvit_jax.load_generator(bundles.write(bundles.from_workdir(trained[method]), tmp_path / method))
    assert generator.tasks == ("class_conditional", "frame_prediction")
    generator.params = enlarged(generator.params)
    config = config_of(tiny, method, INEXACT)
    batch = batches(config)[0]
    # Both at arg max: what is random is keyed differently.
    greedy = dict(temperature=0.0)
    if method == "prefix":
        greedy["sampling_temperature"] = 0.0
    clips = np.asarray(generator.generate("frame_prediction", video=batch["video"][:, :4], **greedy))
    assert clips.shape == (8, 9, 16, 16, 3) and clips.min() >= 0 and clips.max() <= 1
    labelled = generator.generate("class_conditional", label=[*range(8)], guidance_scale=0.0, **greedy)
    assert labelled.shape == clips.shape and np.any(np.asarray(labelled) != clips)
    system = systems.build(config, tokenizer=generator.tokenizer, num_classes=10)
    assert system.transformer == generator.transformer
    system.decoding["frame_prediction"] = dataclasses.replace(system.decoding["frame_prediction"], **greedy)
    assert len(np.unique(generator.generate_ids("frame_prediction", video=batch["video"], **greedy))) > 8
    train_state = TrainState(jnp.int32(0), generator.params, opt_state=None, ema_params=None)
    state = GeneratorState(train_state, generator.tokenizer.params)
    np.testing.assert_allclose(system.generate(state, batch, "frame_prediction"), clips, atol=1e-5)
    values = system.evaluators["frame_prediction"](state, [batch])
    assert values["psnr"] == pytest.approx(metrics.psnr(batch["video"][:, 4:], clips[:, 4:]).mean(), abs=1e-3)


def drawn(system, region=True):
    """Four examples of frame prediction, with a region of their own or without one."""
    rng = np.random.default_rng(0)
    grid, tasks = system.mixture.grid, np.ones(4, np.int32)
    ids = [jnp.asarray(rng.integers(0, 64, (4, grid.num_tokens)), jnp.int32) for _ in range(2)]
    region_BN = np.broadcast_to(system.mixture.tasks[1].region(grid).reshape(-1), ids[0].shape)
    return Drawn(
        task_B=jnp.asarray(tasks),
        label_B=jnp.full((4,), -1, jnp.int32),
        prefix_B2=system.vocabulary.prefix(tasks, -tasks),
        target_BN=ids[0],
        condition_BN=ids[1],
        region_BN=jnp.asarray(region_BN if region else np.zeros_like(region_BN)),
        keys_B=jax.random.split(jax.random.key(0), 4),
    )


@pytest.mark.parametrize("method", CONDITIONED)
def test_the_condition_is_read_in_the_region_and_in_front_only(tiny, method):
    system = build(tiny, method, INEXACT)
    params = magvit_jax.partitioning.unbox(jax.jit(system.init_params)(jax.random.key(0)))
    params = enlarged(params)
    loss = jax.jit(lambda given: system.loss(params, given, None)[0])
    given = drawn(system)
    outside = given._replace(condition_BN=jnp.where(given.region_BN, given.condition_BN, 0))
    assert float(loss(outside)) == float(loss(given))
    inside = given._replace(condition_BN=jnp.where(given.region_BN, 0, given.condition_BN))
    assert float(loss(inside)) != float(loss(given))
    assert float(loss(drawn(system, region=False))) != float(loss(given))
    slots = int(system.mixture.tasks[1].region(system.mixture.grid).sum())
    assert system.transformer.condition_length == slots > 0


def test_with_a_prefix_condition_the_clip_holds_targets_and_masks_only(tiny):
    system = build(tiny, "prefix", INEXACT)
    given, seen = drawn(system), []
    system.transformer = type("Watched", (), {"condition_length": system.transformer.condition_length})()
    system.transformer.apply = lambda variables, ids_BL, *rest, **more: seen.append(ids_BL) or jnp.zeros(
        (4, given.target_BN.shape[1], 1, 64)
    )
    _, scalars = system.loss({}, given, None)
    ids_BN, target_BN = np.asarray(seen[0][:, 2:]), np.asarray(given.target_BN)
    masked = ids_BN == system.vocabulary.mask_id
    np.testing.assert_array_equal(ids_BN[~masked], target_BN[~masked])
    assert np.any(masked & np.asarray(given.region_BN)) and float(scalars["loss_refine"]) == 0.0
    assert float(scalars["masked_share"]) == pytest.approx(masked.mean())


def test_the_autoregressive_loss_is_of_the_next_token(tiny):
    """A network that knows the rule, 7, 8, 9, ..., has no loss; inputs or targets shifted by one would give it some."""
    system = build(tiny, "autoregressive", "loss.label_smoothing=0.0")
    tokens = system.mixture.grid.num_tokens

    class Counting:
        condition_length = system.transformer.condition_length

        def apply(self, variables, ids_BL, deterministic, condition, rngs):
            assert ids_BL.shape == (4, 2 + tokens - 1) and deterministic and condition is not None
            first_B1 = jnp.full((4, 1), 7)
            next_BN = jnp.concatenate([first_B1, (ids_BL[:, 2:] + 1) % 64], axis=1)
            sub_BNF = jnp.stack([next_BN % 8, next_BN // 8], axis=-1)
            return 50.0 * jax.nn.one_hot(sub_BNF, 8)

    system.transformer = Counting()
    counted_BN = jnp.broadcast_to((7 + jnp.arange(tokens)) % 64, (4, tokens))
    loss, scalars = system.loss({}, drawn(system)._replace(target_BN=counted_BN), None)
    assert float(loss) < 1e-6 and float(scalars["accuracy"]) == 1.0
    loss, scalars = system.loss({}, drawn(system)._replace(target_BN=counted_BN.at[:, 5].set(0)), None)
    assert float(scalars["accuracy"]) == pytest.approx(1 - 2 / tokens)  # itself, and the one after it
    assert float(loss) > 0.1


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("prefix", "loss.part_weights.refine=1.0", "'prefix' no condition token is inside"),
        ("prefix", "masking.method=suffix", "masking.method: 'suffix'; expected one of commit, latent, prefix"),
        ("prefix_lm", "loss.chunk=0", "loss.chunk: 0; expected 1 or more tokens"),
        ("autoregressive", "masking.method=commit", "an autoregressive model takes conditions by 'prefix' only"),
    ],
)
def test_mistakes_are_named(tiny, method, change, message):
    with pytest.raises(UserError, match=message):
        build(tiny, method, change)


def test_a_masked_config_is_no_autoregressive_one(tiny):
    with pytest.raises(UserError, match="config.masking.ratio_per: an autoregressive model has no use for it"):
        build(tiny, "commit", "system=autoregressive_video")

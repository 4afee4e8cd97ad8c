"""Training against a discriminator: both players' gradients written out, runs in both dtypes, resuming, shipping."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import quiet_train, random_params, tiny_config

from magvit_jax import bundles, systems
from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.adversarial import LOSSES, LecamAverages
from magvit_jax.training.state import LoopState, TrainState
from magvit_jax.training.step import make_train_step

CLIP = (5, 8, 8)
ADVERSARY = (
    "adversarial.weight=0.5",
    "adversarial.optimizer.warmup_steps=0",
    "discriminator.base_channels=4",
    "discriminator.channel_multipliers=(2,)",
    "data.frames=5",
    "data.height=8",
    "data.width=8",
    "model.mid_blocks=0",
    "model.time_kernel=1",
)


def config_of(*more):
    config = tiny_config("tokenizer", *ADVERSARY, *more)
    config.model.update(channel_multipliers=(1,), strides=())  # a tuple given twice on the command line is both
    return config


def random_state(system):
    """A state that no zero hides anything in."""
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), unbox(jax.eval_shape(system.init, jax.random.key(0))))
    rng = np.random.default_rng(1)
    discriminator = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), x.dtype), state.discriminator.params
    )
    averages = LecamAverages(jnp.float32(0.7), jnp.float32(-2.0))
    return state.with_params(random_params(system.model, CLIP), discriminator).replace(averages=averages)


def video_batch(size=4):
    return {"video": np.random.default_rng(0).integers(0, 256, (size, *CLIP, 3), dtype=np.uint8)}


def test_each_player_follows_the_gradient_of_its_own_loss():
    """Two losses written out, each with forward passes of its own, and differentiated one by one."""
    system = systems.build(config_of("adversarial.lecam_weight=0.5"))
    state, batch = random_state(system), video_batch()
    video = jnp.asarray(batch["video"], jnp.float32) / 255.0
    discriminator, losses = system.adversary.discriminator, LOSSES["non_saturating"]

    def generator_loss(params):
        output, terms, _ = system.forward(params, video)
        total, _ = system.loss(video, output, terms, state.generator.updates)
        return total + 0.5 * losses.generator(discriminator.apply({"params": state.discriminator.params}, output))

    def discriminator_loss(params):
        output, _, _ = system.forward(state.generator.params, video)
        real, fake = (discriminator.apply({"params": params}, x) for x in (video, output))
        slope = jax.grad(lambda x: discriminator.apply({"params": params}, x).sum())(video)
        r1 = jnp.square(slope).sum((1, 2, 3, 4)).mean()
        lecam = jnp.square(jax.nn.relu(real.mean() + 2.0)) + jnp.square(jax.nn.relu(0.7 - fake.mean()))
        return losses.real(real) + losses.fake(fake) + 10.0 * r1 + 0.5 * lecam

    def written_out(generator, discriminator):
        return jax.value_and_grad(generator_loss)(generator), jax.value_and_grad(discriminator_loss)(discriminator)

    grads, aux = jax.jit(system.gradients)(state, batch, jax.random.key(0))
    wanted = jax.jit(written_out)(state.generator.params, state.discriminator.params)
    for name, key, (value, expected) in zip(
        ("generator", "discriminator"), ("loss", "discriminator_loss"), wanted, strict=True
    ):
        assert float(aux[key]) == pytest.approx(float(value), rel=1e-4)
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(grads[name]), jax.tree.leaves(expected), strict=True
        ):
            distance, size = (float(jnp.linalg.norm(x.ravel())) for x in (a - b, b))
            assert distance <= 1e-3 * size + 1e-6, f"{name}{jax.tree_util.keystr(path)}"
    assert float(aux["r1_penalty"]) > 0 and float(aux["lecam_loss"]) > 0


def test_one_forward_pass_serves_both_players_also_in_microbatches(monkeypatch):
    system = systems.build(config_of())
    passes = []
    for owner, name in ((type(system), "forward"), (type(system.adversary), "_logits")):
        original = getattr(owner, name)

        def counted(*args, original=original, name=name):
            passes.append(name)
            return original(*args)

        monkeypatch.setattr(owner, name, counted)
    state = unbox(jax.eval_shape(system.init, jax.random.key(0)))
    jax.eval_shape(system.gradients, state, video_batch(), jax.random.key(0))
    assert sorted(passes) == ["_logits", "_logits", "forward"]  # one real batch, one generated
    loop_state = jax.eval_shape(LoopState.create, state)
    shapes = [
        jax.eval_shape(make_train_step(system, parts), loop_state, video_batch(), jax.random.key(0))
        for parts in (1, 2)
    ]
    assert shapes[0] == shapes[1]
    assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes[0][0].system) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )


def test_until_its_start_the_discriminator_stands_still():
    """Its optimizer and LeCam's averages too, whose clocks begin with it."""
    system = systems.build(config_of("adversarial.start_step=1"))
    state = random_state(system)
    grads = {name: jax.tree.map(jnp.ones_like, getattr(state, name).params) for name in ("generator", "discriminator")}
    aux = dict(logits_real=jnp.float32(3.0), logits_fake=jnp.float32(-3.0))
    step = jax.jit(lambda state: system.apply(state, grads, aux)[0])
    once = step(state)
    for name in ("discriminator", "averages"):
        jax.tree.map(np.testing.assert_array_equal, getattr(once, name), getattr(state, name))
    assert int(once.generator.updates) == 1
    twice = step(once)
    assert int(twice.discriminator.updates) == 1 and int(twice.generator.updates) == 2
    assert float(twice.averages.real) == pytest.approx(0.999 * 0.7 + 0.001 * 3.0)


def test_the_generator_begins_as_without_an_adversary():
    adversarial, plain = (
        jax.jit(systems.build(config_of(f"adversarial.weight={weight}")).init)(jax.random.key(3))
        for weight in (0.5, 0.0)
    )
    assert isinstance(plain, TrainState)  # no discriminator, and nothing of one
    jax.tree.map(np.testing.assert_array_equal, adversarial.generator, plain)


def records(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


def leaves(state):
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """30 steps at a learning rate that is felt, both networks in the same dtype; by dtype, each trained once."""
    done = {}

    def run(dtype):
        if dtype not in done:
            workdir = tmp_path_factory.mktemp(dtype) / "run"
            config = config_of(
                f"model.dtype={dtype}",
                f"discriminator.dtype={dtype}",
                "adversarial.optimizer.learning_rate=0.002",
                "adversarial.ema_decay=0.9",
                "training.steps=30",
                "training.checkpoint_every=15",
            )
            done[dtype] = workdir, config, quiet_train(config, workdir)
        return done[dtype]

    return run


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_stays_finite_and_logs_what_shows_a_collapse(runs, dtype):
    workdir, _, state = runs(dtype)
    found = records(workdir)
    assert len(found) == 30 and all(record["skipped"] == 0 for record in found)
    names = (
        "loss reconstruction_loss adversarial_loss discriminator_loss lecam_loss r1_penalty logits_real logits_fake "
        "gradient_norm discriminator_gradient_norm batch_codebook_use batch_perplexity psnr"
    )
    for record in found:
        assert set(names.split()) <= set(record)
        assert all(np.isfinite(x) for x in record.values() if isinstance(x, float))
    assert all(np.isfinite(x).all() for x in leaves(state).values())
    # Both have learned something, and the discriminator more than chance.
    assert found[-1]["reconstruction_loss"] < found[0]["reconstruction_loss"]
    assert np.mean([r["logits_real"] - r["logits_fake"] for r in found[-5:]]) > 0
    player = state.system.discriminator
    assert int(player.updates) == 30 and player.ema_params is not None


def test_a_run_goes_on_bit_for_bit(runs, tmp_path):
    workdir, config, state = runs("float32")
    shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "30")
    again = leaves(quiet_train(config, tmp_path / "run"))
    for name, value in leaves(state).items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_what_is_shipped_is_the_generators_average(runs, tmp_path):
    workdir, config, state = runs("float32")
    bundle = bundles.write(bundles.from_workdir(workdir), tmp_path / "bundle")
    expected = leaves(state.system.generator.ema_params)
    found = leaves(bundles.read(bundle).params)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    begun = systems.build(config).warm_start(state.system, bundles.read(bundle).params)
    jax.tree.map(np.testing.assert_array_equal, begun.generator.params, bundles.read(bundle).params)
    jax.tree.map(np.testing.assert_array_equal, begun.discriminator, state.system.discriminator)


def test_a_mesh_changes_no_step(runs, tmp_path):
    """Compared before the first update: later ones divide by the size of gradients, near zero too."""
    workdir, config, _ = runs("float32")
    config = config.copy_and_resolve_references()
    config.training.steps = 1
    config.mesh.fsdp, config.mesh.tensor = 2, 2
    state = quiet_train(config, tmp_path / "run", devices=4)
    assert not state.system.discriminator.params["block0"]["conv2"]["kernel"].sharding.is_fully_replicated
    one, eight = records(workdir)[0], records(tmp_path / "run")[0]
    for name in one:
        if any(word in name for word in ("loss", "logits", "norm", "penalty", "batch")):
            assert eight[name] == pytest.approx(one[name], rel=2e-3, abs=1e-5), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("adversarial.loss=wasserstein", "adversarial.loss: 'wasserstein'; expected one of"),
        ("adversarial.optimizer.name=sgd", "optimizer.name: 'sgd'"),
        ("discriminator.dtype=float16", "discriminator.dtype: 'float16'; expected one of float32, bfloat16"),
        ("discriminator.pooling=max", "discriminator.pooling: 'max'"),
        ("perceptual.network=vgg", "perceptual.network: 'vgg'; expected one of none, fd_small, resnet50"),
        ("perceptual.weight=0.1", "perceptual.weight: 0.1 with network 'none'"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(UserError, match=message):
        systems.build(config_of(change))

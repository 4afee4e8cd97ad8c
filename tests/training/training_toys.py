"""Toy systems for the tests of the loop, and a script that trains one in a process of its own."""

import argparse
import contextlib
import os
import resource
import signal
import threading
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from magvit_jax.partitioning import constrain, param
from magvit_jax.training.checkpoints import latest_step
from magvit_jax.training.loop import train
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.training.processes import join_processes
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState

BATCH, INPUTS, OUTPUTS = 16, 8, 4


def toy_config(**overrides) -> ConfigDict:
    """A whole config; overrides are dotted keys with __ for the dot."""
    config = ConfigDict(
        dict(
            seed=3,
            mesh=dict(data=-1, fsdp=1, tensor=1, sequence=1),
            profile=dict(start=10, steps=0),
            optimizer=dict(
                name="adamw",
                learning_rate=0.01,
                warmup_steps=3,
                schedule="cosine",
                final_fraction=0.1,
                b1=0.9,
                b2=0.99,
                eps=1e-8,
                weight_decay=0.01,
                decay_kernels_only=True,
                clip_norm=1.0,
            ),
            training=dict(
                steps=8,
                microbatches=2,
                ema_decay=0.9,
                log_every=2,
                eval_every=4,
                sample_every=4,
                checkpoint_every=3,
                checkpoint_keep=2,
                max_nonfinite=3,
                tensorboard=False,
                rng_impl="threefry2x32",
            ),
            data=dict(workers=0),
            model=dict(width=16, dropout=0.1),
        )
    )
    for key, value in overrides.items():
        group, _, name = key.rpartition("__")
        (config[group] if group else config)[name] = value
    return config


class Mlp(nn.Module):
    width: int
    dropout: float

    @nn.compact
    def __call__(self, x_BI, deterministic):
        init = nn.initializers.lecun_normal()
        kernel = self.param("kernel", param(init, "embed", "mlp"), (INPUTS, self.width))
        bias = self.param("bias", param(nn.initializers.zeros_init(), "mlp"), (self.width,))
        hidden_BF = constrain(nn.relu(x_BI @ kernel + bias[None]), "activation_batch", "activation_mlp")
        hidden_BF = nn.Dropout(self.dropout)(hidden_BF, deterministic=deterministic)
        out = self.param("out", param(init, "mlp", "embed"), (self.width, OUTPUTS))
        return hidden_BF @ out


class Regression:
    """Fits y = tanh(x A); "x" may be poisoned by the data."""

    data_keys = ("x", "y")

    def __init__(self, config: ConfigDict):
        self.model = Mlp(**config.model)
        self.optimizer = make_optimizer(config.optimizer, config.training.steps)
        self.ema_decay = config.training.ema_decay
        self.evaluators = {"held_out": self.evaluate}
        self.error = jax.jit(self.batch_error)

    def init(self, rng):
        params = self.model.init(rng, jnp.zeros((1, INPUTS)), deterministic=True)["params"]
        return TrainState.create(params, self.optimizer, self.ema_decay)

    def gradients(self, state, microbatch, rng):
        def loss(params):
            out = self.model.apply(
                {"params": params}, microbatch["x"], deterministic=False, rngs={"dropout": rng}
            )
            return jnp.mean(jnp.square(out - microbatch["y"]))

        value, grads = jax.value_and_grad(loss)(state.params)
        return grads, {"loss": value}

    def apply(self, state, grads, aux):
        return state.apply_gradients(grads, self.optimizer, self.ema_decay), {
            "loss": aux["loss"],
            "grad_norm": optax.tree.norm(grads),
        }

    def batch_error(self, params, batch):
        out = self.model.apply({"params": params}, batch["x"], deterministic=True)
        return jnp.mean(jnp.square(out - batch["y"]))

    def evaluate(self, state, batches):
        errors = [float(self.error(state.eval_params, batch)) for batch in batches]
        return {"error": sum(errors) / len(errors), "batches": len(errors)}

    def sample(self, state, batch):
        shade = (to_host(batch["x"])[:2, :3] * 40 + 128).clip(0, 255).astype(np.uint8)
        return {"shade": np.broadcast_to(shade[:, None, None, None, :], (2, 3, 4, 4, 3))}


class Gan:
    """Two players, two optimizers, one forward pass: a shift learns the mean of the data."""

    data_keys = ("x",)
    evaluators = {}

    def __init__(self, config: ConfigDict):
        self.optimizers = {
            "generator": make_optimizer(config.optimizer, config.training.steps),
            "discriminator": optax.sgd(0.1),
        }
        self.forward_passes = 0

    def init(self, rng):
        params = {
            "generator": {"shift": jnp.zeros((INPUTS,))},
            "discriminator": {"kernel": 0.1 * jax.random.normal(rng, (INPUTS,)), "bias": jnp.zeros(())},
        }
        return {name: TrainState.create(p, self.optimizers[name]) for name, p in params.items()}

    def scores(self, generator, discriminator, x_BI, rng):
        """Of real and of generated examples."""
        self.forward_passes += 1
        fake_BI = 0.1 * jax.random.normal(rng, x_BI.shape) + generator["shift"][None]
        return tuple(x @ discriminator["kernel"] + discriminator["bias"] for x in (x_BI, fake_BI))

    @staticmethod
    def losses(real_B, fake_B):
        discriminator = jnp.mean(nn.softplus(-real_B)) + jnp.mean(nn.softplus(fake_B))
        return {"generator": jnp.mean(nn.softplus(-fake_B)), "discriminator": discriminator}

    def gradients(self, state, microbatch, rng):
        scores, pullback = jax.vjp(
            lambda g, d: self.scores(g, d, microbatch["x"], rng),
            state["generator"].params,
            state["discriminator"].params,
        )
        slope = {
            player: jax.grad(lambda *s, p=player: self.losses(*s)[p], argnums=(0, 1))(*scores)
            for player in ("generator", "discriminator")
        }
        grads = {
            "generator": pullback(slope["generator"])[0],
            "discriminator": pullback(slope["discriminator"])[1],
        }
        return grads, {f"{name}_loss": value for name, value in self.losses(*scores).items()}

    def apply(self, state, grads, aux):
        return {name: state[name].apply_gradients(grads[name], self.optimizers[name]) for name in state}, aux

    def sample(self, state, batch):
        return {}


def example(position: int) -> dict[str, np.ndarray]:
    """The example at a position of the endless stream."""
    x = np.random.default_rng((7, position)).normal(size=INPUTS).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(INPUTS, OUTPUTS)).astype(np.float32)
    return {"x": x, "y": np.tanh(x @ weights), "unused": np.zeros(2, np.float32)}


def toy_batches(poison=(), at_step=None):
    """A train_batches_fn. Steps (from 1) in `poison` hold a NaN; `at_step(step)` is called before each."""

    def batches(start_step, shard_index, shard_count):
        rows = BATCH // shard_count
        for step in range(start_step, 10**6):
            if at_step is not None:
                at_step(step + 1)
            first = step * BATCH + shard_index * rows
            examples = [example(position) for position in range(first, first + rows)]
            batch = {key: np.stack([e[key] for e in examples]) for key in examples[0]}
            if step + 1 in poison:
                batch["x"][0, 0] = np.nan
            yield batch

    return batches


def toy_eval_batches():
    """Two full batches and a smaller one that divides by nothing."""
    for first, rows in ((-100, 16), (-50, 16), (-7, 7)):
        examples = [example(abs(first) * 1000 + i) for i in range(rows)]
        yield {key: np.stack([e[key] for e in examples]) for key in examples[0]}


def toy_train(
    workdir, *, batches=None, config=None, devices=None, on_sample=None, stream=None, **overrides
):
    """Trains the toy regression; overrides are those of `toy_config`."""
    config = toy_config(**overrides) if config is None else config
    return train(
        Regression(config),
        config,
        workdir,
        batches or toy_batches(),
        eval_batches_fn=toy_eval_batches,
        on_sample=on_sample,
        extra={"class_names": ["a", "b"]},
        devices=devices,
        stream=stream,
    )


def leaves(state) -> dict[str, np.ndarray]:
    """Every array of a state by its path, on the host."""
    return {
        jax.tree_util.keystr(path): x for path, x in jax.tree_util.tree_leaves_with_path(to_host(state))
    }


def _kill_while_saving(folder: Path, step: int) -> None:
    """Ends the process, as kill -9 does, when the checkpoint of a step is half-written."""

    def watch():
        while not any(folder.glob(f"checkpoints/{step}.orbax-checkpoint-tmp*/*")):
            time.sleep(0.0005)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _fill_disk(path: Path, leave: int) -> None:
    """Takes what is free on the disk of `path`, but for some bytes."""
    with path.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(b"0" * 4096):
                pass
        file.truncate(file.tell() - leave)


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--workdir", type=Path, required=True)
    flags.add_argument("--coordinator")
    flags.add_argument("--process", type=int, default=0)
    flags.add_argument("--kill_at_step", type=int)
    flags.add_argument("--kill_while_saving", type=int)
    flags.add_argument("--terminate_at_step", type=int)
    flags.add_argument("--full_disk_at_step", type=int)
    flags.add_argument("--fill_disk_at_step", type=int)
    flags.add_argument("--leave", type=int, default=0, help="bytes that --fill_disk_at_step leaves free")
    flags.add_argument("--config", default="", help="overrides of toy_config: NAME=INTEGER,...")
    args = flags.parse_args()
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    overrides = dict(pair.split("=") for pair in args.config.split(",") if pair)
    config = toy_config(**{name: int(value) for name, value in overrides.items()})
    if args.coordinator:
        auto = args.coordinator == "auto"
        join_processes(args.coordinator, *((None, None) if auto else (2, args.process)))
        config.mesh = dict(data=2, fsdp=-1, tensor=2, sequence=1)
    if args.kill_while_saving:
        _kill_while_saving(args.workdir, args.kill_while_saving)

    def at_step(step):
        if step == args.kill_at_step:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == args.terminate_at_step:
            os.kill(os.getpid(), signal.SIGTERM)
        if step == args.full_disk_at_step:
            while latest_step(args.workdir) is None:  # let the first checkpoint be finished
                time.sleep(0.01)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        if step == args.fill_disk_at_step:
            while latest_step(args.workdir) is None:
                time.sleep(0.01)
            _fill_disk(args.workdir.parent / "filler", args.leave)
        if args.fill_disk_at_step and step > args.fill_disk_at_step:
            time.sleep(0.1)  # writing in the background gets time to fail

    toy_train(args.workdir, batches=toy_batches(at_step=at_step), config=config)


if __name__ == "__main__":
    main()

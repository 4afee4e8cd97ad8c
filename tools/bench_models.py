"""Times whole models on the devices of this machine: training steps, and tokenizers forth and back.

    python tools/bench_models.py [--rounds=10] [--match=masked_video] [--batch=N] [--tiny] [--json=FILE]

Each row is a shipped config with the batch below, or with `--batch`: the very step that `magvit train` jits, on random
clips or tokens, or a tokenizer's encode and decode. In bfloat16, but for CPUs in float32. Operations are those that
the model needs (`aot.step.flops_per_batch`: matrix products and convolutions, without what is computed again), and
their rate is also given as a share of that of a large matrix product, timed in the same run. A transformer stands
beside a plain `torch.nn` stack of the same sizes, dtype and tokens on the same device, where torch is installed; it
has neither embedding nor head nor optimizer. `--tiny` shrinks everything: it shows that the tool works.
"""

import argparse
import contextlib
import dataclasses
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from magvit_jax.aot.step import Request, abstract_batch, build_step, build_system, flops_per_batch
from magvit_jax.aot.tokenizer import AbstractTokenizer
from magvit_jax.cli.config_files import load_config
from magvit_jax.partitioning import logical_context
from magvit_jax.training.sharded import init_state, run_keys

try:
    import torch
except ImportError:
    torch = None

SQUARE = 8192  # of the matrix product that says what the device can do


@dataclasses.dataclass(frozen=True)
class Case:
    """A row to be: a config, the examples of a batch, and whether a step is trained or clips are reconstructed."""

    config: str
    batch: int
    what: str
    tokenizer: str = ""
    overrides: tuple[str, ...] = ()


TINY_TOKENIZER = ("model.base_channels=8", "model.norm_groups=4", "model.blocks=1", "data.height=32", "data.width=32")
TINY_ADVERSARY = ("discriminator.base_channels=8", "discriminator.remat=False")
TINY_TRANSFORMER = ("model.width=32", "model.layers=2", "model.heads=2", "model.mlp_dim=64")
PREFIX = ("data.source=token_shards",)
CASES = (
    Case("magvit2/video_tokenizer", 4, "sample"),
    Case("magvit2/video_tokenizer", 4, "train"),
    Case("magvit2/masked_video:b", 32, "train", "magvit2/video_tokenizer", PREFIX),
    Case("magvit2/masked_video:l", 32, "train", "magvit2/video_tokenizer", PREFIX),
    Case("videopoet/prefix_lm:300m", 8, "train", "magvit2/video_tokenizer"),
)


@dataclasses.dataclass
class Row:
    """What is measured of a case; rates are per second."""

    name: str
    device: str
    seconds: float
    spread: float
    clips: float
    frames: float
    tflops: float
    share_of_matmul: float
    torch_seconds: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.torch_seconds is None else self.torch_seconds / self.seconds


def tiny(case: Case) -> Case:
    """The same at a size for a CPU."""
    more = TINY_TRANSFORMER if case.tokenizer else TINY_TOKENIZER + TINY_ADVERSARY
    if "prefix_lm" in case.config:
        more = (*more, "model.kv_heads=1", "model.head_width=16", "model.factors=2")
    return dataclasses.replace(case, batch=2, overrides=(*case.overrides, *more, "model.remat=" + _no_remat(case)))


def float32(case: Case) -> tuple[str, ...]:
    parts = ("model",) if case.tokenizer else ("model", "discriminator")
    return tuple(f"{part}.dtype=float32" for part in parts)


def _no_remat(case: Case) -> str:
    return "none" if case.tokenizer else "False"


def request_of(case: Case, small: bool) -> Request:
    """The config with the case's batch on this machine's devices; a loss without networks that are not shipped."""
    size = max(case.batch, jax.device_count())
    values = (*case.overrides, f"data.batch_size={size}", f"data.eval_batch_size={size}", "training.microbatches=1")
    config = load_config(case.config, [f"--config.{value}" for value in values])
    if "perceptual" in config.get("loss", {}) or "perceptual" in config:
        without_perceptual(config)
    tokenizer = None
    if case.tokenizer:
        shrunk = [f"--config.{value}" for value in TINY_TOKENIZER] if small else []
        frozen = load_config(case.tokenizer, shrunk)
        if small:
            config.data.height, config.data.width = frozen.data.height, frozen.data.width
        tokenizer = AbstractTokenizer.from_config(frozen.model, frozen.data)
    return Request(config, tokenizer, topology="", what=case.what)


def without_perceptual(config: ConfigDict) -> None:
    """The frozen network of the perceptual loss is somebody else's, and not here."""
    config.perceptual.weight = 0.0


def random_batch(request: Request, system: Any) -> dict[str, np.ndarray]:
    """Clips or tokens of the config's shapes."""
    rng, size = np.random.default_rng(0), request.config.data.batch_size
    highest = {"video": 256, "ids": 2, "label": 1}
    batch = {"index": np.arange(size, dtype=np.uint32)}
    for key, like in abstract_batch(system, request.config, size).items():
        if key != "index":
            batch[key] = rng.integers(0, highest[key], like.shape).astype(like.dtype)
    return batch


def prepared(request: Request) -> Callable[[], Any]:
    """A function that makes one step and gives something to wait for; compiled and run twice."""
    step = build_step(request, jax.devices())
    system = build_system(request.config, request.tokenizer, request.classes)
    abstract, config = step.arguments[0], request.config
    batch = {
        key: jax.device_put(value, step.arguments[1][key].sharding)
        for key, value in random_batch(request, system).items()
        if key in step.arguments[1]
    }
    init_key, step_key = run_keys(config.seed, config.training.rng_impl)
    with logical_context(step.mesh, step.rules):
        if request.what == "train":
            held = [init_state(system, init_key, abstract)]

            def once() -> Any:
                held[0], metrics = step.jitted(held[0], batch, step_key)
                return metrics

        else:
            make = jax.jit(
                lambda key: jax.tree.map(
                    lambda x: 0.02 * jax.random.normal(key, x.shape, x.dtype)
                    if jnp.issubdtype(x.dtype, jnp.floating)
                    else jnp.zeros(x.shape, x.dtype),
                    abstract,
                ),
                out_shardings=jax.tree.map(lambda x: x.sharding, abstract),
            )
            state = make(jax.random.key(0))

            def once() -> Any:
                return step.jitted(state, batch)

    def run() -> Any:
        with logical_context(step.mesh, step.rules):
            return once()

    for _ in range(2):
        jax.block_until_ready(run())
    return run


def timed(run: Callable[[], Any], rounds: int, wait: Callable[[Any], Any]) -> list[float]:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        wait(run())
        seconds.append(time.perf_counter() - start)
    return seconds


def matmul_rate(square: int, dtype: str, rounds: int) -> float:
    """FLOP a second of one large product, on all devices together."""
    a = jnp.ones((square, square), dtype)
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(a))
    seconds = statistics.median(timed(lambda: product(a), rounds, jax.block_until_ready))
    return 2.0 * square**3 / seconds * jax.device_count()


def torch_step(config: ConfigDict, tokens: int) -> Callable[[], Any] | None:
    """Forward and backward of a plain stack of torch's own layers on as many tokens, in the config's dtype."""
    if torch is None:
        return None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, dtype = config.model, getattr(torch, config.model.dtype)
    layer = torch.nn.TransformerEncoderLayer(
        model.width, model.heads, model.mlp_dim, dropout=0.0, activation="gelu", batch_first=True
    )
    stack = torch.nn.TransformerEncoder(layer, model.layers, enable_nested_tensor=False).to(device, dtype)
    x = torch.randn(config.data.batch_size, tokens, model.width, device=device, dtype=dtype)

    def step() -> None:
        stack.zero_grad(set_to_none=True)
        stack(x).sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    step()
    return step


def measure(case: Case, rounds: int, small: bool, rate: float) -> Row:
    request = request_of(case, small)
    run = prepared(request)
    seconds = timed(run, rounds, jax.block_until_ready)
    median, flops, size = statistics.median(seconds), flops_per_batch(request), request.config.data.batch_size
    low, _, high = statistics.quantiles(seconds, n=4)
    row = Row(
        name=f"{case.config}, {'training step' if case.what == 'train' else 'encode and decode'}, batch {size}",
        device=f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        seconds=median,
        spread=(high - low) / median,
        clips=size / median,
        frames=size * request.config.data.frames / median,
        tflops=flops / median / 1e12,
        share_of_matmul=flops / median / rate,
    )
    if case.tokenizer and "masked" in case.config:
        tokens = 2 + build_system(request.config, request.tokenizer, 0).mixture.grid.num_tokens
        if (step := torch_step(request.config, tokens)) is not None:
            row.torch_seconds = statistics.median(timed(step, rounds, lambda done: done))
    return row


def table(rows: list[Row]) -> Iterator[str]:
    yield "| Model | ms | spread | clips/s | frames/s | TFLOP/s | of a matmul's | plain torch stack, ms | ratio |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        peer = "" if row.torch_seconds is None else f"{row.torch_seconds * 1e3:.1f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        yield (
            f"| {row.name} | {row.seconds * 1e3:.1f} | {row.spread:.0%} | {row.clips:.1f} | {row.frames:.0f} "
            f"| {row.tflops:.3g} | {row.share_of_matmul:.0%} | {peer} | {ratio} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="steps that are timed, 2 or more (default: 10)")
    parser.add_argument("--match", default="", help="only configs whose name contains this")
    parser.add_argument("--batch", type=int, default=0, help="examples of a batch (default: as listed)")
    parser.add_argument("--tiny", action="store_true", help="small models: to see that it works")
    parser.add_argument("--json", type=Path, help="file for the rows")
    flags = parser.parse_args()
    if flags.rounds < 2:
        parser.error(f"--rounds={flags.rounds}: expected 2 or more")
    on_cpu = jax.default_backend() == "cpu"
    dtype = "float32" if on_cpu else "bfloat16"
    rate = matmul_rate(512 if flags.tiny else SQUARE // 4 if on_cpu else SQUARE, dtype, flags.rounds)
    device, peer = f"{jax.device_count()} x {jax.devices()[0].device_kind}", torch and torch.__version__
    print(f"jax {jax.__version__}, {device} ({platform.machine()}); torch: {peer}; medians of {flags.rounds}")
    print(f"a {dtype} matrix product: {rate / 1e12:.4g} TFLOP/s\n")
    rows = []
    for case in CASES:
        if flags.match in case.config:
            case = tiny(case) if flags.tiny else dataclasses.replace(case, batch=flags.batch or case.batch)
            if on_cpu:  # which multiplies bfloat16 many times slower
                case = dataclasses.replace(case, overrides=(*case.overrides, *float32(case)))
            print(f"{case.config}: {case.what} ...", file=sys.stderr, flush=True)
            rows.append(measure(case, flags.rounds, flags.tiny, rate))
    print("\n".join(table(rows)))
    if flags.json:
        with contextlib.closing(flags.json.open("w")) as file:
            json.dump([dataclasses.asdict(row) for row in rows], file, indent=1)


if __name__ == "__main__":
    main()

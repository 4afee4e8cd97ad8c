"""Our layers against a plain `torch.nn` stack of the same shapes, in one run on the same cores.

    python tools/bench_torch.py [--rounds=10] [--match=conv] [--json=FILE]        # needs torch: the extra `oracles`

Each case is one kind of layer, or a small MAGVIT-v2 (4x8x8 compression, 16 to 64 channels). Both sides get the same
parameters, and a case whose outputs differ by more than 1e-3 of their largest value is an error. Then they take turns,
after a warm-up: the forward pass, and forward + backward to inputs and parameters; of the whole model the backward
pass is a training step, with Adam. Printed are medians and the ratio torch / ours: above 1 ours is faster. torch runs
eagerly, channels first, as written by most people.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import torch_layers

from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.nn.norm import AdaptiveGroupNorm, GroupNorm
from magvit_jax.nn.resample import Downsample, Upsample
from magvit_jax.nn.resblock import ResBlock
from magvit_jax.nn.transformer import EncoderLayer
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer

PAUSE_S = 0.02  # between two turns: the threads of the one before must have gone to sleep
TOLERANCE = 1e-3
CHANNELS, STRIDES, BLOCKS, GROUPS, BITS = (16, 32, 64), ((1, 2, 2), (2, 2, 2)), 1, 8, 10


class Case(NamedTuple):
    """A kind of layer: our function of parameters and inputs, their module, and the inputs, channels last."""

    kind: str
    ours: Callable
    params: dict
    theirs: torch.nn.Module
    inputs: tuple[np.ndarray, ...]
    trains: bool = False  # backward is a whole training step with Adam


class NormSwish(nn.Module):
    statistics: str

    @nn.compact
    def __call__(self, x_BTHWC):
        return nn.swish(GroupNorm(GROUPS, self.statistics, name="norm")(x_BTHWC))


def layer_case(
    kind: str,
    module: nn.Module,
    theirs: torch.nn.Module,
    *shapes: tuple[int, ...],
    load=torch_layers.load,
    **more,
) -> Case:
    """A case with random inputs of these shapes; `load(theirs, parameters by path)` copies our parameters."""
    rng = np.random.default_rng(0)
    inputs = tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)
    params = unbox(jax.jit(module.init)(jax.random.key(0), *inputs)["params"])
    # Not the first values: a scale of 1 and a bias of 0 would hide a mistake.
    params = jax.tree.map(lambda x: x + 0.02 * jax.random.normal(jax.random.key(x.size), x.shape), params)
    load(theirs, flax.traverse_util.flatten_dict(params, sep="/"))
    return Case(kind, lambda p, *x: module.apply({"params": p}, *x), params, theirs, inputs, **more)


def cases() -> Iterator[Callable[[], Case]]:
    """Makers of the cases, so that one is in memory at a time."""
    layers, conv = torch_layers, torch_layers.CausalConv
    wide, frames = (2, 9, 32, 32, 32), (2, 9, 64, 64)
    yield lambda: layer_case("causal conv 3x3x3, 32 to 32", CausalConv3D(32), conv(32, 32), wide)
    yield lambda: layer_case(
        "causal conv 3x3x3, 128 to 128", CausalConv3D(128), conv(128, 128), (2, 9, 16, 16, 128)
    )
    yield lambda: layer_case("RGB stem, 3 to 32", CausalConv3D(32), conv(3, 32), (*frames, 3))
    yield lambda: layer_case("head, 32 to 3", CausalConv3D(3), conv(32, 3), (*frames, 32))
    yield lambda: layer_case(
        "conv 1x1x1, 32 to 64", CausalConv3D(64, (1, 1, 1)), conv(32, 64, (1, 1, 1)), wide
    )
    for strides in ((1, 2, 2), (2, 2, 2)):
        down = torch.nn.Sequential(OrderedDict(conv=conv(32, 32, strides=strides)))
        up = layers.Upsample(32, strides)
        yield lambda s=strides, down=down: layer_case(f"downsampling {s}", Downsample(s), down, wide)
        yield lambda s=strides, up=up: layer_case(f"upsampling {s}", Upsample(s), up, (2, 5, 16, 16, 32))
    for over in ("clip", "frame"):
        norm = torch.nn.Sequential(OrderedDict(norm=layers.NormSwish(GROUPS, 32, per_frame=over == "frame")))
        yield lambda o=over, norm=norm: layer_case(f"group norm of a {o}, swish", NormSwish(o), norm, wide)
    adaptive = AdaptiveGroupNorm(GROUPS, "pooled", "clip")
    theirs = layers.AdaptiveNorm(GROUPS, 32, BITS)
    yield lambda: layer_case("adaptive group norm", adaptive, theirs, wide, (2, 5, 8, 8, BITS))
    block = ResBlock(64, GROUPS, "clip")
    yield lambda: layer_case(
        "residual block, 32 to 64", block, layers.ResBlock(32, 64, GROUPS), (2, 9, 16, 16, 32)
    )
    yield transformer_case
    yield model_case


def transformer_case() -> Case:
    width, heads = 192, 3
    layer = EncoderLayer(heads, 4 * width, 0.0, 0.0, "post", nn.initializers.normal(0.02), jnp.float32)
    theirs = torch.nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, lambda x: torch.nn.functional.gelu(x, approximate="tanh"), 1e-12, True
    )

    def load(module: torch.nn.Module, ours: dict[str, np.ndarray]) -> None:
        qkv, out = np.asarray(ours["attention/qkv_kernel"]), np.asarray(ours["attention/out_kernel"])
        state = {
            "self_attn.in_proj_weight": qkv.reshape(width, -1).T,
            "self_attn.in_proj_bias": np.ravel(ours["attention/qkv_bias"]),
            "self_attn.out_proj.weight": out.reshape(-1, width).T,
            "self_attn.out_proj.bias": ours["attention/out_bias"],
        }
        for i, (dense, norm) in enumerate((("mlp_in", "attention_norm"), ("mlp_out", "mlp_norm")), start=1):
            state |= {
                f"linear{i}.weight": np.asarray(ours[f"{dense}/kernel"]).T,
                f"linear{i}.bias": ours[f"{dense}/bias"],
            }
            state |= {f"norm{i}.weight": ours[f"{norm}/scale"], f"norm{i}.bias": ours[f"{norm}/bias"]}
        module.load_state_dict({key: torch.tensor(np.array(value)) for key, value in state.items()})

    module = Fixed(layer)
    return layer_case(
        "transformer layer, 16 x 192 tokens of 192",
        module,
        theirs,
        (16, 192, width),
        load=lambda m, flat: load(m, {key.removeprefix("layer/"): value for key, value in flat.items()}),
    )


class Fixed(nn.Module):
    """A layer without dropout, as a function of its input alone."""

    layer: nn.Module

    def __call__(self, x_BLD):
        return self.layer(x_BLD, True)


class Reconstruction(nn.Module):
    """A tokenizer as a function of pixels: its reconstruction."""

    model: nn.Module

    def __call__(self, video_BTHWC):
        return self.model(video_BTHWC)[0]


def model_case() -> Case:
    model = MagvitV2(
        base_channels=CHANNELS[0],
        channel_multipliers=tuple(c // CHANNELS[0] for c in CHANNELS),
        strides=STRIDES,
        blocks=BLOCKS,
        mid_blocks=BLOCKS,
        quantizer=LookupFreeQuantizer(bits=BITS, entropy_groups=1),
        norm_groups=GROUPS,
        statistics="clip",
    )
    theirs = torch_layers.Autoencoder(CHANNELS, STRIDES, BLOCKS, GROUPS, BITS)

    def load(module: torch.nn.Module, flat: dict[str, np.ndarray]) -> None:
        torch_layers.load(module, {key.removeprefix("model/"): value for key, value in flat.items()})

    shape = (2, 9, 32, 32, 3)
    return layer_case(
        "MAGVIT-v2, 2 clips of 9x32x32", Reconstruction(model), theirs, shape, load=load, trains=True
    )


def channels_first(x: np.ndarray) -> torch.Tensor:
    """A contiguous copy, [B,T,H,W,C] to [B,C,T,H,W]; sequences stay as they are."""
    return torch.tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 5 else x))


def our_calls(case: Case) -> tuple[Callable, Callable]:
    """(forward, backward), each without arguments, returning what it computed when that is done."""
    inputs = tuple(map(jnp.asarray, case.inputs))
    forward = jax.jit(case.ours)
    if not case.trains:
        gradient = jax.jit(jax.grad(lambda p, x: jnp.mean(jnp.square(case.ours(p, *x))), argnums=(0, 1)))
        return (
            lambda: jax.block_until_ready(forward(case.params, *inputs)),
            lambda: jax.block_until_ready(gradient(case.params, inputs)),
        )
    adam = optax.adam(1e-4)

    def train(state):
        params, moments = state
        grads = jax.grad(lambda p: jnp.mean(jnp.square(case.ours(p, *inputs) - inputs[0])))(params)
        updates, moments = adam.update(grads, moments)
        return optax.apply_updates(params, updates), moments

    step, params = jax.jit(train, donate_argnums=0), jax.tree.map(jnp.copy, case.params)
    state = [(params, adam.init(params))]

    def backward():
        state[0] = jax.block_until_ready(step(state[0]))

    return lambda: jax.block_until_ready(forward(case.params, *inputs)), backward


def their_calls(case: Case) -> tuple[Callable, Callable]:
    """As `our_calls`."""
    inputs = tuple(map(channels_first, case.inputs))
    adam = torch.optim.Adam(case.theirs.parameters(), 1e-4)
    for x in inputs:
        x.requires_grad_(not case.trains)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return case.theirs(*inputs)

    def backward() -> None:
        for x in (*inputs, *case.theirs.parameters()):
            x.grad = None
        y = case.theirs(*inputs)
        (y - inputs[0] if case.trains else y).square().mean().backward()
        if case.trains:
            adam.step()

    return forward, backward


def require_same(case: Case, ours: np.ndarray, theirs: np.ndarray) -> None:
    theirs = np.moveaxis(theirs, 1, -1) if theirs.ndim == 5 else theirs
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if ours.shape != theirs.shape or not difference < TOLERANCE:
        sys.exit(
            f"{case.kind}: outputs {ours.shape} and {theirs.shape} differ by {difference:.1e} of the largest value"
        )


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Medians in ms, after a warm-up, the two sides in turn."""
    calls = {"ours": our_calls(case), "torch": their_calls(case)}
    require_same(case, np.asarray(calls["ours"][0]()), calls["torch"][0]().numpy())
    seconds = {(side, part): [] for side in calls for part in range(2)}
    for turn in range(rounds + 1):
        for (side, part), times in seconds.items():
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            calls[side][part]()
            if turn:  # the first turn compiles
                times.append(time.perf_counter() - start)
    ms = {key: 1e3 * statistics.median(times) for key, times in seconds.items()}
    return dict(
        kind=case.kind,
        forward_ms=ms["ours", 0],
        torch_forward_ms=ms["torch", 0],
        forward_ratio=ms["torch", 0] / ms["ours", 0],
        backward_ms=ms["ours", 1],
        torch_backward_ms=ms["torch", 1],
        backward_ratio=ms["torch", 1] / ms["ours", 1],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--match", default="", help="only kinds that contain this")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch; all cores"
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    print(
        f"jax {jax.__version__}, torch {torch.__version__}, {flags.threads} threads, float32, median of {flags.rounds}"
    )
    print("| Layer | forward ms | torch | ratio | forward + backward ms | torch | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = []
    for make in cases():
        case = make()
        if flags.match not in case.kind:
            continue
        row = measure(case, flags.rounds)
        rows.append(row)
        numbers = (f"{row[key]:.2f}" for key in row if key != "kind")
        print(f"| {row['kind']} | {' | '.join(numbers)} |", flush=True)
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Times every implementation of every op, forward and forward + backward, and prints a table.

  python tools/bench_ops.py [--op=attention|causal_conv3d|conv3d|lfq_entropy] [--rounds=10] [--clock=cpu] [--json]

All implementations of a shape are compiled first and then take turns, so that a slow moment of the machine hits all
of them. Each row says the median time, GFLOP/s of the operations the formula needs (backward counted twice the
forward), how many times faster than the first implementation, and the spread (distance of the quartiles over the
median) of the second time. What an implementation cannot do on this device is left out, and said. `--clock=cpu`
counts the processor time of all threads: for CPUs that other jobs use too.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
from attention_calls import calls, default_of, flops, shapes_of

from magvit_jax import ops
from magvit_jax.errors import UserError
from magvit_jax.ops.attention import shapes as attention_shapes
from magvit_jax.ops.causal_conv3d import api as conv_api
from magvit_jax.ops.causal_conv3d import shapes as conv_shapes
from magvit_jax.ops.lfq_entropy import api as entropy_api
from magvit_jax.ops.lfq_entropy import shapes as entropy_shapes

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Case(NamedTuple):
    """One shape of one op: what to call, on what, and how many operations one forward pass needs."""

    op: str
    shape: str
    flops: float
    arguments: tuple
    cotangent: object
    implementations: dict[str, Callable]
    default: str


def conv_cases(op: str) -> Iterator[Case]:
    """Of `causal_conv3d`, or of `conv3d` on its shapes of stride 1."""
    for x_shape, kernel_shape, strides in conv_shapes.BENCHMARK:
        if op == "conv3d" and strides != (1, 1, 1):
            continue
        x_key, kernel_key, g_key = jax.random.split(jax.random.key(0), 3)
        arguments = jax.random.normal(x_key, x_shape), 0.05 * jax.random.normal(kernel_key, kernel_shape)

        def call(x, kernel, name, strides=strides):
            if op == "conv3d":
                return ops.conv3d(x, kernel, "reflect", name)
            return ops.causal_conv3d(x, kernel, strides, name)

        implementations = {}
        for name in conv_api.IMPLEMENTATIONS:
            try:
                y = jax.eval_shape(lambda x, k, f=call, name=name: f(x, k, name), *arguments)
            except UserError:
                continue
            implementations[name] = lambda x, k, f=call, name=name: f(x, k, name)
        taps = min(kernel_shape[0], x_shape[1])  # an image meets one tap only
        flops = 2.0 * y.size * taps * kernel_shape[1] * kernel_shape[2] * kernel_shape[3]
        default = conv_api.default_implementation(jax.default_backend(), (taps, *kernel_shape[1:]), strides)
        shape = f"{'x'.join(map(str, x_shape))} * {'x'.join(map(str, kernel_shape))} / {strides}"
        cotangent = jax.random.normal(g_key, y.shape)
        yield Case(op, shape, flops, arguments, cotangent, implementations, default)


def entropy_cases() -> Iterator[Case]:
    for rows, bits in entropy_shapes.BENCHMARK:
        arguments = (0.05 * jax.random.normal(jax.random.key(0), (rows, bits)),)
        implementations = {
            name: lambda z, name=name: ops.lfq_entropy(z, 0.01, implementation=name)
            for name in ("reference", "factorized")
            if bits <= entropy_api.MAX_BITS[name] and (name != "reference" or rows * 2**bits <= 2**22)
        }
        cotangent = (jnp.float32(1.0), jnp.float32(-1.0))
        flops = 2.0 * rows * 2**bits
        yield Case(
            "lfq_entropy", f"N={rows} K={bits}", flops, arguments, cotangent, implementations, "factorized"
        )


def attention_cases() -> Iterator[Case]:
    """On a CPU float32 and one example; elsewhere bfloat16 and the shape's batch. Beside jax's own attention."""
    backend = jax.default_backend()
    dtype = jnp.float32 if backend == "cpu" else jnp.bfloat16
    for shape in attention_shapes.BENCHMARK:
        shape = shape._replace(batch=1) if backend == "cpu" else shape
        q_shape, k_shape = shapes_of(shape)
        keys = jax.random.split(jax.random.key(0), 4)
        arguments = tuple(
            jax.random.normal(key, dims, dtype) for key, dims in zip(keys, (q_shape, k_shape, k_shape), strict=False)
        )
        sizes = f"{shape.batch}x{shape.queries}x{shape.keys}x{shape.heads}/{shape.groups}x{shape.width}"
        cotangent = jax.random.normal(keys[3], q_shape, dtype)
        implementations, default = calls(shape, dtype, backend), default_of(shape, dtype, backend)
        name = f"{shape.name} {shape.kind} {sizes}"
        yield Case("attention", name, flops(shape), arguments, cotangent, implementations, default)


CASES = {
    "attention": attention_cases,
    "causal_conv3d": lambda: conv_cases("causal_conv3d"),
    "conv3d": lambda: conv_cases("conv3d"),
    "lfq_entropy": entropy_cases,
}


def forward_and_backward(function: Callable) -> Callable:
    def both(arguments, cotangent):
        y, pullback = jax.vjp(function, *arguments)
        return y, pullback(cotangent)

    return both


def measure(case: Case, rounds: int, clock: Callable[[], float]) -> list[dict]:
    compiled = {}
    for name, function in case.implementations.items():
        forward, both = jax.jit(function), jax.jit(forward_and_backward(function))
        try:
            jax.block_until_ready((forward(*case.arguments), both(case.arguments, case.cotangent)))
        except Exception as error:  # of any library: a GPU's has other limits than ours
            print(f"{case.op} {case.shape}, {name}: left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        compiled[name] = forward, both

    seconds = {name: ([], []) for name in compiled}
    for _ in range(rounds):
        for name, (forward, both) in compiled.items():
            start = clock()
            jax.block_until_ready(forward(*case.arguments))
            middle = clock()
            jax.block_until_ready(both(case.arguments, case.cotangent))
            seconds[name][0].append(middle - start)
            seconds[name][1].append(clock() - middle)

    rows, baseline = [], None
    for name, (forward, both) in seconds.items():
        forward_s, both_s = statistics.median(forward), statistics.median(both)
        baseline = baseline or both_s
        low, _, high = statistics.quantiles(both, n=4)
        rows.append({
            "op": case.op,
            "shape": case.shape,
            "implementation": name,
            "default": name == case.default,
            "forward_ms": forward_s * 1e3,
            "forward_backward_ms": both_s * 1e3,
            "gflops": 3 * case.flops / both_s / 1e9,
            "speedup": baseline / both_s,
            "spread": (high - low) / both_s,
        })  # fmt: skip
    return rows


def print_table(rows: list[dict]) -> None:
    shape = None
    for row in rows:
        if row["shape"] != shape:
            shape = row["shape"]
            print(f"\n{row['op']} {shape}\n{'':20}forward ms   fwd+bwd ms   GFLOP/s   times   spread")
        mark = "*" if row["default"] else " "
        print(
            f" {mark}{row['implementation']:17}{row['forward_ms']:11.2f}{row['forward_backward_ms']:13.2f}"
            f"{row['gflops']:10.0f}{row['speedup']:8.2f}{row['spread']:8.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", choices=("all", *CASES), default="all")
    parser.add_argument("--match", default="", help="only shapes whose printed form contains this")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of the table")
    arguments = parser.parse_args()

    chosen = CASES.values() if arguments.op == "all" else [CASES[arguments.op]]
    device = jax.devices()[0]
    if not arguments.json:
        print(
            f"jax {jax.__version__}, {jax.device_count()} x {device.device_kind} ({platform.machine()}),"
            f" {arguments.clock} clock, median of {arguments.rounds}; * is the default"
        )
    for case in (case for make in chosen for case in make() if arguments.match in case.shape):
        rows = measure(case, arguments.rounds, CLOCKS[arguments.clock])
        if arguments.json:
            print("\n".join(json.dumps({**row, "clock": arguments.clock}) for row in rows), flush=True)
        else:
            print_table(rows)


if __name__ == "__main__":
    main()

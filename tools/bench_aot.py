"""What the TPU compiler expects of every implementation of an op, on a machine without a TPU.

  python tools/bench_aot.py [--aot=v5e:2x2] [--op=attention|causal_conv3d|lfq_entropy] [--match=TEXT] [--json]

`pip install -e '.[aot]'` first. Each implementation is compiled for one chip of the topology, forward, and
forward + backward (gradients of everything but a clip of three channels, which has none). The columns are
compiler estimates, not measurements: time, bytes that its instructions access (HBM and VMEM together), and
temporaries in HBM. The compiler knows no time for some loops, and says so by a negative number: "-" here. It
does not look into Pallas kernels and gives them no time, ours or jax's: compare what is beside them, and their bytes,
which are what their authors say. The heading says what those of `lfq_entropy` move by their block specs, and the flops
of their six bfloat16 passes. Of a kernel that the compiler refuses, the reason stands in its row.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
from attention_calls import calls, default_of, flops, shapes_of
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from magvit_jax import ops
from magvit_jax.errors import UserError
from magvit_jax.ops.attention import shapes as attention_shapes
from magvit_jax.ops.causal_conv3d import api as conv_api
from magvit_jax.ops.causal_conv3d import shapes as conv_shapes
from magvit_jax.ops.lfq_entropy import api as entropy_api
from magvit_jax.ops.lfq_entropy.plan import hbm_bytes, make_plan
from magvit_jax.partitioning import make_mesh


class Case(NamedTuple):
    """One shape of one op: arguments, which of them get a gradient, and the calls by name."""

    op: str
    shape: str
    arguments: tuple
    wanted: tuple[int, ...]
    implementations: dict[str, Callable]
    default: str
    note: str = ""


def conv_cases() -> Iterator[Case]:
    for (x_shape, kernel_shape, strides), dtype in (
        (shape, dtype) for shape in conv_shapes.TPU for dtype in (jnp.bfloat16, jnp.float32)
    ):
        arguments = jax.ShapeDtypeStruct(x_shape, dtype), jax.ShapeDtypeStruct(kernel_shape, dtype)
        implementations = {
            name: lambda x, k, name=name, strides=strides: ops.causal_conv3d(x, k, strides, name)
            for name in conv_api.IMPLEMENTATIONS
            if name != "matmul" or kernel_shape[:3] == (1, 1, 1)
        }
        shape = f"{'x'.join(map(str, x_shape))} * {'x'.join(map(str, kernel_shape))} / {strides}"
        default = conv_api.default_implementation("tpu", kernel_shape, strides)
        wanted = (1,) if x_shape[-1] == 3 else (0, 1)
        name = f"{shape} {jnp.dtype(dtype).name}"
        yield Case("causal_conv3d", name, arguments, wanted, implementations, default)


def entropy_cases() -> Iterator[Case]:
    for rows, bits in ((10240, 18),):
        implementations = {
            name: lambda z, name=name: ops.lfq_entropy(z, 0.01, implementation=name)
            for name in ("factorized", "pallas_tpu")
        }
        forward, backward = hbm_bytes(make_plan(rows, bits))
        passes = 6 * 6 * rows * 2**bits
        note = f"kernels by block specs: {forward / 1e6:.1f} + {backward / 1e6:.1f} MB; {passes:.2g} flops"
        arguments = (jax.ShapeDtypeStruct((rows, bits), jnp.float32),)
        default = entropy_api.default_implementation("tpu")
        yield Case("lfq_entropy", f"N={rows} K={bits}", arguments, (0,), implementations, default, note)


def attention_cases() -> Iterator[Case]:
    for shape in attention_shapes.BENCHMARK:
        q_shape, k_shape = shapes_of(shape)
        arguments = tuple(jax.ShapeDtypeStruct(x, jnp.bfloat16) for x in (q_shape, k_shape, k_shape))
        implementations = calls(shape, jnp.bfloat16, "tpu")
        default = default_of(shape, jnp.bfloat16, "tpu")
        name = f"{shape.name}: {shape.batch}x{shape.queries}x{shape.keys}x{shape.heads}/{shape.groups}x{shape.width}"
        note = f"{shape.kind}; {flops(shape):.3g} flops forward"
        yield Case("attention", name, arguments, (0, 1, 2), implementations, default, note)


CASES = {"attention": attention_cases, "causal_conv3d": conv_cases, "lfq_entropy": entropy_cases}


def estimate(function: Callable, arguments: tuple, sharding: NamedSharding) -> dict[str, float | None]:
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), arguments)
    with jax.set_mesh(sharding.mesh):
        compiled = jax.jit(function).lower(*placed).compile()
    costs = compiled.cost_analysis()
    seconds = costs.get("optimal_seconds", -1.0)
    return {
        "ms": 1e3 * seconds if seconds > 0 else None,
        "mb": costs["bytes accessed"] / 1e6,
        "temporaries_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
    }


def with_gradients(function: Callable, wanted: tuple[int, ...]) -> Callable:
    """The pass of (cotangent, arguments): a constant cotangent would let the compiler shorten the way back."""

    def both(cotangent, *arguments):
        def of_wanted(*some):
            every = list(arguments)
            for index, value in zip(wanted, some, strict=True):
                every[index] = value
            return function(*every)

        y, pullback = jax.vjp(of_wanted, *(arguments[index] for index in wanted))
        return y, pullback(cotangent)

    return both


def rows(case: Case, sharding: NamedSharding) -> Iterator[dict]:
    for name, function in case.implementations.items():
        forward = estimate(function, case.arguments, sharding)
        with jax.set_mesh(sharding.mesh):
            cotangent = jax.eval_shape(function, *case.arguments)
        arguments = (cotangent, *case.arguments)
        both = estimate(with_gradients(function, case.wanted), arguments, sharding)
        yield {
            "op": case.op,
            "shape": case.shape,
            "implementation": name,
            "default": name == case.default,
            "forward": forward,
            "forward_backward": both,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aot", default="v5e:2x2", help="topology, of which one chip is compiled for")
    parser.add_argument("--op", choices=("all", *CASES), default="all")
    parser.add_argument("--match", default="", help="only shapes whose printed form contains this")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of the table")
    flags = parser.parse_args()
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=flags.aot).devices
    except Exception as error:  # libtpu has no type for this
        raise UserError(f"--aot={flags.aot}: libtpu does not know this topology: {error}") from error
    sharding = NamedSharding(make_mesh({}, devices[:1]), PartitionSpec())

    chosen = CASES.values() if flags.op == "all" else [CASES[flags.op]]
    if not flags.json:
        print(f"jax {jax.__version__}, one {devices[0].device_kind}, compiler estimates; * is the default")
    for case in (case for make in chosen for case in make() if flags.match in case.shape):
        if not flags.json:
            print(f"\n{case.op} {case.shape} {case.note}\n{'':18}{'forward':>27}{'forward + backward':>30}")
        for row in rows(case, sharding):
            print(json.dumps(row) if flags.json else _line(row), flush=True)


def _line(row: dict) -> str:
    cells = ""
    for part in (row["forward"], row["forward_backward"]):
        time = "-" if part["ms"] is None else f"{part['ms']:.3f}"
        cells += f"{time:>9} ms{part['mb']:8.0f} MB{part['temporaries_mib']:6.0f} MiB"
    return f" {'*' if row['default'] else ' '}{row['implementation']:17}{cells}"


if __name__ == "__main__":
    main()

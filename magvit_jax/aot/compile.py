"""Compiles a step for a topology, and reads the result into a report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from magvit_jax.aot import hlo, hlo_text, values
from magvit_jax.aot.early import compile_early
from magvit_jax.aot.memory import Exhausted, Memory, exhausted
from magvit_jax.aot.report import Activation, Bounds, LargestCollective, Program, Report, Traffic, bounds
from magvit_jax.aot.step import Request, Step, build_step
from magvit_jax.aot.topology import Topology

LISTED = 8  # of the largest values and collectives


@dataclass(frozen=True)
class Compiled:
    """A program, or why there is none.

    Attributes:
      text: the optimised HLO of one chip; "" where the program does not fit.
    """

    memory: Memory | None
    exhausted: Exhausted | None
    text: str
    seconds: float


def compile_step(step: Step, request: Request) -> Compiled:
    """Lowers and compiles. What does not fit a chip's memory is a result; every other failure is raised.

    Args:
      request: what `step` was built from; compiled once more, without code, where the compiler does not give the text
        of its program, as happens for v5p.
    """
    start = time.perf_counter()
    try:
        compiled = step.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        return _refused(str(error), start)
    seconds = time.perf_counter() - start
    try:
        text = compiled.as_text()
    except jax.errors.JaxRuntimeError:
        _, text = compile_early(build_step, request)
    return Compiled(Memory.of(compiled), None, text, seconds)


def compile_without_code(request: Request) -> Compiled:
    """As `compile_step`, but for the size of the program, in a fraction of the time (`aot.early`)."""
    start = time.perf_counter()
    found, text = compile_early(build_step, request)
    return Compiled(found, None, text, time.perf_counter() - start) if text else _refused(found, start)


def _refused(message: str, start: float) -> Compiled:
    found = exhausted(message)
    if found is None:
        raise RuntimeError(message)
    return Compiled(None, found, "", time.perf_counter() - start)


def make_report(
    step: Step,
    compiled: Compiled,
    topology: Topology,
    model_flops: float,
    parameters: int,
    config: str,
    overrides: Sequence[str] = (),
) -> Report:
    """The report of a compiled step; arguments as the fields of `Report`."""
    program: Program | None = None
    limits: Bounds | None = None
    devices = len(topology.devices)
    if compiled.text:
        module = hlo_text.parse(compiled.text)
        counts = hlo.count(module, devices)
        program = read_program(module, counts, topology, {step.batch, step.microbatch})
        limits = bounds(counts, model_flops, devices, topology.chip)
    return Report(
        config=config,
        overrides=tuple(overrides),
        what=step.what,
        topology=topology.name if topology.slices == 1 else f"{topology.slices} x {topology.name}",
        chips=topology.chips,
        chip=topology.chip,
        mesh=dict(step.mesh.shape),
        batch=step.batch,
        microbatches=step.batch // step.microbatch,
        parameters=parameters,
        model_flops=model_flops,
        memory=compiled.memory,
        exhausted=compiled.exhausted,
        program=program,
        bounds=limits,
        compile_seconds=compiled.seconds,
    )


def read_program(module: hlo_text.Module, counts: hlo.Counts, topology: Topology, batches: set[int]) -> Program:
    """What the counts of a module say, as `Program`.

    Args:
      batches: sizes of a global batch, to look for among the leading dimensions.
    """
    carried = [value for size in batches if size > 1 for value in values.leading(module, size)]
    if len(topology.devices) == 1:
        carried = []  # one chip has all examples
    return Program(
        flops=counts.flops,
        hbm_bytes=counts.hbm_bytes,
        collectives=traffic(counts),
        largest=largest_collectives(counts),
        activations=tuple(map(_activation, values.largest_values(module, LISTED))),
        global_batch=tuple(map(_activation, carried)),
        compiler_seconds=counts.cycles / (topology.chip.clock_ghz * 1e9) if counts.cycles else None,
        kernels=dict(counts.kernels),
        uncounted=dict(counts.uncounted),
        unknown_loops=tuple(counts.unknown_loops),
    )


def traffic(counts: hlo.Counts) -> tuple[Traffic, ...]:
    """The collectives by kind, the heaviest first."""
    kinds = {x.kind for x in counts.collectives}
    return tuple(sorted((Traffic(name, *counts.of_kind(name)) for name in kinds), key=lambda x: -x.wire))


def largest_collectives(counts: hlo.Counts) -> tuple[LargestCollective, ...]:
    ordered = sorted(counts.collectives.items(), key=lambda item: -item[1] * item[0].wire)
    return tuple(
        LargestCollective(x.kind, x.shape, x.group, times, times * x.wire, x.op_name) for x, times in ordered[:LISTED]
    )


def _activation(value: tuple[Any, str]) -> Activation:
    array, op_name = value
    return Activation(str(array), array.stored, op_name)

"""What a compiled program does, counted from its optimised HLO, every loop as often as it runs."""

import re
from collections import Counter
from dataclasses import dataclass, field

from magvit_jax.aot.hlo_bytes import hbm_bytes
from magvit_jax.aot.hlo_collectives import Collective, collective, kind
from magvit_jax.aot.hlo_flops import flops
from magvit_jax.aot.hlo_kernels import cost_estimate, is_kernel, kernel_name
from magvit_jax.aot.hlo_loops import trip_count
from magvit_jax.aot.hlo_text import Computation, Instruction, Module, parse

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


@dataclass
class Counts:
    """One run of a program, on one chip.

    Attributes:
      flops: of matrix products and convolutions.
      hbm_bytes: read and written, fusions counted by what goes in and comes out.
      collectives: each, and how often it runs.
      cycles: what the compiler estimates for all fusions; 0 where it says nothing (CPU).
      kernels: runs of Pallas kernels that carry a cost estimate, by name; it is in the numbers above.
      uncounted: runs of kernels without one; what they do is in none of the numbers.
      unknown_loops: loops whose number of iterations depends on values; counted as one.
    """

    flops: float = 0.0
    hbm_bytes: float = 0.0
    collectives: Counter[Collective] = field(default_factory=Counter)
    cycles: float = 0.0
    kernels: Counter[str] = field(default_factory=Counter)
    uncounted: Counter[str] = field(default_factory=Counter)
    unknown_loops: list[str] = field(default_factory=list)

    @property
    def wire_bytes(self) -> float:
        """Bytes that the chip sends to others, by ring algorithms."""
        return sum(times * x.wire for x, times in self.collectives.items())

    def of_kind(self, name: str) -> tuple[float, float, float]:
        """(operations, payload bytes, bytes on the wire) of the collectives of a kind."""
        found = [(times, times * x.payload, times * x.wire) for x, times in self.collectives.items() if x.kind == name]
        return tuple(map(sum, zip(*found, strict=True))) if found else (0.0, 0.0, 0.0)


def count(text: str | Module, chips: int = 1) -> Counts:
    """Counts of `compiled.as_text()`, the program of one of so many chips."""
    module = parse(text) if isinstance(text, str) else text
    counts = Counts()
    _walk(module, module.entry, 1, counts, chips)
    return counts


def _walk(module: Module, computation: Computation, times: float, counts: Counts, chips: int) -> None:
    """Adds a computation that is run so many times."""
    for instruction in computation:
        counts.hbm_bytes += times * hbm_bytes(module, computation, instruction)
        if match := _CYCLES.search(instruction.attributes):
            counts.cycles += times * int(match[1])
        if instruction.opcode == "while":
            trips = trip_count(module, computation, instruction)
            if trips is None:
                counts.unknown_loops.append(instruction.op_name or instruction.name)
            for part in (*instruction.called("body"), *instruction.called("condition")):
                _walk(module, module.computations[part], times * (1 if trips is None else trips), counts, chips)
        elif instruction.opcode == "conditional":
            for part in _branches(instruction):
                _walk(module, module.computations[part], times, counts, chips)
        elif instruction.opcode in ("call", "async-start"):
            for part in (*instruction.called("to_apply"), *instruction.called("calls")):
                _walk(module, module.computations[part], times, counts, chips)
        else:
            _work(module, computation, instruction, times, counts, chips)


def _work(
    module: Module, computation: Computation, instruction: Instruction, times: float, counts: Counts, chips: int
) -> None:
    """Adds an instruction's operations and messages, and those of what is fused into it."""
    counts.flops += times * flops(computation, instruction)
    if kind(instruction):
        counts.collectives[collective(computation, instruction, chips)] += times
    elif is_kernel(instruction):
        _kernel(instruction, times, counts)
    elif instruction.opcode == "fusion":
        fused = module.computations[instruction.called("calls")[0]]
        for inner in fused:
            _work(module, fused, inner, times, counts, chips)


def _branches(instruction: Instruction) -> tuple[str, ...]:
    """All branches of a conditional: each is counted, which is more than one run does."""
    names = ("branch_computations", "true_computation", "false_computation")
    return tuple(part for name in names for part in instruction.called(name))


def _kernel(instruction: Instruction, times: float, counts: Counts) -> None:
    estimate, name = cost_estimate(instruction), kernel_name(instruction)
    if estimate is None:
        counts.uncounted[name] += times
        return
    counts.flops += times * estimate.get("flops", 0.0)
    counts.kernels[name] += times

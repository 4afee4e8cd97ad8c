"""The values that a program keeps: the largest, and those that carry the global batch."""

from collections.abc import Iterator

from magvit_jax.aot.hlo_shapes import Array
from magvit_jax.aot.hlo_text import Computation, Instruction, Module

_NO_VALUE = ("parameter", "tuple", "get-tuple-element", "while", "conditional", "call", "bitcast", "constant")


def largest_values(module: Module, number: int) -> list[tuple[Array, str]]:
    """The largest arrays in HBM that instructions write, as (array, where it comes from), each shape and place once."""
    found = {}
    for computation in run_computations(module):
        for instruction in computation:
            if instruction.opcode in _NO_VALUE or instruction.opcode.endswith("-done"):
                continue
            for array in instruction.arrays:
                if array.hbm:
                    found[str(array), instruction.op_name] = (array, instruction.op_name)
    return sorted(found.values(), key=lambda value: -value[0].stored)[:number]


def leading(module: Module, size: int) -> list[tuple[Array, str]]:
    """Arrays of two dimensions or more whose first is `size`, anywhere in the program of one chip.

    With the global batch as the size these are the activations that every chip holds of all examples; there should be
    none. Choose a batch that no other dimension of the model equals.
    """
    found = {}
    for computation in module.computations.values():
        for instruction in computation:
            for array in instruction.arrays:
                if len(array.dims) > 1 and array.dims[0] == size:
                    found[str(array), instruction.op_name] = (array, instruction.op_name)
    return list(found.values())


def run_computations(module: Module) -> Iterator[Computation]:
    """The entry, and the computations that it runs as they stand: bodies of loops and branches, not fusions."""
    seen, waiting = set(), [module.entry]
    while waiting:
        computation = waiting.pop()
        if computation.name in seen:
            continue
        seen.add(computation.name)
        yield computation
        for instruction in computation:
            waiting += [module.computations[name] for name in _runs(instruction)]


def _runs(instruction: Instruction) -> tuple[str, ...]:
    attributes = {
        "while": ("body", "condition"),
        "conditional": ("branch_computations", "true_computation", "false_computation"),
        "call": ("to_apply",),
        "async-start": ("calls",),
    }
    return tuple(name for key in attributes.get(instruction.opcode, ()) for name in instruction.called(key))

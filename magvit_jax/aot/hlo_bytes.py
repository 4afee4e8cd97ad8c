"""Bytes that an instruction reads from and writes to a chip's main memory."""

from magvit_jax.aot.hlo_kernels import cost_estimate, is_kernel
from magvit_jax.aot.hlo_shapes import Array
from magvit_jax.aot.hlo_text import Computation, Instruction, Module

#: Instructions that move nothing: names for what is there, or the end of what a `-start` began.
FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast while conditional call after-all partition-id replica-id "
    "opt-barrier add-dependency domain iota rng-get-and-update-state async-start".split()
)
FREE_CUSTOM_CALLS = ("AllocateBuffer", "ConcatBitcast", "Sharding", "AssumeGatherIndicesInBound")


def hbm_bytes(module: Module, computation: Computation, instruction: Instruction) -> int:
    """Bytes of one instruction as it stands in a computation that is run, not inside a fusion.

    What stays on the chip (in VMEM, by the layout's memory space) is not counted. Of an array that is only sliced
    the slices are counted, and of one that is updated in place the update: a scanned layer reads its own part of
    the stacked parameters. A kernel with a cost estimate takes the bytes that it says, one without its operands
    and results, each once.
    """
    opcode = instruction.opcode
    if opcode in FREE or opcode.endswith("-done") or opcode.endswith("-update"):
        return 0
    if opcode == "custom-call" and any(f'"{name}"' in instruction.attributes for name in FREE_CUSTOM_CALLS):
        return 0
    if opcode == "fusion":
        return _fusion(module, computation, instruction)
    estimate = cost_estimate(instruction) if is_kernel(instruction) else None
    if estimate is not None and estimate.get("bytes_accessed"):
        return int(estimate["bytes_accessed"])
    operands = [computation.instructions[name] for name in instruction.operands]
    results = sum(array.hbm for array in _results(instruction, operands))
    if opcode in ("dynamic-slice", "slice", "slice-start", "gather"):
        read = sum(_smaller(array, operands[0].arrays[0]) for array in _results(instruction, operands))
        return read + results + sum(array.hbm for x in operands[1:] for array in x.arrays)
    if opcode == "dynamic-update-slice":
        return 2 * _in_hbm(operands[1].arrays[0], operands[0].arrays[0])
    return results + sum(array.hbm for operand in operands for array in operand.arrays)


def _results(instruction: Instruction, operands: list[Instruction]) -> tuple[Array, ...]:
    """What is written. A `-start` returns more than that."""
    if instruction.opcode == "copy-start":
        return instruction.arrays[:1]
    if instruction.opcode.endswith("-start") and instruction.opcode != "all-reduce-start":
        taken = sum(len(x.arrays) for x in operands)
        return instruction.arrays[taken : taken + max(1, taken)]
    return instruction.arrays


def _smaller(part: Array, whole: Array) -> int:
    """Bytes of a part that is read from the whole."""
    return 0 if whole.space else min(part.stored, whole.stored)


def _in_hbm(part: Array, whole: Array) -> int:
    return 0 if whole.space else part.stored


def _fusion(module: Module, computation: Computation, instruction: Instruction) -> int:
    fused = module.computations[instruction.called("calls")[0]]
    total = 0
    for number, name in enumerate(instruction.operands):
        operand = computation.instructions[name]
        full = sum(array.hbm for array in operand.arrays)
        total += min(full, _read(module, fused, fused.parameters[number])) if full else 0
    return total + _written(module, fused, instruction)


def _read(module: Module, fused: Computation, source: Instruction) -> int:
    """Bytes that a fused computation reads of one of its values."""
    whole = sum(array.stored for array in source.arrays)
    total = 0
    for user in fused.users[source.name]:
        if user.opcode in ("dynamic-slice", "slice", "gather") and user.operands[0] == source.name:
            total += user.arrays[0].stored
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == source.name:
            continue  # updated in place: what is not updated is not touched
        elif user.opcode in ("bitcast", "reshape"):
            total += _read(module, fused, user)
        elif user.opcode == "fusion":
            inner = module.computations[user.called("calls")[0]]
            for number, name in enumerate(user.operands):
                if name == source.name:
                    total += _read(module, inner, inner.parameters[number])
        else:
            return whole
        if total >= whole:
            return whole
    return total


def _written(module: Module, fused: Computation, instruction: Instruction) -> int:
    roots = _roots(module, fused, fused.root)
    if len(roots) != len(instruction.arrays):
        return sum(array.hbm for array in instruction.arrays)
    return sum(
        0 if array.space else min(array.stored, size) for array, size in zip(instruction.arrays, roots, strict=True)
    )


def _roots(module: Module, fused: Computation, root: Instruction) -> list[int]:
    """Bytes that each result of a fused computation takes to write."""
    if root.opcode == "tuple":
        return [size for name in root.operands for size in _roots(module, fused, fused.instructions[name])]
    if root.opcode == "dynamic-update-slice":
        return [fused.operand(root, 1).arrays[0].stored]
    if root.opcode in ("bitcast", "reshape"):
        return _roots(module, fused, fused.operand(root, 0))
    if root.opcode == "fusion":
        inner = module.computations[root.called("calls")[0]]
        return _roots(module, inner, inner.root)
    return [array.stored for array in root.arrays]

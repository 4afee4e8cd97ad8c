"""How often a loop of the optimised HLO runs."""

import re

from magvit_jax.aot.hlo_text import Computation, Instruction, Module

_KNOWN = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """Iterations of a `while`; None where they depend on values.

    The compiler's own number where it stands in the text (CPU), and otherwise read from a condition of the form
    "counter < constant" (TPU), with the counter's start and step.
    """
    if match := _KNOWN.search(loop.attributes):
        return int(match[1])
    condition = module.computations[loop.called("condition")[0]]
    body = module.computations[loop.called("body")[0]]
    values = computation.operand(loop, 0)
    compared = _compared(module, condition)
    if compared is None or values.opcode != "tuple":
        return None
    (left, right), direction = compared
    if direction == "GT":
        left, right, direction = right, left, "LT"
    if direction not in ("LT", "LE", "NE"):
        return None
    index = _index(left)
    if index is None:
        return None
    start = _constant(computation, computation.operand(values, index))
    end = _constant(condition, right)
    if end is None and _index(right) is not None:
        end = _constant(computation, computation.operand(values, _index(right)))
    step = _step(module, body, index)
    if start is None or end is None or not step:
        return None
    return max(0, -(-(end + (direction == "LE") - start) // step))


def _compared(module: Module, condition: Computation) -> tuple[tuple[Instruction, Instruction], str] | None:
    """Both sides of the comparison that decides, as instructions of the condition, and its direction."""
    root = condition.root
    while root.opcode in ("copy", "bitcast"):
        root = condition.operand(root, 0)
    inner, names = condition, None
    if root.opcode == "fusion":
        names = root.operands
        inner = module.computations[root.called("calls")[0]]
        root = inner.root
    if root.opcode != "compare":
        return None
    sides = []
    for side in (inner.operand(root, 0), inner.operand(root, 1)):
        if side.opcode == "parameter" and names is not None:
            side = condition.instructions[names[int(side.inside)]]
        sides.append(side)
    return (sides[0], sides[1]), root.value("direction")


def _index(instruction: Instruction) -> int | None:
    """Which of the loop's values an instruction of its condition or body is."""
    return int(instruction.value("index")) if instruction.opcode == "get-tuple-element" else None


def _constant(computation: Computation, instruction: Instruction) -> int | None:
    while instruction.opcode in ("copy", "bitcast", "copy-start", "copy-done", "convert"):
        instruction = computation.operand(instruction, 0)
    if instruction.opcode == "constant" and re.fullmatch(r"-?\d+", instruction.inside.strip()):
        return int(instruction.inside)
    return None


def _step(module: Module, body: Computation, index: int) -> int | None:
    """What an iteration adds to the counter."""
    root = body.root
    while root.opcode in ("copy", "opt-barrier"):
        root = body.operand(root, 0)
    if root.opcode != "tuple":
        return None
    inner, change, names = body, body.operand(root, index), None
    while change.opcode in ("copy", "bitcast"):
        change = body.operand(change, 0)
    if change.opcode == "fusion":
        names = change.operands
        inner = module.computations[change.called("calls")[0]]
        change = inner.root
    if change.opcode != "add":
        return None
    for side in (inner.operand(change, 0), inner.operand(change, 1)):
        if side.opcode == "parameter" and names is not None:
            value = _constant(body, body.instructions[names[int(side.inside)]])
        else:
            value = _constant(inner, side)
        if value is not None:
            return value
    return None

"""What chips send to each other."""

import math
import re
from dataclasses import dataclass

from magvit_jax.aot.hlo_text import Computation, Instruction

#: Bytes that a chip sends in a ring of n, as a share of those it puts in or gets out, whichever are more.
WIRE = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "ragged-all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1.0,
    "collective-broadcast": lambda n: 1.0,
}


@dataclass(frozen=True)
class Collective:
    """One collective operation of one chip.

    Attributes:
      kind: a key of `WIRE`.
      shape: the largest array that goes in or comes out.
      payload: bytes that go in or come out, whichever are more.
      group: chips that take part.
      op_name: where in the program it comes from.
    """

    kind: str
    shape: str
    payload: int
    group: int
    op_name: str

    @property
    def wire(self) -> float:
        """Bytes that the chip sends, by the ring algorithm."""
        return WIRE[self.kind](self.group) * self.payload


def kind(instruction: Instruction) -> str | None:
    """The collective that an instruction is, or starts; None of any other."""
    name = instruction.opcode.removesuffix("-start")
    return name if name in WIRE else None


def collective(computation: Computation, instruction: Instruction, chips: int) -> Collective:
    """What one collective moves.

    Args:
      chips: of the whole program, which is the group where the instruction names none.
    """
    name = kind(instruction)
    inputs = [array for operand in instruction.operands for array in computation.instructions[operand].arrays]
    # The `-start` forms return their operands, their results and a few flags.
    outputs = list(instruction.arrays) if instruction.opcode == name else []
    if instruction.opcode == "all-gather-start":
        outputs = list(instruction.arrays[len(inputs) : 2 * len(inputs)])
    if name == "all-reduce" and _only_sliced(computation, instruction):
        name = "reduce-scatter"  # how TPUs write it: an all-reduce of which each chip keeps a part
    payload = max(sum(x.size for x in inputs), sum(x.size for x in outputs))
    largest = max([*inputs, *outputs], key=lambda x: x.size)
    return Collective(name, str(largest), payload, group_size(instruction, chips), instruction.op_name)


def _only_sliced(computation: Computation, instruction: Instruction) -> bool:
    users = computation.users[instruction.name]
    return bool(users) and all(user.opcode == "dynamic-slice" for user in users)


def group_size(instruction: Instruction, chips: int) -> int:
    """How many chips take part, of the ways in which HLO writes `replica_groups`.

    {{0,1},{2,3}}; [8,4]<=[32], eight groups of four; mesh['a'=4,'b'=8] {'b'}, those along axis b.
    """
    text = instruction.attributes
    if match := re.search(r"replica_groups=\{\{([\d,]*)\}", text):
        return len(match[1].split(","))
    if match := re.search(r"replica_groups=\[(\d+),(\d+)\]", text):
        return int(match[2])
    if match := re.search(r"replica_groups=@?\w*\[([^\]]*)\][^{,]*\{([^}]*)\}", text):
        sizes = dict(re.findall(r"'?([\w.]+)'?=(\d+)", match[1]))
        return math.prod(_axis_size(axis, sizes) for axis in match[2].split(",") if axis.strip())
    return chips


def _axis_size(axis: str, sizes: dict[str, str]) -> int:
    """Of 'a', or of a part of it, 'a':(2)4: the size 4 after a factor of 2."""
    if match := re.search(r":\(\d+\)(\d+)", axis):
        return int(match[1])
    return int(sizes[axis.strip().strip("'")])

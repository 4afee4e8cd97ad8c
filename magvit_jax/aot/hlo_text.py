"""The text of an optimised HLO module as computations and instructions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from magvit_jax.aot.hlo_shapes import Array, parse_shape

_COMMENT = re.compile(r"/\*.*?\*/")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_NAME = re.compile(r"%([\w.\-]+)")
_OP_NAME = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Instruction:
    """One line.

    Attributes:
      shape: text of the result's shape.
      operands: names of the operands.
      inside: what stands between the parentheses, where a constant has its value.
      attributes: the rest of the line.
    """

    name: str
    opcode: str
    shape: str
    operands: tuple[str, ...]
    inside: str
    attributes: str

    @cached_property
    def arrays(self) -> tuple[Array, ...]:
        return parse_shape(self.shape)

    @property
    def op_name(self) -> str:
        """Where in the Python program it comes from."""
        match = _OP_NAME.search(self.attributes)
        return match[1] if match else ""

    def called(self, attribute: str) -> tuple[str, ...]:
        """Computations that an attribute names: `calls=%a` or `branch_computations={%a, %b}`."""
        match = re.search(rf"\b{attribute}=(\{{[^}}]*\}}|%[\w.\-]+)", self.attributes)
        return tuple(_NAME.findall(match[1])) if match else ()

    def value(self, attribute: str, default: str = "") -> str:
        """An attribute as text, without its braces."""
        match = re.search(rf"\b{attribute}=(?:\{{([^}}]*)\}}|([^,\s]+))", self.attributes)
        return default if match is None else match[1] if match[1] is not None else match[2]


@dataclass
class Computation:
    """Instructions by name, in the order of the text; operands come before those who use them."""

    name: str
    instructions: dict[str, Instruction] = field(default_factory=dict)
    root: Instruction | None = None

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.instructions.values())

    def operand(self, instruction: Instruction, index: int) -> Instruction:
        return self.instructions[instruction.operands[index]]

    @cached_property
    def parameters(self) -> dict[int, Instruction]:
        """By number."""
        return {int(x.inside): x for x in self if x.opcode == "parameter"}

    @cached_property
    def users(self) -> Mapping[str, list[Instruction]]:
        found: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self:
            for name in set(instruction.operands):
                found[name].append(instruction)
        return found


@dataclass
class Module:
    """Computations by name; `entry` is the program."""

    computations: dict[str, Computation]
    entry: Computation


def parse(text: str) -> Module:
    """Reads `compiled.as_text()`.

    Raises:
      ValueError: the text holds no program.
    """
    computations: dict[str, Computation] = {}
    entry = current = None
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header and not line.startswith("HloModule"):
            current = computations[header[2]] = Computation(header[2])
            entry = current if header[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None:
            _add(current, line)
    if entry is None:
        raise ValueError("HLO text without an ENTRY computation")
    return Module(computations, entry)


def _add(computation: Computation, line: str) -> None:
    match = _INSTRUCTION.match(_COMMENT.sub("", line))
    if match is None:
        return
    shape, rest = _split_shape(match[3])
    opcode, _, rest = rest.partition("(")
    end = _closing(rest)
    inside = rest[:end]
    operands = () if opcode in ("constant", "parameter") else tuple(_NAME.findall(inside))
    instruction = Instruction(match[2], opcode.strip(), shape, operands, inside, rest[end + 1 :])
    computation.instructions[instruction.name] = instruction
    if match[1]:
        computation.root = instruction


def _split_shape(text: str) -> tuple[str, str]:
    """Text of the shape, and the rest; a tuple's shape stands in parentheses, with spaces."""
    if not text.startswith("("):
        shape, _, rest = text.partition(" ")
        return shape, rest
    end = _closing(text[1:]) + 2
    return text[:end], text[end:].lstrip()


def _closing(text: str) -> int:
    """Position of the parenthesis that closes the one before the text."""
    depth, quoted = 1, False
    for position, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter == "(":
            depth += 1
        elif not quoted and letter == ")":
            depth -= 1
            if depth == 0:
                return position
    return len(text)

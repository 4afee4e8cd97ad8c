"""A chip's memory: what a compiled program takes, and what the compiler says where it does not fit."""

import re
from dataclasses import dataclass
from typing import Any

GIB = 2**30
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_ALLOCATION = re.compile(r"^allocation \d+: size (\d+)(.*):$", re.MULTILINE)
_USED = (
    # The program as a whole, found when it is made; and its temporaries alone, found before.
    re.compile(r"Used (?P<needed>[\d.]+[KMGT]?) of (?P<available>[\d.]+[KMGT]?) hbm"),
    re.compile(
        r"for (?P<what>HLO temporaries) \((?P<needed>[\d.]+[KMGT]?)\) "
        r"exceeds available HBM \((?P<available>[\d.]+[KMGT]?)\)"
    ),
)


@dataclass(frozen=True)
class Memory:
    """Bytes of HBM on one chip.

    Attributes:
      arguments: what the program is handed: state and batch.
      outputs: what it returns, with what it returns in place of arguments.
      aliased: the part of the outputs that takes the place of arguments.
      temporaries: activations and everything else in between, at the worst moment.
      code: the program itself; None where it was not made.
    """

    arguments: int
    outputs: int
    aliased: int
    temporaries: int
    code: int | None

    @classmethod
    def of(cls, compiled: Any) -> "Memory":
        """Of a `jax.stages.Compiled`."""
        found = compiled.memory_analysis()
        return cls(
            found.argument_size_in_bytes,
            found.output_size_in_bytes,
            found.alias_size_in_bytes,
            found.temp_size_in_bytes,
            found.generated_code_size_in_bytes,
        )

    @property
    def total(self) -> int:
        return self.arguments + self.outputs - self.aliased + self.temporaries + (self.code or 0)


@dataclass(frozen=True)
class Exhausted:
    """A program that does not fit.

    Attributes:
      needed: bytes.
      available: bytes that the compiler gives to programs.
      temporaries_only: whether `needed` is without the arguments, which come on top of it.
    """

    needed: int
    available: int
    temporaries_only: bool


def from_allocations(text: str) -> Memory:
    """Of the compiler's list of allocations, a file of its dump that ends in `buffer-assignment.txt`."""
    sums = dict(arguments=0, outputs=0, aliased=0, temporaries=0)
    for size, kind in _ALLOCATION.findall(text):
        if "color" in kind or "thread-local" in kind:
            continue  # not in HBM, or a part of another allocation
        argument, output = "parameter" in kind, "maybe-live-out" in kind
        sums["arguments"] += int(size) * argument
        sums["outputs"] += int(size) * output
        sums["aliased"] += int(size) * (argument and output)
        sums["temporaries"] += int(size) * (not argument and not output)
    return Memory(**sums, code=None)


def exhausted(text: str) -> Exhausted | None:
    """What a compiler's RESOURCE_EXHAUSTED says of HBM; None of any other error."""
    for pattern in _USED:
        match = pattern.search(text)
        if match and "RESOURCE_EXHAUSTED" in text:
            return Exhausted(_size(match["needed"]), _size(match["available"]), "what" in match.groupdict())
    return None


def _size(text: str) -> int:
    """Bytes of a number with a unit, such as "15.75G"."""
    number = text.rstrip("KMGT")
    return int(float(number) * _UNITS[text[len(number) :]])

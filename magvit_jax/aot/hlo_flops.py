"""Floating-point operations of matrix products and convolutions, as a chip's matrix unit does them."""

import math
import re
from dataclasses import dataclass

import numpy as np

from magvit_jax.aot.hlo_text import Computation, Instruction


def flops(computation: Computation, instruction: Instruction) -> int:
    """Operations of one `dot` or `convolution`; 0 of any other instruction.

    A multiplication with an addition is two. Where a convolution's window meets padding nothing is counted.
    """
    if instruction.opcode == "dot":
        return _dot(computation, instruction)
    if instruction.opcode == "convolution":
        return _convolution(computation, instruction)
    return 0


def _dot(computation: Computation, instruction: Instruction) -> int:
    left = computation.operand(instruction, 0).arrays[0]
    contracted = [left.dims[int(i)] for i in instruction.value("lhs_contracting_dims").split(",") if i]
    return 2 * math.prod(instruction.arrays[0].dims) * math.prod(contracted)


@dataclass(frozen=True)
class Axis:
    """One spatial dimension of a convolution: taps, steps, zeros around it, holes in the input and between taps."""

    size: int = 1
    stride: int = 1
    pad_low: int = 0
    lhs_dilate: int = 1
    rhs_dilate: int = 1


def _convolution(computation: Computation, instruction: Instruction) -> int:
    left, right = (computation.operand(instruction, i).arrays[0] for i in (0, 1))
    output = instruction.arrays[0]
    lhs, rhs, out = re.match(r"(\w+)_(\w+)->(\w+)", instruction.value("dim_labels")).groups()
    groups = int(instruction.value("batch_group_count", "1"))
    positions = 1
    for label, axis in _window(instruction.value("window"), sum(x.isdigit() for x in lhs)).items():
        positions *= valid_pairs(axis, left.dims[lhs.index(label)], output.dims[out.index(label)])
    batch = left.dims[lhs.index("b")] // groups
    inputs, outputs = right.dims[rhs.index("i")], right.dims[rhs.index("o")]
    return 2 * batch * inputs * outputs * positions


def _window(text: str, rank: int) -> dict[str, Axis]:
    """The axes of `size=3x3 stride=2x2 pad=1_1x1_1 ...`, by their labels "0", "1", ..."""
    fields = dict(item.split("=") for item in text.split())
    axes = {}
    for i in range(rank):
        values = {name: int(value.split("x")[i]) for name, value in fields.items() if name in _NUMBERS}
        low = fields["pad"].split("x")[i].split("_")[0] if "pad" in fields else 0
        axes[str(i)] = Axis(**values, pad_low=int(low))
    return axes


_NUMBERS = ("size", "stride", "lhs_dilate", "rhs_dilate")


def valid_pairs(axis: Axis, inputs: int, outputs: int) -> int:
    """Pairs of output position and tap that meet an input, and neither padding nor the holes of dilation."""
    # Output o reads position o * stride + offset of the dilated input.
    offsets = np.arange(axis.size)[:, None] * axis.rhs_dilate - axis.pad_low
    positions = np.arange(outputs)[None, :] * axis.stride + offsets
    inside = (positions >= 0) & (positions < (inputs - 1) * axis.lhs_dilate + 1)
    return int(np.count_nonzero(inside & (positions % axis.lhs_dilate == 0)))

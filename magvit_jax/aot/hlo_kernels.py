"""Kernels of somebody's own, whose work HLO does not show: what they say of themselves."""

import json
import re
from collections.abc import Mapping

from magvit_jax.aot.hlo_text import Instruction

TARGETS = ("tpu_custom_call", "mosaic_gpu", "__gpu$xla.gpu.triton")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_ESTIMATE = re.compile(r'"cost_estimate":(\{[^}]*\})')


def is_kernel(instruction: Instruction) -> bool:
    """Whether an instruction calls a Pallas kernel."""
    target = _TARGET.search(instruction.attributes) if instruction.opcode == "custom-call" else None
    return target is not None and target[1].startswith(TARGETS)


def kernel_name(instruction: Instruction) -> str:
    """The name that `pallas_call` was given, as far as the program keeps it."""
    parts = [part for part in instruction.op_name.split("/") if part and part != "pallas_call"]
    return parts[-1] if parts else instruction.name


def cost_estimate(instruction: Instruction) -> Mapping[str, float] | None:
    """"flops", "bytes_accessed" and the like of a kernel with a `pl.CostEstimate`; None of one without."""
    found = _ESTIMATE.search(instruction.attributes)
    return None if found is None else {name: float(value) for name, value in json.loads(found[1]).items()}

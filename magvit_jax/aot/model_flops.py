"""Floating-point operations that a model needs, whatever a compiler makes of it."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr
from ml_collections import ConfigDict

from magvit_jax.aot.hlo_flops import Axis, valid_pairs


def model_flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Operations of the matrix products and convolutions in a function, as it is written.

    On one device, loops as often as they run, nothing that the results do not need, and of a conditional its most
    expensive branch. A multiplication with an addition is two. Padding of convolutions is not counted; the scores
    that a mask of attention hides are, as is the custom.

    Args:
      arguments: arrays or `ShapeDtypeStruct`.
    """
    closed = jax.make_jaxpr(function)(*arguments)
    needed, _ = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return _flops(needed)


def without_recomputation(config: ConfigDict) -> ConfigDict:
    """The config of the same model that keeps its activations: its step does no more than the mathematics asks."""
    config = config.copy_and_resolve_references().unlock()
    for group in ("model", "discriminator"):
        if group in config and "remat" in config[group]:
            config[group].remat = False if isinstance(config[group].remat, bool) else "none"
    return config


def _flops(jaxpr: Jaxpr) -> float:
    return sum(_of(equation) for equation in jaxpr.eqns)


def _of(equation: JaxprEqn) -> float:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "pallas_call":
        estimate = parameters.get("cost_estimate")
        return 0.0 if estimate is None else float(estimate.flops)
    if name == "cond":
        return max(_flops(branch.jaxpr) for branch in parameters["branches"])
    times = parameters["length"] if name == "scan" else 1
    return times * sum(_flops(inner) for inner in _inner(parameters))


def _convolution(equation: JaxprEqn) -> float:
    """Every tap that meets an input; neither padding nor the holes that strides leave in the backward pass."""
    parameters, (left, kernel) = equation.params, (x.aval.shape for x in equation.invars)
    lhs, rhs, out = parameters["dimension_numbers"]
    output, positions = equation.outvars[0].aval.shape, 1
    for i, (low, _) in enumerate(parameters["padding"]):
        axis = Axis(
            size=kernel[rhs[2 + i]],
            stride=parameters["window_strides"][i],
            pad_low=low,
            lhs_dilate=parameters["lhs_dilation"][i],
            rhs_dilate=parameters["rhs_dilation"][i],
        )
        positions *= valid_pairs(axis, left[lhs[2 + i]], output[out[2 + i]])
    examples = left[lhs[0]] // parameters["batch_group_count"]
    return 2.0 * examples * kernel[rhs[1]] * kernel[rhs[0]] * positions


def _inner(parameters: dict[str, Any]) -> list[Jaxpr]:
    """The programs inside an equation; of a custom derivative only what is run."""
    found = []
    for value in parameters.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(item, "jaxpr", item)
            if isinstance(inner, Jaxpr):
                found.append(inner)
    return found

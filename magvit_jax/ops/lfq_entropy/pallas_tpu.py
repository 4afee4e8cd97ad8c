"""Both entropies by a fused TPU kernel that never writes a probability to HBM.

Forward: for a tile of rows of z, the probabilities of both halves of the bits are made in VMEM and multiplied
into a block of the mean table Q = P1^T diag(w) P2, which stays in VMEM until all rows are in it. Backward:
the same tiles are made again from z; with the table's gradient G they give dP1 = P2 G^T and dP2 = P1 G, which
are summed straight to the gradient of the logits. HBM holds z, its gradient, and a few copies of the table of
2^K floats.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from magvit_jax.ops.lfq_entropy.codes import bit_probabilities, bit_sums, code_probabilities
from magvit_jax.ops.lfq_entropy.plan import Plan, backward_blocks, cost, forward_blocks, make_plan
from magvit_jax.ops.lfq_entropy.tables import row_weights, table_entropy
from magvit_jax.typing import Array

MAX_BITS = 24
PASSES = {lax.Precision.HIGHEST: 6, lax.Precision.HIGH: 3, lax.Precision.DEFAULT: 1}  # of bfloat16, see `matmul`
NEVER = -1e9  # logit of a bit that only pads: off with probability 1, entropy 0, gradient 0


def pallas_tpu(
    z_NK: Array,
    temperature: Array,
    mask_N: Array | None,
    axis_name: str | tuple[str, ...] | None,
    split: int | None,
    precision: lax.Precision,
    *,
    interpret: bool | pltpu.InterpretParams = False,
    plan: Plan | None = None,
) -> tuple[Array, Array]:
    """Both entropies as `api.lfq_entropy`, which has checked the arguments.

    Args:
      interpret: True or `InterpretParams` runs the kernels on any backend, slowly, for tests.
      plan: tiles, for tests and measurements; by default those of `make_plan`.
    """
    rows, bits = z_NK.shape
    plan = make_plan(rows, bits, split) if plan is None else plan
    logit_NK = 4.0 * z_NK / temperature
    weight_N = row_weights(mask_N, rows, axis_name)
    logit_KN, weight_1N = _padded(logit_NK.T, weight_N[None, :], plan)
    weight_1N = _as_varying_as(weight_1N, logit_KN)
    per_sample, mean_RS = _sums(logit_KN, weight_1N, plan, precision, interpret)
    if axis_name is not None:
        per_sample, mean_RS = lax.psum((per_sample, mean_RS), axis_name)
    return per_sample, table_entropy(mean_RS)


def _padded(logit_KN: Array, weight_1N: Array, plan: Plan) -> tuple[Array, Array]:
    """Bits that are never on, so that both halves fill a register, and rows of weight 0."""
    low_KN, high_KN = logit_KN[: plan.low_bits], logit_KN[plan.low_bits :]
    low_KN = _pad(low_KN, plan.padded_low - plan.low_bits, 0, NEVER)
    high_KN = _pad(high_KN, plan.padded_high - plan.high_bits, 0, NEVER)
    extra = plan.padded_rows - plan.rows
    logit_KN = _pad(jnp.concatenate([low_KN, high_KN], axis=0), 0, extra, 0.0)
    return logit_KN, _pad(weight_1N, 0, extra, 0.0)


def _as_varying_as(x: Array, like: Array) -> Array:
    """Inside `shard_map` the same for all devices may meet what differs; a custom VJP wants to be told."""
    axes = jax.typeof(like).manual_axis_type.varying - jax.typeof(x).manual_axis_type.varying
    return lax.pcast(x, tuple(axes), to="varying") if axes else x


def _pad(x: Array, below: int, right: int, value: float) -> Array:
    return jnp.pad(x, ((0, below), (0, right)), constant_values=value) if below or right else x


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _sums(logit_KN: Array, weight_1N: Array, plan: Plan, precision, interpret) -> tuple[Array, Array]:
    """Weighted sum over rows of the bits' entropies, float32 [], and the mean table, float32 [2^K1, 2^K2]."""
    blocks = forward_blocks(plan)
    kind = jax.typeof(logit_KN).manual_axis_type
    table_RS, entropy = pl.pallas_call(
        functools.partial(_forward, plan=plan, precision=precision),
        grid=blocks.grid,
        in_specs=blocks.inputs,
        out_specs=blocks.outputs,
        out_shape=(
            jax.ShapeDtypeStruct(plan.table_shape, jnp.float32, manual_axis_type=kind),
            jax.ShapeDtypeStruct((*blocks.grid[:2], 1, plan.row_tile), jnp.float32, manual_axis_type=kind),
        ),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary")),
        cost_estimate=cost(plan, blocks, products=1, passes=PASSES[precision]),
        interpret=interpret,
        name="lfq_entropy_forward",
    )(logit_KN, weight_1N)
    return jnp.sum(entropy[0, 0]), table_RS


def _sums_fwd(logit_KN, weight_1N, plan, precision, interpret):
    return _sums(logit_KN, weight_1N, plan, precision, interpret), (logit_KN, weight_1N)


def _sums_bwd(plan, precision, interpret, residuals, cotangents):
    logit_KN, weight_1N = residuals
    d_entropy, d_table_RS = cotangents
    blocks = backward_blocks(plan)
    kind = jax.typeof(logit_KN).manual_axis_type
    counts = pltpu.VMEM((plan.padded_bits, plan.row_tile), jnp.float32)
    return pl.pallas_call(
        functools.partial(_backward, plan=plan, precision=precision),
        grid=blocks.grid,
        in_specs=blocks.inputs,
        out_specs=blocks.outputs,
        out_shape=(
            jax.ShapeDtypeStruct(logit_KN.shape, jnp.float32, manual_axis_type=kind),
            jax.ShapeDtypeStruct(weight_1N.shape, jnp.float32, manual_axis_type=kind),
        ),
        scratch_shapes=[counts, counts],
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary", "arbitrary")),
        cost_estimate=cost(plan, blocks, products=2, passes=PASSES[precision]),
        interpret=interpret,
        name="lfq_entropy_backward",
    )(logit_KN, weight_1N, d_table_RS, jnp.broadcast_to(d_entropy, (1, plan.row_tile)))


_sums.defvjp(_sums_fwd, _sums_bwd)


def matmul(a: Array, b: Array, contract: tuple[int, int], precision: lax.Precision) -> Array:
    """The kernels' only matrix product, float32, over dimension contract[0] of a and contract[1] of b.

    HIGHEST is left to the compiler, which takes six bfloat16 passes. It has no word for fewer, so those are written
    out here: HIGH takes three and leaves out what is below 2^-16 of the whole; DEFAULT takes one, good to 2^-8.
    """
    dimensions = (((contract[0],), (contract[1],)), ((), ()))

    def product(a, b, precision=None):
        return lax.dot_general(a, b, dimensions, precision=precision, preferred_element_type=jnp.float32)

    if precision == lax.Precision.HIGHEST:
        return product(a, b, precision)
    a_head, b_head = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    if precision == lax.Precision.DEFAULT:
        return product(a_head, b_head)
    a_tail = (a - a_head.astype(jnp.float32)).astype(jnp.bfloat16)
    b_tail = (b - b_head.astype(jnp.float32)).astype(jnp.bfloat16)
    return product(a_head, b_head) + (product(a_head, b_tail) + product(a_tail, b_head))


def _forward(logit_ref, weight_ref, table_ref, entropy_ref, *, plan, precision):
    low, high, rows = (pl.program_id(axis) for axis in range(3))
    on_KN, off_KN, entropy_KN = bit_probabilities(logit_ref[...])
    weight_1N = weight_ref[...]
    k = plan.padded_low
    p_RN = code_probabilities(on_KN[:k], off_KN[:k], low, plan.low_tile) * weight_1N
    p_SN = code_probabilities(on_KN[k:], off_KN[k:], high, plan.high_tile)
    table_RS = matmul(p_RN, p_SN, (1, 1), precision)
    entropy_1N = weight_1N * jnp.sum(entropy_KN, axis=0, keepdims=True)

    @pl.when(rows == 0)
    def _():
        table_ref[...] = table_RS
        entropy_ref[...] = entropy_1N

    @pl.when(rows > 0)
    def _():
        table_ref[...] += table_RS
        entropy_ref[...] += entropy_1N


def _backward(
    logit_ref, weight_ref, d_table_ref, d_entropy_ref, d_logit_ref, d_weight_ref, on_ref, off_ref,
    *, plan, precision,
):  # fmt: skip
    low, high = pl.program_id(1), pl.program_id(2)
    last = (low == pl.num_programs(1) - 1) & (high == pl.num_programs(2) - 1)
    on_KN, off_KN, entropy_KN = bit_probabilities(logit_ref[...])
    k = plan.padded_low
    p_RN = code_probabilities(on_KN[:k], off_KN[:k], low, plan.low_tile)
    p_SN = code_probabilities(on_KN[k:], off_KN[k:], high, plan.high_tile)
    slope_RN = matmul(d_table_ref[...], p_SN, (1, 0), precision)
    slope_SN = matmul(d_table_ref[...], p_RN, (0, 0), precision)
    low_on, low_off, total_1N = bit_sums(p_RN * slope_RN, low, k)
    high_on, high_off, _ = bit_sums(p_SN * slope_SN, high, plan.padded_high)

    @pl.when((low == 0) & (high == 0))
    def _():
        on_ref[...] = jnp.zeros_like(on_ref)
        off_ref[...] = jnp.zeros_like(off_ref)
        d_weight_ref[...] = d_entropy_ref[...] * jnp.sum(entropy_KN, axis=0, keepdims=True)

    for bit, (on_1N, off_1N) in enumerate(zip(low_on + high_on, low_off + high_off, strict=True)):
        on_ref[pl.ds(bit, 1), :] += on_1N
        off_ref[pl.ds(bit, 1), :] += off_1N
    d_weight_ref[...] += total_1N

    @pl.when(last)
    def _():
        through_table_KN = off_KN * on_ref[...] - on_KN * off_ref[...]
        through_entropy_KN = -logit_ref[...] * on_KN * off_KN * d_entropy_ref[...]
        d_logit_ref[...] = weight_ref[...] * (through_table_KN + through_entropy_KN)

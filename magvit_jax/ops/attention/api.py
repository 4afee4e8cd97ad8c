"""Checks the arguments of attention and picks the implementation."""

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.ops.attention.choose import choose, pallas_tpu_refuses
from magvit_jax.ops.attention.chunked import chunked
from magvit_jax.ops.attention.counter_dropout import counters
from magvit_jax.ops.attention.cudnn import cudnn, cudnn_refuses
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.pallas_tpu import pallas_tpu
from magvit_jax.ops.attention.reference import reference
from magvit_jax.ops.attention.xla import xla
from magvit_jax.ops.backend import target_backend
from magvit_jax.typing import Array, PRNGKey

IMPLEMENTATIONS = ("reference", "xla", "chunked", "cudnn", "pallas_tpu")


def attention(
    q_BLNE: Array,
    k_BSGE: Array,
    v_BSGE: Array,
    mask: Mask | Array | None = None,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    dropout_key: PRNGKey | None = None,
    implementation: str | None = None,
) -> Array:
    """softmax(scale q k^T) v, with scores and softmax in float32.

    A query that sees no key gets the output 0, and neither gives nor gets a gradient. What keys and values
    hold where no query sees them has to be finite.

    Args:
        q_BLNE: queries of N heads, of a float type.
        k_BSGE, v_BSGE: keys and values of that type. N is a multiple of their G heads: each serves N / G
            neighbouring heads of queries (grouped queries).
        mask: which keys a query sees, all by default. Either a `Mask`, whose arrays may change without a new
            trace, or bool, broadcastable to [B, N, L, S], which only "reference" and "xla" take.
        scale: of the scores, above 0; E ** -0.5 by default.
        dropout: rate at which attention weights are dropped, in [0, 1); "xla", "chunked" and "pallas_tpu"
            have it, each with bits of its own.
        dropout_key: its randomness; needed where `dropout` is above 0.
        implementation: None for what `choose` says; or one of `IMPLEMENTATIONS`, which is used or refused,
            never replaced:
            "reference": the definition in float32, on every backend.
            "xla": the whole table of scores, on every backend.
            "chunked": memory linear in the length, on every backend.
            "cudnn": GPUs, for what `cudnn_refuses` allows.
            "pallas_tpu": TPUs, forward and backward, memory linear in the length; key blocks that the mask
            empties are neither fetched nor computed. float32 matmuls have full precision. Without a TPU it
            can be traced under a mesh of TPU devices (`jax.set_mesh`): that is how a program is compiled
            ahead of time.

    Returns:
        [B, L, N, E] of q's type.

    Raises:
        UserError: shapes, types, a mask or a rate that do not fit; an implementation that is unknown, not for
            this backend, or unfit for these arguments.
    """
    check(q_BLNE, k_BSGE, v_BSGE, mask, scale, dropout, dropout_key)
    name = resolve(q_BLNE, k_BSGE, mask, dropout, implementation)
    scale = q_BLNE.shape[-1] ** -0.5 if scale is None else float(scale)
    arguments = (q_BLNE, k_BSGE, v_BSGE, mask, scale)
    if name == "pallas_tpu":
        numbers = counters(dropout_key, q_BLNE.shape[0], q_BLNE.shape[2]) if dropout else None
        return pallas_tpu(*arguments, dropout, numbers)
    if name in ("xla", "chunked"):
        function = xla if name == "xla" else chunked
        return function(*arguments, dropout, dropout_key)
    return {"reference": reference, "cudnn": cudnn}[name](*arguments)


def resolve(
    q_BLNE: Array, k_BSGE: Array, mask: Mask | Array | None, dropout: float, implementation: str | None
) -> str:
    """The name of the implementation that `attention` uses for these arguments.

    Raises:
        UserError: the one that was named is unknown, or cannot be used.
    """
    backend = target_backend()
    if implementation is None:
        return choose(backend, q_BLNE.shape, k_BSGE.shape, q_BLNE.dtype, mask, dropout)
    if implementation not in IMPLEMENTATIONS:
        raise UserError(
            f"attention: implementation {implementation!r} is unknown; expected one of"
            f" {', '.join(IMPLEMENTATIONS)}"
        )
    refusal = _refusal(backend, q_BLNE, k_BSGE, mask, dropout, implementation)
    if refusal is not None:
        raise UserError(f"attention: implementation {implementation!r} can't be used here: {refusal}")
    return implementation


def _refusal(backend: str, q_BLNE, k_BSGE, mask, dropout, name: str) -> str | None:
    if name == "pallas_tpu":
        if backend != "tpu":
            return f"it needs a TPU or, to compile ahead of time, a mesh of TPU devices; this is {backend!r}"
        return pallas_tpu_refuses(q_BLNE.dtype, q_BLNE.shape[-1], mask)
    if name == "cudnn":
        if backend != "gpu":
            return f"it needs a GPU; this is {backend!r}"
        return cudnn_refuses(q_BLNE.shape, k_BSGE.shape, q_BLNE.dtype, mask, dropout)
    if name == "chunked" and mask is not None and not isinstance(mask, Mask):
        return "it takes a Mask, not an array of bool"
    if name == "reference" and dropout:
        return f"it has no dropout, and {dropout} was asked for"
    return None


def check(q_BLNE, k_BSGE, v_BSGE, mask=None, scale=None, dropout=0.0, dropout_key=None) -> None:
    """UserError, one line, where the arguments of `attention` do not fit each other."""
    shapes = f"q {q_BLNE.shape}, k {k_BSGE.shape}, v {v_BSGE.shape}"
    if any(x.ndim != 4 or 0 in x.shape for x in (q_BLNE, k_BSGE, v_BSGE)):
        raise UserError(f"attention: {shapes}: expected [B, L, N, E] and twice [B, S, G, E], none empty")
    batch, queries, heads, width = q_BLNE.shape
    keys, groups = k_BSGE.shape[1:3]
    if v_BSGE.shape != k_BSGE.shape:
        raise UserError(f"attention: {shapes}: keys and values must have the same shape")
    if k_BSGE.shape[0] != batch or k_BSGE.shape[3] != width:
        raise UserError(f"attention: {shapes}: queries and keys must have the same batch and head width")
    if heads % groups:
        raise UserError(f"attention: {heads} heads of queries are no multiple of the {groups} heads of keys")
    dtypes = [str(x.dtype) for x in (q_BLNE, k_BSGE, v_BSGE)]
    if len(set(dtypes)) > 1 or not jnp.issubdtype(q_BLNE.dtype, jnp.floating):
        raise UserError(f"attention: expected one float type for q, k and v, got {', '.join(dtypes)}")
    if scale is not None and not scale > 0.0:
        raise UserError(f"attention: scale {scale}: expected a number above 0")
    if not 0.0 <= dropout < 1.0:
        raise UserError(f"attention: dropout {dropout}: expected a rate in [0, 1)")
    if dropout and dropout_key is None:
        raise UserError(f"attention: dropout {dropout} needs a dropout_key")
    if isinstance(mask, Mask):
        mask.check(batch, queries, keys)
    elif mask is not None:
        _check_array(mask, (batch, heads, queries, keys))


def _check_array(mask: Array, shape: tuple[int, ...]) -> None:
    try:
        fits = mask.dtype == jnp.bool_ and jnp.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise UserError(
            f"attention: mask is {mask.dtype} {mask.shape}, expected bool, broadcastable to {shape}"
        )

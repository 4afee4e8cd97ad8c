"""Cross-entropy of tokens: in the three parts of Eq. 6.4, and of a large vocabulary a piece at a time."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.tokens.factorize import bits_of, split
from magvit_jax.tokens.masking import Corrupted
from magvit_jax.typing import Array, PyTree


@dataclasses.dataclass(frozen=True)
class PartWeights:
    """Weight of a position in the loss, by its part of Eq. 6.4; all 1 in the thesis and the authors' code."""

    refine: float = 1.0
    mask: float = 1.0
    reconstruct: float = 1.0


def token_cross_entropy(logits_BNFV: Array, target_BN: Array, label_smoothing: float) -> Array:
    """Cross-entropy of each token in nats, summed over its factors -> float32 [B, N].

    Args:
        logits_BNFV: float32.
        target_BN: int codes in [0, V**F).
        label_smoothing: e; the target distribution is (1 - e) on the target and e / V on every sub-id.
    """
    target_BNF = _sub_targets(logits_BNFV, target_BN)
    log_z_BNF = jax.nn.logsumexp(logits_BNFV, axis=-1)
    hit_BNF = jnp.take_along_axis(logits_BNFV, target_BNF[..., None], axis=-1)[..., 0]
    loss_BNF = log_z_BNF - (1.0 - label_smoothing) * hit_BNF
    if label_smoothing:
        loss_BNF = loss_BNF - label_smoothing * jnp.mean(logits_BNFV, axis=-1)
    return jnp.sum(loss_BNF, axis=-1)


def accuracy(logits_BNFV: Array, target_BN: Array) -> Array:
    """1 where the whole id is the arg max, else 0 -> float32 [B, N]."""
    # A comparison with the maximum in place of arg max, whose pairwise reduction costs as much as a layer on a CPU.
    target_BNF = _sub_targets(logits_BNFV, target_BN)
    hit_BNF = jnp.take_along_axis(logits_BNFV, target_BNF[..., None], axis=-1)[..., 0]
    return jnp.all(hit_BNF >= jnp.max(logits_BNFV, axis=-1), axis=-1).astype(jnp.float32)


def chunked_scores(
    logits: Callable[[PyTree, Array], Array],
    head_S: PyTree,
    x_BND: Array,
    target_BN: Array,
    parts: TokenParts,
    label_smoothing: float,
    chunk: int,
) -> tuple[Array, Array]:
    """`token_cross_entropy` and `accuracy` of `logits(head, x)`, float32 [B, N] each, `chunk` tokens at a time.

    Forward and backward hold the logits of `chunk` tokens a device: a full softmax over 2^18 codes takes 1 MiB a token.
    On a mesh each device has the head whole (but for `tensor`), fetched once, and adds up its own gradient of it over
    all chunks; the devices sum theirs once.

    Args:
        logits: a head and [T, D] -> float32 [T, F, V].
        head_S: the parameters that `logits` needs, a copy [S, ...] of each for every part (`TokenParts.copies`).
        x_BND: the last hidden states.
        target_BN, label_smoothing: as of `token_cross_entropy`.
        parts: of [B, N] tokens.
        chunk: tokens a device, 1 or more; the last chunk may be smaller.
    """
    @jax.checkpoint
    def scores(tokens: tuple[Array, Array]) -> tuple[Array, Array]:
        x_StD, target_St = tokens
        logits_StFV = jax.vmap(logits)(head_S, x_StD)
        return token_cross_entropy(logits_StFV, target_St, label_smoothing), accuracy(logits_StFV, target_St)

    x_STD, target_ST = parts.split(x_BND), parts.split(target_BN)
    tokens = target_ST.shape[1]
    whole = tokens - tokens % chunk
    pieces = [scores((x_STD[:, whole:], target_ST[:, whole:]))] if whole < tokens else []
    if whole:
        stacked = jax.lax.map(scores, (_in_chunks(x_STD[:, :whole], chunk), _in_chunks(target_ST[:, :whole], chunk)))
        pieces = [tuple(y_CSt.swapaxes(0, 1).reshape(-1, whole) for y_CSt in stacked), *pieces]
    loss_ST, correct_ST = (jnp.concatenate(piece, axis=1) for piece in zip(*pieces, strict=True))
    return parts.join(loss_ST, *target_BN.shape), parts.join(correct_ST, *target_BN.shape)


def _in_chunks(x_ST: Array, chunk: int) -> Array:
    """[S, T, ...] -> [T / chunk, S, chunk, ...]."""
    return x_ST.reshape(x_ST.shape[0], -1, chunk, *x_ST.shape[2:]).swapaxes(0, 1)


def commit_loss(
    logits_BNFV: Array,
    target_BN: Array,
    corrupted: Corrupted,
    weights: PartWeights = PartWeights(),  # noqa: B008, it is frozen
    label_smoothing: float = 1e-4,
) -> tuple[Array, dict[str, Array]]:
    """Mean cross-entropy over positions, weighted by part (thesis Eq. 6.3 and 6.4).

    Returns:
        The loss: sum of weight times cross-entropy over the sum of weights. And scalars: `loss`; the plain mean of
        each part that is present, 0 where it has no position: `loss_refine`, `loss_mask`, `loss_reconstruct`;
        `accuracy_mask`, the share of [MASK] positions whose whole id is the arg max; `masked_share` of positions.
    """
    loss_BN = token_cross_entropy(logits_BNFV, target_BN, label_smoothing)
    parts = {name: getattr(corrupted, f"{name}_BN") for name in ("refine", "mask", "reconstruct")}
    weight_BN = sum(getattr(weights, name) * flag_BN.astype(jnp.float32) for name, flag_BN in parts.items())
    loss = jnp.sum(weight_BN * loss_BN) / jnp.maximum(jnp.sum(weight_BN), 1e-6)
    correct_BN = accuracy(logits_BNFV, target_BN)
    scalars = {f"loss_{name}": _mean_where(flag_BN, loss_BN) for name, flag_BN in parts.items()}
    scalars["loss"] = loss
    scalars["accuracy_mask"] = _mean_where(corrupted.mask_BN, correct_BN)
    scalars["masked_share"] = jnp.mean(1.0 - corrupted.reconstruct_BN.astype(jnp.float32))
    return loss, scalars


def _sub_targets(logits_BNFV: Array, target_BN: Array) -> Array:
    factors, sub_codes = logits_BNFV.shape[-2:]
    if factors == 1:
        return target_BN.astype(jnp.int32)[..., None]
    return split(target_BN, factors, factors * bits_of(sub_codes))


def _mean_where(flag_BN: Array, value_BN: Array) -> Array:
    total = jnp.sum(jnp.where(flag_BN, value_BN, 0.0))
    return total / jnp.maximum(jnp.sum(flag_BN.astype(jnp.float32)), 1.0)

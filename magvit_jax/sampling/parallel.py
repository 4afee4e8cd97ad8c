"""Non-autoregressive decoding by COMMIT (thesis Algorithm 1) as one `lax.scan`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.sampling import draw
from magvit_jax.sampling.guidance import guidance_table
from magvit_jax.tokens.masking import rank
from magvit_jax.tokens.schedules import remask_table
from magvit_jax.typing import Array, PRNGKey

LogitsFn = Callable[[Array, Array], Array]
CONFIDENCES = ("log_probability", "probability")


class States(NamedTuple):
    """Every step of a decoding, the steps leading.

    Attributes:
        inputs_KBN: what the transformer saw: predicted tokens, condition tokens and [MASK].
        ids_KBN: every position's id after the step.
        unknown_KBN: bool, positions that the next step sees as condition token or [MASK].
    """

    inputs_KBN: Array
    ids_KBN: Array
    unknown_KBN: Array


def decode(
    logits_fn: LogitsFn,
    condition_BN: Array,
    is_condition_BN: Array,
    *,
    mask_id: int,
    keys_B: PRNGKey,
    steps: int,
    schedule: str,
    temperature: float,
    sampling_temperature: float = 1.0,
    top_k: int | None = None,
    guidance_scale: float | Sequence[float] = 0.0,
    keep_condition: bool | Array = False,
    confidence: str = "log_probability",
    return_states: bool = False,
) -> Array | tuple[Array, States]:
    """Decodes visual tokens in `steps` parallel steps (thesis Algorithm 1; settings in 6.5.6).

    At first every token is unknown, and an unknown token is seen as its condition token inside the condition
    region, as [MASK] outside. Each step samples every unknown token; those of the least confidence stay
    unknown for the next, in number as `tokens.schedules.remask_table` says. Confidence is log p of the
    sampled token plus `temperature * (1 - (t + 1) / steps)` times Gumbel noise, and infinite for known
    tokens.

    Args:
        logits_fn: (ids [B', N], unconditional bool [B']) -> logits [B', N, V] or [B', N, F, V] (factorised
            codes: the factors are independent, log p is their sum). With guidance B' = 2B: the B examples
            with their condition, then the same B examples with `unconditional` True; without, B' = B and it
            is False.
        condition_BN: condition tokens; read inside the region only.
        is_condition_BN: bool, the condition region.
        mask_id: id of [MASK].
        keys_B: one key for each example; results do not depend on how examples are batched.
        steps: K, 1 or more.
        schedule: see `tokens.schedules.mask_ratio`.
        temperature: of the confidence noise; 0 for none.
        sampling_temperature: divides the logits when tokens are sampled; 0 takes the arg max. It does not
            touch the confidence.
        top_k: sample among the k likeliest sub-ids only.
        guidance_scale: s in l + s (l - u), with l the conditional logits, u the unconditional; a number, or
            one for each step, as of `guidance.guidance_table`. 0 runs no unconditional branch.
        keep_condition: the condition tokens are known from the start, are returned as they are, and do not
            count in the schedule: they are exact (a causal tokenizer), or the model was trained by latent
            masking. For all examples, or bool [B], which may be known at run time only.
        confidence: "log_probability" (the authors' code) or "probability" (Algorithm 1 as printed).
        return_states: also return every step's `States`.

    Returns:
        int32 ids [B, N], or (ids, states).
    """
    scales_K = guidance_table(guidance_scale, steps)
    _check(condition_BN, is_condition_BN, temperature, confidence)
    draw.check(sampling_temperature, top_k)
    batch, num_tokens = condition_BN.shape
    condition_BN = condition_BN.astype(jnp.int32)
    keep_B = jnp.broadcast_to(jnp.asarray(keep_condition), (batch,))
    first_unknown_BN = ~(is_condition_BN & keep_B[:, None])
    start_B = jnp.sum(first_unknown_BN, axis=-1)
    counts_KB = jnp.asarray(remask_table(schedule, steps, num_tokens))[:, start_B]
    noise_K = temperature * (1.0 - (np.arange(steps) + 1) / steps)

    def step(carry, xs):
        ids_BN, unknown_BN = carry
        index, scale, noise, count_B = xs
        seen_BN = jnp.where(unknown_BN, jnp.where(is_condition_BN, condition_BN, mask_id), ids_BN)
        logits_BNFV = _guided_logits(logits_fn, seen_BN, scale, guided=bool(np.any(scales_K)))
        token_B, noise_B = _step_keys(keys_B, index)
        sampled_BN, log_p_BN = _sample(logits_BNFV, token_B, sampling_temperature, top_k)
        ids_BN = jnp.where(unknown_BN, sampled_BN, ids_BN)
        score_BN = log_p_BN if confidence == "log_probability" else jnp.exp(log_p_BN)
        if temperature > 0:
            score_BN += noise * jax.vmap(lambda key: jax.random.gumbel(key, (num_tokens,)))(noise_B)
        unknown_BN = rank(jnp.where(unknown_BN, score_BN, jnp.inf)) < count_B[:, None]
        return (ids_BN, unknown_BN), (States(seen_BN, ids_BN, unknown_BN) if return_states else None)

    xs = (jnp.arange(steps), jnp.asarray(scales_K, jnp.float32), jnp.asarray(noise_K, jnp.float32), counts_KB)
    (ids_BN, _), states = jax.lax.scan(step, (condition_BN, first_unknown_BN), xs)
    return (ids_BN, states) if return_states else ids_BN


def _guided_logits(logits_fn: LogitsFn, seen_BN: Array, scale: Array, guided: bool) -> Array:
    """Float32 logits [B, N, F, V], with guidance from one call over both branches."""
    batch = seen_BN.shape[0]
    if guided:
        unconditional_2B = jnp.arange(2 * batch) >= batch
        logits = logits_fn(jnp.concatenate([seen_BN, seen_BN]), unconditional_2B).astype(jnp.float32)
        logits = logits[:batch] + scale * (logits[:batch] - logits[batch:])
    else:
        logits = logits_fn(seen_BN, jnp.zeros((batch,), bool)).astype(jnp.float32)
    return logits if logits.ndim == 4 else logits[:, :, None, :]


def _step_keys(keys_B: PRNGKey, index: Array) -> tuple[PRNGKey, PRNGKey]:
    """Keys of one step for each example: for the tokens, and for the confidence noise."""
    pair_B2 = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, index)))(keys_B)
    return pair_B2[:, 0], pair_B2[:, 1]


def _sample(
    logits_BNFV: Array, keys_B: PRNGKey, temperature: float, top_k: int | None
) -> tuple[Array, Array]:
    """Ids [B, N] and the model's log-probability of each, float32 [B, N]."""
    ids_BN, sub_BNF = draw.draw(logits_BNFV, keys_B, temperature, top_k)
    hit_BNF = jnp.take_along_axis(logits_BNFV, sub_BNF[..., None], axis=-1)[..., 0]
    return ids_BN, jnp.sum(hit_BNF - jax.nn.logsumexp(logits_BNFV, axis=-1), axis=-1)


def _check(condition_BN, is_condition_BN, temperature, confidence) -> None:
    if condition_BN.ndim != 2 or condition_BN.shape != is_condition_BN.shape:
        raise UserError(
            f"condition tokens {condition_BN.shape}, region {is_condition_BN.shape}: expected one shape [B, N]"
        )
    if temperature < 0:
        raise UserError(f"temperature {temperature}: expected 0 or more")
    if confidence not in CONFIDENCES:
        raise UserError(f"confidence {confidence!r}: expected one of {', '.join(CONFIDENCES)}")

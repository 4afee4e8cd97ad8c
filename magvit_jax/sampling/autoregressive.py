"""Autoregressive decoding, token by token, as one `lax.scan`: the baseline of Tab. 6.9, with and without a cache."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.sampling.draw import check, draw
from magvit_jax.tokens.videopoet.allowed import restrict
from magvit_jax.typing import Array, PRNGKey, PyTree

#: unconditional bool [B'] -> (logits [B', F, V] of the first token, cache)
PrefillFn = Callable[[Array], tuple[Array, PyTree]]
#: (ids [B'], cache, position of those ids, int32 []) -> (logits [B', F, V] of the token after them, cache)
StepFn = Callable[[Array, PyTree, Array], tuple[Array, PyTree]]
#: (ids [B', N], unconditional bool [B']) -> logits [B', N, F, V]; those of a token may depend on the ids before it only
LogitsFn = Callable[[Array, Array], Array]


def decode(
    prefill: PrefillFn,
    step: StepFn,
    *,
    num_tokens: int,
    keys_B: PRNGKey,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    guidance_scale: float = 0.0,
    given_BN: Array | None = None,
    is_given_BN: Array | None = None,
    allowed_BN2: Array | None = None,
) -> Array:
    """Decodes `num_tokens` tokens, each from the ones before it; token i of an example is drawn from fold_in(key, i).

    Args:
        prefill, step: the model; `recompute` makes both of a function without a cache. The cache is carried through
            the scan, so it keeps its shapes. With guidance B' = 2B, as in `parallel.decode`: the B examples with
            their condition, then the same B with `unconditional` True; without, B' = B and it is False.
        num_tokens: N, 1 or more.
        keys_B: one key for each example; results do not depend on how examples are batched.
        temperature, top_k, top_p: see `draw.draw`.
        guidance_scale: s in l + s (l - u), with l the conditional logits, u the unconditional. 0 runs no
            unconditional branch.
        given_BN, is_given_BN: ids that are known, where the second is True: they are returned as they are, and the
            tokens after them follow from them (teacher forcing).
        allowed_BN2: int32, the first id that each token may be and the one after the last, for a model of one factor;
            no other is drawn, whatever guidance, temperature, top_k and top_p make of its logits. Where the two are
            equal nothing may come: the token is 0, the first of equals.

    Returns:
        int32 ids [B, N].
    """
    check(temperature, top_k, top_p)
    if num_tokens < 1:
        raise UserError(f"{num_tokens} tokens to decode: expected 1 or more")
    if (given_BN is None) != (is_given_BN is None):
        raise UserError("known ids without the places where they are known: expected both, or neither")
    batch = keys_B.shape[0]
    if given_BN is None:
        given_BN, is_given_BN = jnp.zeros((batch, num_tokens), jnp.int32), jnp.zeros((batch, num_tokens), bool)
    if not given_BN.shape == is_given_BN.shape == (batch, num_tokens):
        raise UserError(f"known ids {given_BN.shape}, places {is_given_BN.shape}: expected {(batch, num_tokens)}")
    if allowed_BN2 is not None and allowed_BN2.shape != (batch, num_tokens, 2):
        raise UserError(f"allowed ids {allowed_BN2.shape}: expected {(batch, num_tokens, 2)}")
    copies = 2 if guidance_scale else 1

    def choose(logits, index, given_B, is_given_B, allowed_B2):
        logits_BFV = logits.astype(jnp.float32)
        if guidance_scale:
            logits_BFV = logits_BFV[:batch] + guidance_scale * (logits_BFV[:batch] - logits_BFV[batch:])
        if allowed_B2 is not None:
            if logits_BFV.shape[1] != 1:
                raise UserError(f"allowed ids for codes of {logits_BFV.shape[1]} factors: expected one")
            logits_BFV = restrict(logits_BFV, allowed_B2[:, None])
        index_keys_B = jax.vmap(lambda key: jax.random.fold_in(key, index))(keys_B)
        ids_B, _ = draw(logits_BFV, index_keys_B, temperature, top_k, top_p)
        return jnp.where(is_given_B, given_B.astype(jnp.int32), ids_B)

    def body(carry, xs):
        ids_B, cache = carry
        index, *known = xs
        logits, cache = step(jnp.tile(ids_B, copies), cache, index - 1)
        ids_B = choose(logits, index, *known)
        return (ids_B, cache), ids_B

    logits, cache = prefill(jnp.arange(copies * batch) >= batch)
    by_token = jax.tree.map(lambda x_BN: jnp.swapaxes(x_BN, 0, 1), (given_BN, is_given_BN, allowed_BN2))
    xs = (jnp.arange(num_tokens), *by_token)
    first_B = choose(logits, *jax.tree.map(lambda x: x[0], xs))
    _, rest_NB = jax.lax.scan(body, (first_B, cache), jax.tree.map(lambda x: x[1:], xs))
    return jnp.concatenate([first_B[:, None], rest_NB.T], axis=1)


def recompute(logits_fn: LogitsFn, num_tokens: int) -> tuple[PrefillFn, StepFn]:
    """`prefill` and `step` that compute the whole sequence anew for every token: the slow way, and the oracle.

    The "cache" is the ids so far and the branch of each example.
    """

    def prefill(unconditional):
        ids = jnp.zeros((unconditional.shape[0], num_tokens), jnp.int32)
        return logits_fn(ids, unconditional)[:, 0], (ids, unconditional)

    def step(new_ids, cache, index):
        ids, unconditional = cache
        ids = jax.lax.dynamic_update_slice_in_dim(ids, new_ids[:, None], index, axis=1)
        logits = jax.lax.dynamic_index_in_dim(logits_fn(ids, unconditional), index + 1, axis=1, keepdims=False)
        return logits, (ids, unconditional)

    return prefill, step

"""How much of a codebook one batch uses: the first sign of collapse while a tokenizer trains."""

import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


def batch_use(ids: Array, codebook_size: int) -> tuple[Array, Array]:
    """(share of codes in use, perplexity) of the ids of one batch, float32 [].

    The share is of as many codes as the batch could use at most, min(codebook_size, N) for N ids, so that small
    batches and large codebooks can be read too. The perplexity is exp(entropy) of the ids' frequencies, from 1 (all
    the same) to min(codebook_size, N). Both are exact. The ids are sorted and not counted in a table, so memory grows
    with N and not with the codebook: a table for 2^24 codes would take 64 MiB a step.

    Args:
      ids: integers of any shape.
    """
    ids_N = jnp.sort(ids.reshape(-1))
    new_N = jnp.concatenate([jnp.ones(1, bool), ids_N[1:] != ids_N[:-1]])
    which_N = jnp.cumsum(new_N) - 1
    share_N = jax.ops.segment_sum(
        jnp.full(ids_N.shape, 1.0 / ids_N.size), which_N, ids_N.size, indices_are_sorted=True
    )
    use = new_N.sum().astype(jnp.float32) / min(codebook_size, ids_N.size)
    return use, jnp.exp(-jax.scipy.special.xlogy(share_N, share_N).sum())

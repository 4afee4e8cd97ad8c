"""Vector quantization: the nearest code, and the entropies of a soft assignment to all of them (thesis ch. 3)."""

import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


def squared_distances(z_BthwD: Array, codebook_KD: Array) -> Array:
    """float32 [N, K] of the N latents to the K codes, without the [N, K, D] differences."""
    z_ND = z_BthwD.reshape(-1, z_BthwD.shape[-1]).astype(jnp.float32)
    cross_NK = jnp.matmul(z_ND, codebook_KD.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.square(z_ND).sum(-1, keepdims=True) - 2.0 * cross_NK + jnp.square(codebook_KD).sum(-1)[None]


def nearest(z_BthwD: Array, codebook_KD: Array) -> Array:
    """Index of the nearest code, the first of several at the same distance: int32 [B,t,h,w]."""
    ids_N = jnp.argmin(squared_distances(z_BthwD, codebook_KD), axis=-1)
    return ids_N.astype(jnp.int32).reshape(z_BthwD.shape[:-1])


def entropy(z_BthwD: Array, codebook_KD: Array, temperature: float) -> tuple[Array, Array]:
    """Mean entropy of a token and entropy of the mean token, nats, for p(k|z) ~ exp(-|z - e_k|^2 / temperature)."""
    log_p_NK = jax.nn.log_softmax(-squared_distances(z_BthwD, codebook_KD) / temperature, axis=-1)
    p_NK = jnp.exp(log_p_NK)
    # log_p is finite, so p log p needs no eps; the mean may underflow to exactly 0, where x log x is 0.
    sample_entropy = -(p_NK * log_p_NK).sum(-1).mean()
    mean_K = p_NK.mean(0)
    log_mean_K = jnp.log(jnp.where(mean_K > 0, mean_K, 1.0))
    return sample_entropy, -(mean_K * log_mean_K).sum()

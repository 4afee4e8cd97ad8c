"""Quantizers as modules: latents in, codes and ids out, with the terms of the loss that belong to them.

A quantizer has `size` (entries of its codebook), `width` (channels of a latent) and the methods

    __call__(z [B,t,h,w,D]) -> codes [B,t,h,w,D], straight-through: the identity in the backward pass
    to_ids(z) -> int32 [B,t,h,w] in [0, size)
    to_codes(ids) -> float32 [B,t,h,w,D]
    losses(z, temperature) -> QuantizerLosses
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.entropy import lfq_entropy
from magvit_jax.partitioning import param
from magvit_jax.tokenizer import lfq, vq
from magvit_jax.typing import Array

MAX_LFQ_BITS = 30  # ids are int32


class QuantizerLosses(NamedTuple):
    """Terms of the loss, float32 []; entropies in nats.

    Fields:
      commitment: mean squared distance of the latents from their codes, which are held fixed.
      codebook: the same, the latents held fixed; 0 where there is no codebook to learn.
      sample_entropy: mean entropy of a token; mean_entropy: entropy of the mean token. Their difference is the
        penalty of Eq. 5.5. Exact over the batch that one call sees, because the entropy of a mean is not the mean
        of entropies: with gradient accumulation that is a micro-batch.
    """

    commitment: Array
    codebook: Array
    sample_entropy: Array
    mean_entropy: Array


class LookupFreeQuantizer(nn.Module):
    """Every channel is one bit: its sign (thesis 5.3.1). There is nothing to look up and nothing to learn.

    Attributes:
      bits: channels of a latent; the codebook has 2^bits entries.
      entropy_groups: 1 for the exact entropy of the mean token. Above 1 the bits are split into so many equal
        groups whose entropies are added up: an upper bound that ignores correlation between groups, which the
        thesis uses beyond 2^18 and which is needed here beyond 2^24.
    """

    bits: int
    entropy_groups: int = 1

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.bits <= MAX_LFQ_BITS:
            raise UserError(f"quantizer.bits is {self.bits}: expected 1 to {MAX_LFQ_BITS}")
        if self.entropy_groups < 1 or self.bits % self.entropy_groups:
            raise UserError(
                f"quantizer.entropy_groups is {self.entropy_groups}: expected a divisor of the {self.bits} bits"
            )

    @property
    def size(self) -> int:
        return 2**self.bits

    @property
    def width(self) -> int:
        return self.bits

    def __call__(self, z_BthwD: Array) -> Array:
        return lfq.straight_through(z_BthwD)

    def to_ids(self, z_BthwD: Array) -> Array:
        return lfq.codes_to_ids(lfq.quantize(z_BthwD))

    def to_codes(self, ids_Bthw: Array) -> Array:
        return lfq.ids_to_codes(ids_Bthw, self.bits)

    def losses(self, z_BthwD: Array, temperature: float) -> QuantizerLosses:
        z_BthwD = z_BthwD.astype(jnp.float32)
        commitment = jnp.square(z_BthwD - jax.lax.stop_gradient(lfq.quantize(z_BthwD))).mean()
        groups = jnp.split(z_BthwD.reshape(-1, self.bits), self.entropy_groups, axis=-1)
        entropies = [lfq_entropy(group_NK, temperature) for group_NK in groups]
        sample_entropy, mean_entropy = (sum(terms) for terms in zip(*entropies, strict=True))
        return QuantizerLosses(commitment, jnp.zeros(()), sample_entropy, mean_entropy)


class VectorQuantizer(nn.Module):
    """The nearest of `size` learned codes of `width` channels, by squared distance (thesis ch. 3).

    Attributes:
      size: codes in the codebook.
      width: channels of a code.
    """

    size: int
    width: int

    def setup(self):
        # Uniform in +-1/size, small against any latent: no code is ahead of the others at the start.
        bound = 1.0 / self.size
        self.codebook = self.param(
            "codebook",
            param(lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound), None, None),
            (self.size, self.width),
        )

    def __call__(self, z_BthwD: Array) -> Array:
        z_BthwD = z_BthwD.astype(jnp.float32)
        return z_BthwD + jax.lax.stop_gradient(self.to_codes(self.to_ids(z_BthwD)) - z_BthwD)

    def to_ids(self, z_BthwD: Array) -> Array:
        return vq.nearest(z_BthwD, self.codebook)

    def to_codes(self, ids_Bthw: Array) -> Array:
        return jnp.take(self.codebook, ids_Bthw, axis=0)

    def losses(self, z_BthwD: Array, temperature: float) -> QuantizerLosses:
        z_BthwD = z_BthwD.astype(jnp.float32)
        codes_BthwD = self.to_codes(self.to_ids(z_BthwD))
        commitment = jnp.square(z_BthwD - jax.lax.stop_gradient(codes_BthwD)).mean()
        codebook = jnp.square(jax.lax.stop_gradient(z_BthwD) - codes_BthwD).mean()
        return QuantizerLosses(commitment, codebook, *vq.entropy(z_BthwD, self.codebook, temperature))


Quantizer = LookupFreeQuantizer | VectorQuantizer
QUANTIZERS = {"lfq": LookupFreeQuantizer, "vq": VectorQuantizer}

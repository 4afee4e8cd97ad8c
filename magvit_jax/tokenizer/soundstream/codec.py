"""SoundStream with its codebooks among its parameters: what is shipped, once training is over."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.partitioning import param
from magvit_jax.tokenizer.soundstream.model import SoundStream
from magvit_jax.typing import Array, Dtype, PyTree


class SoundStreamCodec(nn.Module):
    """Samples to ids of `levels` levels and back.

    Attributes:
      channels, strides, latent_dim, dtype: of `SoundStream`.
      levels: of the residual quantizer; VideoPoet: 4 (8.3).
      codebook_size: codes a level; VideoPoet: 1,024.
    """

    channels: int
    strides: Sequence[int]
    latent_dim: int
    levels: int
    codebook_size: int
    dtype: Dtype = jnp.float32

    streams = True  # takes a sound in chunks (`nn.stream`); no annotation, so that it is no field

    def setup(self):
        self.network = SoundStream(self.channels, tuple(self.strides), self.latent_dim, self.dtype)
        self.codes_QKD = self.param(
            "codes_QKD",
            param(initializers.normal(1.0), None, None, None),
            (self.levels, self.codebook_size, self.latent_dim),
        )

    @property
    def samples_per_latent(self) -> int:
        """Product of the strides."""
        return SoundStream(self.channels, tuple(self.strides), self.latent_dim).samples_per_latent

    def __call__(self, audio_BS: Array) -> Array:
        """The sound through encoder, quantizer and decoder: what `init` runs."""
        return self.decode_from_ids(self.encode_to_ids(audio_BS))

    def encode_to_ids(self, audio_BS: Array) -> Array:
        """float [B, S] in [-1, 1], S a multiple of `samples_per_latent`, to int32 [B, T, levels]."""
        return self.network.encode_to_ids(audio_BS, self.codes_QKD)

    def decode_from_ids(self, ids_BTQ: Array) -> Array:
        """Ids of all levels or of the first few to samples, float32 [B, T samples_per_latent], not clipped."""
        return self.network.decode_from_ids(ids_BTQ, self.codes_QKD)


def codec_params(network: PyTree, codes_QKD: Array) -> PyTree:
    """Parameters of a `SoundStreamCodec` from those of its `SoundStream` and the codes."""
    return {"network": network, "codes_QKD": codes_QKD}



"""SoundStream's network: a causal encoder and decoder of sound (Zeghidour et al. 2021, III; thesis 8.3)."""

import math
from collections.abc import Iterable, Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import STREAM
from magvit_jax.tokenizer.soundstream import residual_vq
from magvit_jax.tokenizer.soundstream.layers import Decoder, Encoder
from magvit_jax.typing import Array, Dtype, PyTree

SAMPLE_RATE = 16_000  # Hz: what strides of 320 samples a latent make 50 latents a second


class SoundStream(nn.Module):
    """Encoder and decoder. The codebooks between them are state of their own: see `residual_vq`.

    Attributes:
      channels: of the first convolution; published: 32.
      strides: of the encoder's blocks; published: (2, 4, 5, 8), 320 samples a latent.
      latent_dim: channels of a latent, which are those of the codes.
      dtype: compute dtype; latents and samples are float32.
    """

    channels: int
    strides: Sequence[int]
    latent_dim: int
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if min(self.channels, self.latent_dim) < 1 or not self.strides or min(self.strides) < 1:
            raise UserError(
                f"model: channels {self.channels}, latent_dim {self.latent_dim}, strides {tuple(self.strides)}; "
                "expected one stride or more, all numbers 1 or more"
            )

    def setup(self):
        self.encoder = Encoder(self.channels, tuple(self.strides), self.latent_dim, self.dtype)
        self.decoder = Decoder(self.channels, tuple(self.strides), self.dtype)

    @property
    def samples_per_latent(self) -> int:
        """Product of the strides."""
        return math.prod(self.strides)

    def __call__(self, audio_BS: Array) -> Array:
        """The sound through encoder and decoder without a quantizer: what `init` runs."""
        return self.decode(self.encode(audio_BS))

    def encode(self, audio_BS: Array) -> Array:
        """float [B, S] in [-1, 1] -> latents float32 [B, T, D], T = S / samples_per_latent.

        Latent i sees samples up to (i + 1) samples_per_latent - 1.

        Raises:
          UserError: another shape, or samples that are no whole number of latents.
        """
        if audio_BS.ndim != 2 or not audio_BS.shape[1] or audio_BS.shape[1] % self.samples_per_latent:
            raise UserError(
                f"sound of shape {list(audio_BS.shape)}: expected [batch, samples], the samples a multiple of "
                f"{self.samples_per_latent}"
            )
        return self.encoder(audio_BS[..., None])

    def decode(self, z_BTD: Array) -> Array:
        """Latents to samples, float32 [B, T samples_per_latent], not clipped; sample s sees latents up to its own."""
        return self.decoder(z_BTD)[..., 0]

    def encode_to_ids(self, audio_BS: Array, codes_QKD: Array) -> Array:
        """Samples to ids, int32 [B, T, Q], coarse level first; errors as of `encode`."""
        return residual_vq.quantize(codes_QKD, self.encode(audio_BS)).ids_BTQ

    def decode_from_ids(self, ids_BTQ: Array, codes_QKD: Array) -> Array:
        """Ids of all levels or of the first few to samples; see `decode`."""
        return self.decode(residual_vq.dequantize(codes_QKD, ids_BTQ))


def decode_stream(model: SoundStream, params: PyTree, chunks: Iterable[Array]) -> Iterator[Array]:
    """Decodes latents as they come; the sounds in a row are the sound of all latents in a row.

    Args:
      params: of the model.
      chunks: latents [B, T, D], each with any T of 1 or more.

    Yields:
      float32 [B, T samples_per_latent] for each chunk.
    """
    yield from _stream(model, params, chunks, "decode")


def encode_stream(model: SoundStream, params: PyTree, chunks: Iterable[Array]) -> Iterator[Array]:
    """Encodes samples [B, S] as they come, S a multiple of `samples_per_latent`; yields latents [B, T, D]."""
    yield from _stream(model, params, chunks, "encode")


def _stream(model: SoundStream, params: PyTree, chunks: Iterable[Array], method: str) -> Iterator[Array]:
    @jax.jit
    def step(carried: PyTree, chunk: Array) -> tuple[Array, PyTree]:
        return model.apply({"params": params, **carried}, chunk, method=method, mutable=[STREAM])

    carried = {}
    for chunk in chunks:
        output, carried = step(carried, chunk)
        yield output

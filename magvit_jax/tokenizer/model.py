"""What every tokenizer is: an encoder, a quantizer and a decoder, and the sizes that fit."""

import abc

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import continues
from magvit_jax.tokenizer.quantizer import QuantizerLosses
from magvit_jax.typing import Array


class TokenizerModel(nn.Module, abc.ABC):
    """Pixels to ids and back. A subclass has the field `quantizer`, makes `encoder` and `decoder` in its `setup`,
    and says how it compresses and whether it is causal.

    The encoder maps pixels in [-1, 1] to latents before quantization, the decoder codes to pixels in [-1, 1]. The
    methods below take and give pixels in [0, 1].
    """

    @property
    @abc.abstractmethod
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""

    @property
    @abc.abstractmethod
    def leading_frame(self) -> bool:
        """Whether the first frame has latents of its own. Then 1 + s t frames become 1 + t latent frames, and an
        image is a one-frame video; else s t frames become t."""

    @property
    @abc.abstractmethod
    def causal(self) -> bool:
        """Whether latent frame i depends on the frames 0 .. s i only, and frame j of the output on no latent
        frame after its own, exactly. Only such a tokenizer can stream."""

    @property
    def streams(self) -> bool:
        """Whether it takes a video in chunks (`nn.stream`): it is causal, and every layer that sees earlier frames
        carries them over. Others see a long video in independent windows."""
        return False

    @property
    def codebook_size(self) -> int:
        """Ids are in [0, codebook_size)."""
        return self.quantizer.size

    @property
    def bits(self) -> int:
        """Bits of an id.

        Raises:
          UserError: the codebook's size is no power of two.
        """
        bits = self.codebook_size.bit_length() - 1
        if 2**bits != self.codebook_size:
            raise UserError(f"a codebook of {self.codebook_size} entries: expected a power of two")
        return bits

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Shape (t, h, w) of the ids of a clip, or an error that says which sizes fit."""
        st, sh, sw = self.compression
        first = int(self.leading_frame)
        if (frames - first) % st or height % sh or width % sw or min(frames, height, width) < 1:
            near = first + _nearest_multiple(frames - first, st, 0 if first else st)
            raise UserError(
                f"cannot tokenize {frames} frames of {height}x{width}: frames must be "
                f"{'1 + ' if self.leading_frame else ''}a multiple of {st}, "
                f"height a multiple of {sh}, width a multiple of {sw}; nearest are {near} frames of "
                f"{_nearest_multiple(height, sh, sh)}x{_nearest_multiple(width, sw, sw)}"
            )
        return first + (frames - first) // st, height // sh, width // sw

    def encode(self, video_BTHWC: Array) -> Array:
        """Float pixels in [0, 1], [B,T,H,W,3], to latents before quantization, float32 [B,t,h,w,D]."""
        frames, height, width = video_BTHWC.shape[1:4]
        self.latent_shape(frames + continues(self), height, width)  # a later chunk has no leading frame
        return self.encoder(2.0 * video_BTHWC - 1.0)

    def decode(self, codes_BthwD: Array) -> Array:
        """Codes [B,t,h,w,D] to float32 pixels around [0, 1], not clipped, [B,T,H,W,3]."""
        return 0.5 * (self.decoder(codes_BthwD) + 1.0)

    def encode_to_ids(self, video_BTHWC: Array) -> Array:
        """Float pixels in [0, 1] to int32 ids in [0, codebook_size), [B,t,h,w]."""
        return self.quantizer.to_ids(self.encode(video_BTHWC))

    def decode_from_ids(self, ids_Bthw: Array) -> Array:
        """Int32 ids in [0, codebook_size) to float32 pixels, not clipped, [B,T,H,W,3]."""
        return self.decode(self.quantizer.to_codes(ids_Bthw))

    def __call__(self, video_BTHWC: Array) -> tuple[Array, Array]:
        """Reconstruction [B,T,H,W,3] through the straight-through estimator, and the latents z [B,t,h,w,D]."""
        z_BthwD = self.encode(video_BTHWC)
        return self.decode(self.quantizer(z_BthwD)), z_BthwD

    def forward(
        self, video_BTHWC: Array, entropy_temperature: float
    ) -> tuple[Array, QuantizerLosses, Array]:
        """What training needs: the reconstruction as of `__call__`, the quantizer's terms of the loss, and the ids."""
        output_BTHWC, z_BthwD = self(video_BTHWC)
        terms = self.quantizer.losses(z_BthwD, jnp.float32(entropy_temperature))
        return output_BTHWC, terms, self.quantizer.to_ids(z_BthwD)


def _nearest_multiple(value: int, of: int, least: int) -> int:
    """The multiple of `of` that is nearest to the value, the larger of two, and at least `least`."""
    return max(least, (2 * value + of) // (2 * of) * of)

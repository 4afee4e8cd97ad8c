"""C-ViViT + MAGVIT: a 3D CNN over blocks of frames, then causal attention (thesis 5.3.2, Fig. 5.2b)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.axial import INIT, AxialTransformer
from magvit_jax.nn.transformer import Dense, LayerNorm
from magvit_jax.ops.conv3d.api import Padding
from magvit_jax.tokenizer import magvit
from magvit_jax.tokenizer.cvivit import check_heads
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
from magvit_jax.typing import Array, Dtype


class CViViTMagvit(TokenizerModel):
    """Causal video autoencoder: MAGVIT's CNN within blocks of s frames, causal attention from block to block.

    A clip of 1 + s t frames is the first frame by itself and t blocks of s frames. The CNN, which looks both
    ways in time, sees one of them at a time; its norms' statistics are those of the block. The transformer
    attends at one position of the latents to that position's past. Its positions in time are learned, so
    clips can be no longer than it was made for; any height and width that the strides divide will do.

    Attributes:
      frames: most frames of a clip, 1 + s t.
      base_channels, channel_multipliers, temporal_downsample, blocks, mid_blocks, padding, norm_groups: of
        the CNN, as in `magvit.Magvit`.
      width, heads, mlp_dim: of the transformer layers; the CNN ends and begins in `width` channels.
      temporal_layers: in the encoder, and as many in the decoder.
      quantizer: of the latents.
      remat: recompute blocks and layers in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    frames: int
    base_channels: int
    channel_multipliers: Sequence[int]
    temporal_downsample: Sequence[bool]
    blocks: int
    mid_blocks: int
    width: int
    heads: int
    mlp_dim: int
    temporal_layers: int
    quantizer: Quantizer
    padding: Padding = "reflect"
    norm_groups: int = 32
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        check_heads(self.width, self.heads)
        self._magvit()  # whose checks of its fields hold here too
        if self.frames < 1 or (self.frames - 1) % self.compression[0]:
            raise UserError(
                f"model.frames is {self.frames}: expected 1 + a multiple of {self.compression[0]}"
            )

    def setup(self):
        time = dict(
            axis="time",
            positions=1 + (self.frames - 1) // self.compression[0],
            layers=self.temporal_layers,
            heads=self.heads,
            mlp_dim=self.mlp_dim,
            remat=self.remat,
            dtype=self.dtype,
        )
        cnn = self._magvit().stage
        shared = dict(stride=self.compression[0], width=self.width, cnn=cnn, time=time, dtype=self.dtype)
        self.encoder = Encoder(features=self.quantizer.width, **shared)
        self.decoder = Decoder(**shared)

    @property
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""
        return self._magvit().compression

    @property
    def leading_frame(self) -> bool:
        return True

    @property
    def causal(self) -> bool:
        return True

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Shape (t, h, w) of the ids of a clip.

        Raises:
          UserError: a size that the strides do not divide, or more frames than there are positions for.
        """
        shape = super().latent_shape(frames, height, width)
        self._check_positions(shape[0], f"{frames} frames")
        return shape

    def decode(self, codes_BthwD: Array) -> Array:
        """See `TokenizerModel.decode`; no more frames than `latent_shape` allows."""
        t = codes_BthwD.shape[1]
        self._check_positions(t, f"{t} latent frames")
        return super().decode(codes_BthwD)

    def _check_positions(self, t: int, what: str) -> None:
        most = 1 + (self.frames - 1) // self.compression[0]
        if t > most:
            raise UserError(
                f"cannot tokenize {what}: the learned position embeddings are for clips of at most "
                f"{self.frames} frames, {most} latent ones (model.frames)"
            )

    def _magvit(self) -> magvit.Magvit:
        """The tokenizer whose CNN this is, for its checks and its strides."""
        return magvit.Magvit(
            base_channels=self.base_channels,
            channel_multipliers=self.channel_multipliers,
            temporal_downsample=self.temporal_downsample,
            blocks=self.blocks,
            mid_blocks=self.mid_blocks,
            quantizer=None,  # its encoder and decoder need none
            padding=self.padding,
            norm_groups=self.norm_groups,
            remat=self.remat,
            dtype=self.dtype,
            parent=None,
        )


class _Stage(nn.Module):
    """What the encoder and the decoder have in common."""

    stride: int
    width: int
    cnn: dict
    time: dict
    dtype: Dtype

    def attend(self, x_BthwD: Array) -> Array:
        x_BthwD = AxialTransformer(**self.time, name="time")(x_BthwD.astype(self.dtype))
        return LayerNorm(self.dtype, name="norm_out")(x_BthwD)


class Encoder(_Stage):
    """Pixels in [-1, 1] to latents: the CNN on each block, then the transformer."""

    features: int = 18

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        cnn = magvit.MagvitEncoder(width=self.width, **self.cnn, name="cnn")
        b, frames, *area = x_BTHWC.shape
        x_BthwD = cnn(x_BTHWC[:, :1])
        if frames > 1:
            # Blocks are examples to the CNN: nothing of it passes from one to the next.
            blocks_NTHWC = x_BTHWC[:, 1:].reshape(-1, self.stride, *area)
            rest_BthwD = cnn(blocks_NTHWC).reshape(b, -1, *x_BthwD.shape[2:])
            x_BthwD = jnp.concatenate([x_BthwD, rest_BthwD], axis=1)
        out = Dense(self.features, ("embed", None), INIT, self.dtype, name="codes_out")
        return out(self.attend(x_BthwD)).astype(jnp.float32)


class Decoder(_Stage):
    """Codes to pixels in [-1, 1]: the transformer, then the CNN on each latent frame.

    The first latent frame becomes s frames like the others; as in the causal CNN the first s - 1 are dropped.
    """

    @nn.compact
    def __call__(self, codes_BthwD: Array) -> Array:
        b, t, h, w, _ = codes_BthwD.shape
        dense_in = Dense(
            self.width, (None, "embed"), nn.initializers.lecun_normal(), self.dtype, name="codes_in"
        )
        x_BthwD = self.attend(dense_in(codes_BthwD))
        cnn = magvit.MagvitDecoder(width=3, **self.cnn, name="cnn")
        blocks_NTHWC = cnn(x_BthwD.reshape(b * t, 1, h, w, self.width))
        x_BTHWC = blocks_NTHWC.reshape(b, t * self.stride, *blocks_NTHWC.shape[2:])
        return x_BTHWC[:, self.stride - 1 :]

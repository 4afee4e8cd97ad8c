"""C-ViViT, the transformer tokenizer that the causal 3D CNN is compared with (thesis 5.3.2, Fig. 5.2a).

After Phenaki: patches of pixels, full attention within a frame, causal attention over time, and the same
backwards.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.axial import INIT, AxialTransformer
from magvit_jax.nn.resample import depth_to_space
from magvit_jax.nn.transformer import Dense, LayerNorm
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
from magvit_jax.typing import Array, Dtype


class CViViT(TokenizerModel):
    """Causal video autoencoder of transformer layers only; an image is a one-frame video.

    A clip of 1 + s t frames becomes 1 + t latent frames. The first frame has a patch embedding of its own.
    Positions are learned, so the model works at the height and width that it was made for and at no other,
    and on clips that are no longer: the first of the two drawbacks that the thesis names.

    Attributes:
      clip: (frames, height, width) in pixels that the position embeddings are made for.
      patch: (time, height, width) in pixels of a token.
      width, heads, mlp_dim: of all transformer layers.
      spatial_layers, temporal_layers: in the encoder, and as many in the decoder.
      quantizer: of the latents.
      remat: recompute layers in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    clip: Sequence[int]
    patch: Sequence[int]
    width: int
    heads: int
    mlp_dim: int
    spatial_layers: int
    temporal_layers: int
    quantizer: Quantizer
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        for name in ("clip", "patch"):
            check_size(name, getattr(self, name))
        check_heads(self.width, self.heads)

    def setup(self):
        t, h, w = super().latent_shape(*self.clip)
        layers = dict(heads=self.heads, mlp_dim=self.mlp_dim, remat=self.remat, dtype=self.dtype)
        space = dict(axis="space", positions=h * w, layers=self.spatial_layers, **layers)
        time = dict(axis="time", positions=t, layers=self.temporal_layers, **layers)
        shared = dict(patch=tuple(self.patch), width=self.width, space=space, time=time, dtype=self.dtype)
        self.encoder = Encoder(features=self.quantizer.width, **shared)
        self.decoder = Decoder(**shared)

    @property
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""
        time, height, width = self.patch
        return time, height, width

    @property
    def leading_frame(self) -> bool:
        return True

    @property
    def causal(self) -> bool:
        return True

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Shape (t, h, w) of the ids of a clip.

        Raises:
          UserError: a size that the patches do not divide, or that there are no position embeddings for.
        """
        shape = super().latent_shape(frames, height, width)
        self._check_positions(shape, f"{frames} frames of {height}x{width}")
        return shape

    def decode(self, codes_BthwD: Array) -> Array:
        """See `TokenizerModel.decode`; the same sizes as in `latent_shape`."""
        t, h, w = codes_BthwD.shape[1:4]
        self._check_positions((t, h, w), f"{t}x{h}x{w} tokens")
        return super().decode(codes_BthwD)

    def _check_positions(self, shape: tuple[int, int, int], what: str) -> None:
        most, *size = super().latent_shape(*self.clip)
        if list(shape[1:]) != size or shape[0] > most:
            frames, height, width = self.clip
            raise UserError(
                f"cannot tokenize {what}: the learned position embeddings are for clips of {height}x{width} "
                f"and at most {frames} frames (model.clip)"
            )


def check_size(name: str, size: Sequence[int]) -> None:
    """Raises UserError unless `size` is (time, height, width), each 1 or more."""
    if not isinstance(size, Sequence) or len(size) != 3 or min(size) < 1:
        raise UserError(f"model.{name} is {size!r}: expected (time, height, width), each 1 or more")


def check_heads(width: int, heads: int) -> None:
    """Raises UserError unless the heads divide the width."""
    if heads < 1 or width % heads:
        raise UserError(f"model.heads is {heads}: expected a divisor of the width {width}")


class _Stage(nn.Module):
    """What the encoder and the decoder have in common."""

    patch: tuple[int, int, int]
    width: int
    space: dict
    time: dict
    dtype: Dtype

    def dense(self, features: int, name: str, names: tuple[str | None, str | None]) -> Dense:
        init = nn.initializers.lecun_normal() if names[0] is None else INIT
        return Dense(features, names, init, self.dtype, name=name)


class Encoder(_Stage):
    """Pixels in [-1, 1] to latents: patches, spatial layers, causal temporal layers."""

    features: int = 18

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        _, height, width = self.patch
        first = space_to_depth(x_BTHWC[:, :1], (1, height, width))
        first = self.dense(self.width, "embed_first", (None, "embed"))(first)
        rest = self.dense(self.width, "embed_rest", (None, "embed"))(
            space_to_depth(x_BTHWC[:, 1:], self.patch)
        )
        x_BthwD = jnp.concatenate([first, rest], axis=1)
        x_BthwD = AxialTransformer(**self.space, name="space")(x_BthwD)
        x_BthwD = AxialTransformer(**self.time, name="time")(x_BthwD)
        x_BthwD = LayerNorm(self.dtype, name="norm_out")(x_BthwD)
        return self.dense(self.features, "codes_out", ("embed", None))(x_BthwD).astype(jnp.float32)


class Decoder(_Stage):
    """Codes to pixels in [-1, 1]: causal temporal layers, spatial layers, patches."""

    @nn.compact
    def __call__(self, codes_BthwD: Array) -> Array:
        x_BthwD = self.dense(self.width, "codes_in", (None, "embed"))(codes_BthwD)
        x_BthwD = AxialTransformer(**self.time, name="time")(x_BthwD)
        x_BthwD = AxialTransformer(**self.space, name="space")(x_BthwD)
        x_BthwD = LayerNorm(self.dtype, name="norm_out")(x_BthwD)
        time, height, width = self.patch
        pixels = 3 * height * width
        first = self.dense(pixels, "pixels_first", ("embed", None))(x_BthwD[:, :1])
        rest = self.dense(time * pixels, "pixels_rest", ("embed", None))(x_BthwD[:, 1:])
        frames = [depth_to_space(first, (1, height, width)), depth_to_space(rest, self.patch)]
        return jnp.concatenate(frames, axis=1).astype(jnp.float32)


def space_to_depth(x_BTHWC: Array, block: Sequence[int]) -> Array:
    """Folds blocks of frames and pixels into channels, (time, height, width, C): undoes `depth_to_space`."""
    bt, bh, bw = block
    b, t, h, w, c = x_BTHWC.shape
    x = x_BTHWC.reshape(b, t // bt, bt, h // bh, bh, w // bw, bw, c)
    return x.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, t // bt, h // bh, w // bw, bt * bh * bw * c)

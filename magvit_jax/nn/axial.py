"""Transformer layers over one axis of video latents: the positions of a frame, or the past of a position."""

from typing import Literal

import flax.linen as nn

from magvit_jax.nn.attention import Mask
from magvit_jax.nn.transformer import EncoderLayer
from magvit_jax.partitioning import param
from magvit_jax.typing import Array, Dtype

INIT = nn.initializers.truncated_normal(stddev=0.02)


class AxialTransformer(nn.Module):
    """Pre-norm transformer layers over space or over time, after learned position embeddings.

    Over "space", every position of a frame sees the whole frame and no other one. Over "time", a position
    sees itself in its own frame and in those before it: frame i depends on the frames 0 .. i only, exactly.

    Attributes:
      axis: "space" or "time".
      positions: embeddings to learn: h w of them over space, exactly as many as a frame has; t over time,
        where a shorter clip takes the first ones.
      layers, heads, mlp_dim: of the transformer; the width is the input's.
      remat: recompute each layer in the backward pass instead of keeping its activations.
      dtype: of the matmuls; parameters, norms and softmax are float32.
    """

    axis: Literal["space", "time"]
    positions: int
    layers: int
    heads: int
    mlp_dim: int
    remat: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BthwD: Array) -> Array:
        """[B, t, h, w, D] -> [B, t, h, w, D]."""
        b, t, h, w, width = x_BthwD.shape
        x_BtPD = x_BthwD.reshape(b, t, h * w, width)
        if self.axis == "space":
            x_BLD = self._layers(x_BtPD.reshape(b * t, h * w, width), mask=None)
            return x_BLD.reshape(b, t, h, w, width)
        x_BLD = self._layers(x_BtPD.swapaxes(1, 2).reshape(b * h * w, t, width), Mask.causal())
        return x_BLD.reshape(b, h * w, t, width).swapaxes(1, 2).reshape(b, t, h, w, width)

    def _layers(self, x_BLD: Array, mask: Mask | None) -> Array:
        shape = (self.positions, x_BLD.shape[-1])
        positions_LD = self.param("position_embedding", param(INIT, "position", "embed"), shape)
        positions_LD = positions_LD[: x_BLD.shape[1]].astype(x_BLD.dtype)
        x_BLD = x_BLD + positions_LD[None]
        layer = nn.remat(EncoderLayer, static_argnums=(2,)) if self.remat else EncoderLayer
        for index in range(self.layers):
            x_BLD = layer(
                heads=self.heads,
                mlp_dim=self.mlp_dim,
                dropout=0.0,
                attention_dropout=0.0,
                norm="pre",
                kernel_init=INIT,
                dtype=self.dtype,
                name=f"layer_{index}",
            )(x_BLD, True, mask)
        return x_BLD

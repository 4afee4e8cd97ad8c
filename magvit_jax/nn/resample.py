"""Changing the resolution of video: strided convolution down, depth-to-space up, patches (thesis 5.3.2)."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.typing import Array, Dtype


def space_to_depth(x_BTHWC: Array, patch: int) -> Array:
    """Folds patches of `patch` x `patch` pixels into channels: [B,T,H,W,C] -> [B,T,H/p,W/p,p p C]."""
    b, t, h, w, c = x_BTHWC.shape
    x = x_BTHWC.reshape(b, t, h // patch, patch, w // patch, patch, c)
    return x.transpose(0, 1, 2, 4, 3, 5, 6).reshape(b, t, h // patch, w // patch, patch * patch * c)


def depth_to_space(x_BTHWC: Array, block: Sequence[int]) -> Array:
    """Unfolds channels, ordered (time, height, width, C), into a block of frames and pixels."""
    bt, bh, bw = block
    b, t, h, w, depth = x_BTHWC.shape
    c = depth // (bt * bh * bw)
    x = x_BTHWC.reshape(b, t, h, w, bt, bh, bw, c)
    return x.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, t * bt, h * bh, w * bw, c)


class Downsample(nn.Module):
    """Strided causal 3x3x3 convolution: 1 + s t frames become 1 + t."""

    strides: Sequence[int]
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        return CausalConv3D(x_BTHWC.shape[-1], strides=self.strides, dtype=self.dtype, name="conv")(x_BTHWC)


class Upsample(nn.Module):
    """Causal convolution and depth-to-space; the first s - 1 frames are dropped, so 1 + t frames become 1 + s t."""

    strides: Sequence[int]
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        st, sh, sw = self.strides
        x = CausalConv3D(x_BTHWC.shape[-1] * st * sh * sw, dtype=self.dtype, name="conv")(x_BTHWC)
        return depth_to_space(x, self.strides)[:, st - 1 :]

"""Changing the resolution of video (thesis 5.3.2): strided convolution or pooling down, depth-to-space or
repetition up, patches."""

import math
from collections.abc import Sequence
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.nn.stream import continues
from magvit_jax.typing import Array, Dtype

KeptFrame = Literal["last", "first"]


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


def average_pool(x_BTHWC: Array, strides: Sequence[int], later: bool = False) -> Array:
    """Means over blocks of `strides` (time, height, width): 1 + s t frames become 1 + t.

    The first frame has a mean of its own, then every s frames: nothing looks ahead, and no padding counts. A
    `later` chunk of a stream has no first frame: s t frames become t.
    """
    st, sh, sw = strides
    b, t, h, w, c = x_BTHWC.shape
    x = x_BTHWC.reshape(b, t, h // sh, sh, w // sw, sw, c).mean((3, 5))
    if st == 1:
        return x
    first = 0 if later else 1
    blocks = x[:, first:].reshape(b, (t - first) // st, st, *x.shape[2:]).mean(2)
    return jnp.concatenate([x[:, :first], blocks], axis=1)


def drop_leading(x_BTHWC: Array, stride: int, kept: KeptFrame) -> Array:
    """(1 + t) s frames to 1 + s t: of the s frames made of the first, the "last" or the "first" is kept."""
    if kept == "last":
        return x_BTHWC[:, stride - 1 :]
    return jnp.concatenate([x_BTHWC[:, :1], x_BTHWC[:, stride:]], axis=1)


class Downsample(nn.Module):
    """Strided causal convolution: 1 + s t frames become 1 + t."""

    strides: Sequence[int]
    dtype: Dtype = jnp.float32
    kernel: Sequence[int] = (3, 3, 3)

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        conv = CausalConv3D(x_BTHWC.shape[-1], self.kernel, self.strides, dtype=self.dtype, name="conv")
        return conv(x_BTHWC)


class AveragePool(nn.Module):
    """`average_pool` as a layer, in place of `Downsample`: what MAGVIT had before (5.3.2)."""

    strides: Sequence[int]

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        return average_pool(x_BTHWC, self.strides, continues(self))


class Upsample(nn.Module):
    """Causal convolution and depth-to-space; all but one of the first s frames are dropped, so that 1 + t frames
    become 1 + s t. The thesis keeps the last of them, Open-MAGVIT2 the first. A later chunk drops nothing."""

    strides: Sequence[int]
    dtype: Dtype = jnp.float32
    kernel: Sequence[int] = (3, 3, 3)
    kept_frame: KeptFrame = "last"

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        features = x_BTHWC.shape[-1] * math.prod(self.strides)
        x = CausalConv3D(features, self.kernel, dtype=self.dtype, name="conv")(x_BTHWC)
        x = depth_to_space(x, self.strides)
        return x if continues(self) else drop_leading(x, self.strides[0], self.kept_frame)


class NearestUpsample(nn.Module):
    """Frames and pixels repeated, the first s - 1 frames dropped, then a causal convolution, in place of
    `Upsample`: what MAGVIT had before (5.3.2). A later chunk drops nothing."""

    strides: Sequence[int]
    dtype: Dtype = jnp.float32
    kernel: Sequence[int] = (3, 3, 3)

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        for axis, times in enumerate(self.strides, start=1):
            x_BTHWC = jnp.repeat(x_BTHWC, times, axis=axis)
        if not continues(self):
            x_BTHWC = drop_leading(x_BTHWC, self.strides[0], "last")
        return CausalConv3D(x_BTHWC.shape[-1], self.kernel, dtype=self.dtype, name="conv")(x_BTHWC)

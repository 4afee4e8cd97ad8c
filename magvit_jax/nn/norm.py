"""Group normalisation of video, plain and adaptive, with statistics that keep the network causal."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.partitioning import param
from magvit_jax.typing import Array, Dtype

Statistics = Literal["frame", "clip"]


def normalize_groups(x_BTHWC: Array, groups: int, statistics: Statistics, eps: float) -> Array:
    """Zero mean and unit variance over each group of channels, in float32.

    With "frame" the moments are taken over (H, W, channels of the group) of one frame: a frame never sees another
    one. With "clip" they are also taken over T, as the 3D-VQ of ch. 3 does, which is not causal.
    """
    *lead, channels = x_BTHWC.shape
    x = x_BTHWC.astype(jnp.float32).reshape(*lead, groups, channels // groups)
    axes = (2, 3, 5) if statistics == "frame" else (1, 2, 3, 5)
    mean = x.mean(axes, keepdims=True)
    # Two passes: E[x^2] - E[x]^2 loses all its digits on a flat frame, which video has many of.
    x = x - mean
    variance = jnp.square(x).mean(axes, keepdims=True)
    return (x * jax.lax.rsqrt(variance + eps)).reshape(x_BTHWC.shape)


class GroupNorm(nn.Module):
    """Group normalisation with a learned scale and bias per channel.

    Attributes:
      groups: number of groups; must divide the channels.
      statistics: "frame" (causal, the default) or "clip" (over time too).
      eps: added to the variance.
    """

    groups: int = 32
    statistics: Statistics = "frame"
    eps: float = 1e-6
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        channels = x_BTHWC.shape[-1]
        scale = self.param("scale", param(initializers.ones, "norm"), (channels,))
        bias = self.param("bias", param(initializers.zeros, "norm"), (channels,))
        x = normalize_groups(x_BTHWC, self.groups, self.statistics, self.eps)
        x = x * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(bias, x.shape)
        return x.astype(self.dtype)


def align_latents(z_BthwK: Array, frames: int, height: int, width: int) -> Array:
    """Repeats latents to the time and space of a decoder level: the inverse of causal subsampling.

    Frame 0 of the level shows latent frame 0; with temporal rate s the frames 1 + s (i-1) .. s i show latent frame
    i, so a frame never sees a latent of its future.
    """
    _, t, h, w, _ = z_BthwK.shape
    rate = 1 if t == 1 else (frames - 1) // (t - 1)
    z = jnp.repeat(z_BthwK, rate, axis=1)[:, rate - 1 :]
    return jnp.repeat(jnp.repeat(z, height // h, axis=2), width // w, axis=3)


class AdaptiveGroupNorm(nn.Module):
    """Group normalisation whose scale and bias are predicted from the quantized latents (5.3.2, after StyleGAN).

    The latents of a frame are pooled over space ("pooled", one style a frame) or repeated to every pixel
    ("spatial"); a linear layer gives the scale, around one, and the bias.
    """

    groups: int = 32
    control: Literal["pooled", "spatial"] = "pooled"
    statistics: Statistics = "frame"
    eps: float = 1e-6
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array, z_BthwK: Array) -> Array:
        _, frames, height, width, channels = x_BTHWC.shape
        if self.control == "pooled":
            z_BthwK = z_BthwK.mean((2, 3), keepdims=True)
            height, width = 1, 1
        style = nn.Dense(
            2 * channels,
            kernel_init=param(initializers.normal(0.02), "conv_in", "conv_out"),
            bias_init=param(initializers.zeros, "conv_out"),
            dtype=self.dtype,
            name="style",
        )(z_BthwK.astype(self.dtype))
        style = align_latents(style, frames, height, width).astype(jnp.float32)
        scale, bias = jnp.split(style, 2, axis=-1)
        x = normalize_groups(x_BTHWC, self.groups, self.statistics, self.eps)
        x = x * jnp.broadcast_to(1.0 + scale, x.shape) + jnp.broadcast_to(bias, x.shape)
        return x.astype(self.dtype)

"""Group normalisation of video, plain and adaptive, with statistics that keep the network causal."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import continues
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


def align_latents(z_BthwK: Array, frames: int, height: int, width: int, later: bool = False) -> Array:
    """Repeats latents to the time and space of a decoder level: the inverse of causal subsampling.

    Frame 0 of the level shows latent frame 0; with temporal rate s the frames 1 + s (i-1) .. s i show latent frame
    i, so a frame never sees a latent of its future. A `later` chunk of a stream has no frame 0: s frames a latent.
    """
    _, t, h, w, _ = z_BthwK.shape
    if later:
        z = jnp.repeat(z_BthwK, frames // t, axis=1)
    else:
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
        style = align_latents(style, frames, height, width, continues(self)).astype(jnp.float32)
        scale, bias = jnp.split(style, 2, axis=-1)
        x = normalize_groups(x_BTHWC, self.groups, self.statistics, self.eps)
        x = x * jnp.broadcast_to(1.0 + scale, x.shape) + jnp.broadcast_to(bias, x.shape)
        return x.astype(self.dtype)


def latent_moments(z_BthwK: Array, statistics: Statistics, eps: float) -> tuple[Array, Array]:
    """Mean and standard deviation of every channel, float32: [B,t,1,1,K] over the positions of a latent frame
    ("frame"), [B,1,1,1,K] over those of all of them ("clip").

    The variance is the unbiased one, a sum over n positions divided by n - 1, plus `eps` before the root.

    Raises:
      UserError: there is one position only, which has no such variance.
    """
    axes = (2, 3) if statistics == "frame" else (1, 2, 3)
    positions = math.prod(z_BthwK.shape[axis] for axis in axes)
    if positions < 2:
        raise UserError(
            f"latents of shape {z_BthwK.shape}: adaptive_norm 'moments' needs the variance of two positions or more"
        )
    z_BthwK = z_BthwK.astype(jnp.float32)
    mean = z_BthwK.mean(axes, keepdims=True)
    variance = jnp.square(z_BthwK - mean).sum(axes, keepdims=True) / (positions - 1)
    return mean, jnp.sqrt(variance + eps)


class MomentsGroupNorm(nn.Module):
    """Group normalisation steered by moments of the latents: gamma(std) * norm(x) + beta(mean), both linear.

    That is Open-MAGVIT2's reading of 5.3.2; no one is added to the scale. With "clip" statistics the moments are
    those of all latents. With "frame" those of a latent frame steer the frames that it became: a decoder stays
    causal.
    """

    groups: int = 32
    statistics: Statistics = "clip"
    eps: float = 1e-6
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array, z_BthwK: Array) -> Array:
        frames, channels = x_BTHWC.shape[1], x_BTHWC.shape[-1]
        mean, std = latent_moments(z_BthwK, self.statistics, self.eps)
        # The bias of one makes the layer a plain normalisation at first; the latents move it from there.
        scale = self._linear("gamma", channels, initializers.ones)(std.astype(self.dtype))
        bias = self._linear("beta", channels, initializers.zeros)(mean.astype(self.dtype))
        if self.statistics == "frame":
            later = continues(self)
            scale, bias = (align_latents(style, frames, 1, 1, later) for style in (scale, bias))
        x = normalize_groups(x_BTHWC, self.groups, self.statistics, self.eps)
        scale, bias = (jnp.broadcast_to(style.astype(jnp.float32), x.shape) for style in (scale, bias))
        return (x * scale + bias).astype(self.dtype)

    def _linear(self, name: str, features: int, bias_init: initializers.Initializer) -> nn.Dense:
        return nn.Dense(
            features,
            kernel_init=param(initializers.normal(0.02), "conv_in", "conv_out"),
            bias_init=param(bias_init, "conv_out"),
            dtype=self.dtype,
            name=name,
        )

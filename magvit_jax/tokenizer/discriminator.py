"""The discriminator of the tokenizers: StyleGAN's, inflated to 3D (thesis 3.2.1, 3.3.1, 5.3.2)."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.nn.blur import blur_pool
from magvit_jax.nn.conv3d import Conv3D
from magvit_jax.nn.pool import average_pool
from magvit_jax.nn.resblock import VIDEO_AXES
from magvit_jax.partitioning import constrain, param
from magvit_jax.typing import Array, Dtype

Pooling = Literal["average", "blur"]
POOLS = {"average": average_pool, "blur": blur_pool}
SLOPE = 0.2  # of the leaky ReLU below zero


class Discriminator(nn.Module):
    """Pixels to one logit a clip, or a frame: above zero for real ones.

    It looks both ways in time, and no example of a batch sees another: there is no normalisation, and a penalty on the
    slope of the summed logits is one on the slope of each.

    Attributes:
      base_channels: of the first convolution; 64 beside the tokenizer B, 128 beside L and MAGVIT-v2.
      channel_multipliers: one a residual block, each of which halves time and space and rounds up. Published:
        (2, 4, 4, 4, 4) for 128x128 pixels, (2, 4, 4, 4) for 64x64.
      pooling: "average" (ch. 3) or "blur" (5.3.2).
      dims: 3, or 2 for an image model, to which a clip is so many independent images.
      remat: recompute residual blocks in the backward passes instead of storing them.
      dtype: compute dtype; the last two layers are float32.
    """

    base_channels: int
    channel_multipliers: Sequence[int]
    pooling: Pooling = "average"
    dims: int = 3
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if self.pooling not in get_args(Pooling):
            raise UserError(f"discriminator.pooling: {self.pooling!r}; expected one of {', '.join(POOLS)}")
        if self.dims not in (2, 3):
            raise UserError(f"discriminator.dims: {self.dims}; expected 2 or 3")
        sizes = (self.base_channels, *self.channel_multipliers)
        if not self.channel_multipliers or min(sizes) < 1:
            raise UserError(
                f"discriminator: base_channels {self.base_channels} and channel_multipliers "
                f"{tuple(self.channel_multipliers)}; expected one multiplier or more, all numbers 1 or more"
            )

    @nn.compact
    def __call__(self, video_BTHWC: Array) -> Array:
        """Float pixels around [0, 1], [B, T, H, W, 3], to logits: float32 [B], or with `dims` 2 [B T].

        Any T, H and W will do, but always the same ones: the dense layers see every position.
        """
        if self.dims == 2:
            video_BTHWC = video_BTHWC.reshape(-1, 1, *video_BTHWC.shape[2:])
        kernel = (3 if self.dims == 3 else 1, 3, 3)
        block = nn.remat(Block) if self.remat else Block
        x = _conv(self.base_channels, kernel, self.dtype, "conv_in")(video_BTHWC)
        x = nn.leaky_relu(x, SLOPE)
        for i, multiplier in enumerate(self.channel_multipliers):
            features = self.base_channels * multiplier
            x = block(features, kernel, self.pooling, self.dtype, name=f"block{i}")(x)
        x = nn.leaky_relu(_conv(x.shape[-1], kernel, self.dtype, "conv_out")(x), SLOPE)
        features = x.shape[-1]
        x_BF = x.reshape(x.shape[0], -1)
        x_BF = x_BF.astype(jnp.float32) if jnp.finfo(x.dtype).bits < 32 else x_BF
        x_BF = constrain(x_BF, "activation_batch", "activation_embed")
        x_BF = nn.leaky_relu(_dense(features, "dense", "conv_out")(x_BF), SLOPE)
        x_BF = constrain(x_BF, "activation_batch", "activation_embed")
        return _dense(1, "logit", None)(x_BF).squeeze(-1)


class Block(nn.Module):
    """conv, pool, conv, and a shortcut that is pooled and then projected; their sum over sqrt 2."""

    features: int
    kernel: Sequence[int]
    pooling: Pooling
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> Array:
        def pool(x: Array) -> Array:
            return POOLS[self.pooling](x, (2 if self.kernel[0] > 1 else 1, 2, 2))

        h = nn.leaky_relu(_conv(x_BTHWC.shape[-1], self.kernel, self.dtype, "conv1")(x_BTHWC), SLOPE)
        h = nn.leaky_relu(_conv(self.features, self.kernel, self.dtype, "conv2")(pool(h)), SLOPE)
        shortcut = _conv(self.features, (1, 1, 1), self.dtype, "shortcut", use_bias=False)(pool(x_BTHWC))
        return constrain((shortcut + h) * math.sqrt(0.5), *VIDEO_AXES)


def _conv(features: int, kernel: Sequence[int], dtype: Dtype, name: str, use_bias: bool = True) -> Conv3D:
    init = initializers.xavier_uniform()
    return Conv3D(features, tuple(kernel), use_bias=use_bias, kernel_init=init, dtype=dtype, name=name)


def _dense(features: int, name: str, out_axis: str | None) -> nn.Dense:
    return nn.Dense(
        features,
        kernel_init=param(initializers.xavier_uniform(), "conv_in", out_axis),
        bias_init=param(initializers.zeros, out_axis),
        name=name,
    )

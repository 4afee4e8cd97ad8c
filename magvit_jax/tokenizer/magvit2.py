"""The MAGVIT-v2 tokenizer: a causal 3D CNN around a lookup-free quantizer (thesis 5.3, Fig. 5.4)."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.nn.norm import AdaptiveGroupNorm, MomentsGroupNorm, Statistics
from magvit_jax.nn.resample import (
    AveragePool,
    Downsample,
    KeptFrame,
    NearestUpsample,
    Upsample,
    depth_to_space,
    space_to_depth,
)
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import Quantizer
from magvit_jax.tokenizer.stages import Decoder, Encoder, require_choice, require_groups
from magvit_jax.typing import Array, Dtype

AdaptiveNorm = Literal["pooled", "spatial", "moments", "none"]
Downsampler = Literal["strided", "average"]
Upsampler = Literal["depth_to_space", "nearest"]
CHOICES = dict(
    adaptive_norm=get_args(AdaptiveNorm),
    statistics=get_args(Statistics),
    downsampler=get_args(Downsampler),
    upsampler=get_args(Upsampler),
    kept_frame=get_args(KeptFrame),
)


class MagvitV2(TokenizerModel):
    """Causal video autoencoder; an image is a one-frame video.

    A clip of 1 + s t frames becomes 1 + t latent frames, and latent frame i depends on
    the frames 0 .. s i only, exactly: padding, strides and the statistics of normalisation are all causal.

    Attributes:
      base_channels: channels of the first level.
      channel_multipliers: one a level.
      strides: (time, height, width) of the resampling after every level but the last. The published model halves
        space three times and time late: ((1, 2, 2), (2, 2, 2), (2, 2, 2)).
      blocks: residual blocks a level; mid_blocks: residual blocks at the lowest resolution.
      quantizer: of the latents; the published one is lookup-free.
      patch: side of the square of pixels that the first layer sees as one position; 1 is the published model.
      adaptive_norm: how the quantized latents steer the decoder ("pooled", "spatial", "moments"), or "none".
      norm_groups, statistics: of group normalisation; "clip" statistics give up causality.
      downsampler, upsampler: strided convolution and depth-to-space are the published model's, average pooling and
        nearest resizing with a convolution those of MAGVIT before it (Tab. 5.7b, c).
      kept_frame: of the s frames that depth-to-space makes of the first latent frame; the thesis keeps the last.
      time_kernel: extent in time of the convolutions. 1 is an image model: it treats every frame by itself.
      stem_bias: whether the encoder's first convolution has a bias.
      remat: recompute residual blocks in the backward pass instead of storing them.
      dtype: compute dtype.
    """

    base_channels: int
    channel_multipliers: Sequence[int]
    strides: Sequence[Sequence[int]]
    blocks: int
    mid_blocks: int
    quantizer: Quantizer
    patch: int = 1
    adaptive_norm: AdaptiveNorm = "pooled"
    norm_groups: int = 32
    statistics: Statistics = "frame"
    downsampler: Downsampler = "strided"
    upsampler: Upsampler = "depth_to_space"
    kept_frame: KeptFrame = "last"
    time_kernel: int = 3
    stem_bias: bool = True
    remat: bool = False
    dtype: Dtype = jnp.float32

    def __post_init__(self):
        super().__post_init__()
        if len(self.strides) != len(self.channel_multipliers) - 1:
            raise UserError(
                f"strides has {len(self.strides)} entries, expected one less than the "
                f"{len(self.channel_multipliers)} channel_multipliers"
            )
        for stride in self.strides:
            if not isinstance(stride, Sequence) or len(stride) != 3 or min(stride) < 1:
                raise UserError(f"strides has {stride!r}, expected (time, height, width), each 1 or more")
        if self.time_kernel < 1 or (self.time_kernel == 1 and any(stride[0] > 1 for stride in self.strides)):
            raise UserError(
                f"time_kernel is {self.time_kernel}, expected 1 or more, and above 1 with strides that step in time"
            )
        for field, choices in CHOICES.items():
            require_choice(field, getattr(self, field), choices)
        require_groups(self.norm_groups, self.base_channels, self.channel_multipliers)

    def setup(self):
        shared = dict(
            base_channels=self.base_channels,
            channel_multipliers=tuple(self.channel_multipliers),
            strides=tuple(map(tuple, self.strides)),
            blocks=self.blocks,
            mid_blocks=self.mid_blocks,
            kernel=(self.time_kernel, 3, 3),
            conv=CausalConv3D,
            norm_groups=self.norm_groups,
            statistics=self.statistics,
            remat=self.remat,
            dtype=self.dtype,
            patch=self.patch,
        )
        self.encoder = CausalEncoder(
            width=self.quantizer.width, downsampler=self.downsampler, stem_bias=self.stem_bias, **shared
        )
        self.decoder = CausalDecoder(
            width=3 * self.patch**2,
            adaptive_norm=self.adaptive_norm,
            upsampler=self.upsampler,
            kept_frame=self.kept_frame,
            **shared,
        )

    @property
    def compression(self) -> tuple[int, int, int]:
        """Pixels a token spans (time, height, width)."""
        time, height, width = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return time, height * self.patch, width * self.patch

    @property
    def leading_frame(self) -> bool:
        return True

    @property
    def causal(self) -> bool:
        return self.statistics == "frame"

    @property
    def streams(self) -> bool:
        return self.causal


class CausalEncoder(Encoder):
    """Folds patches, and downsamples by a strided convolution or means."""

    patch: int
    downsampler: Downsampler

    def fold(self, x_BTHWC: Array) -> Array:
        return space_to_depth(x_BTHWC, self.patch)

    def downsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        if self.downsampler == "average":
            return AveragePool(strides, name=name)(x)
        return Downsample(strides, self.dtype, self.kernel, name=name)(x)


class CausalDecoder(Decoder):
    """Upsamples by depth-to-space or repetition; the codes steer an adaptive group norm at every resolution."""

    patch: int
    adaptive_norm: AdaptiveNorm
    upsampler: Upsampler
    kept_frame: KeptFrame

    def upsample(self, x: Array, strides: Sequence[int], name: str) -> Array:
        if self.upsampler == "nearest":
            return NearestUpsample(strides, self.dtype, self.kernel, name=name)(x)
        return Upsample(strides, self.dtype, self.kernel, self.kept_frame, name=name)(x)

    def adapt(self, x: Array, codes_BthwD: Array, name: str) -> Array:
        shared = dict(groups=self.norm_groups, statistics=self.statistics, dtype=self.dtype, name=name)
        if self.adaptive_norm == "none":
            return x
        if self.adaptive_norm == "moments":
            return MomentsGroupNorm(**shared)(x, codes_BthwD)
        return AdaptiveGroupNorm(control=self.adaptive_norm, **shared)(x, codes_BthwD)

    def unfold(self, x_BTHWC: Array) -> Array:
        return depth_to_space(x_BTHWC, (1, self.patch, self.patch))

"""A discriminator that looks at sound through Fourier transforms of several lengths (SoundStream III-D).

One network a length, all alike: complex spectra as pictures of two channels, strided over frequency. Kernels,
dilations and strides are those of EnCodec's multi-scale discriminator (Defossez et al. 2022, 3.3).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.partitioning import param
from magvit_jax.tokenizer.soundstream.spectra import stft
from magvit_jax.typing import Array

SLOPE = 0.2  # of the leaky ReLU below zero
WIDE, SQUARE = (3, 9), (3, 3)  # kernels over (time, frequency)
DILATIONS = (1, 2, 4)  # over time


class Verdict(NamedTuple):
    """What one scale says.

    Fields:
      logits_BTF: above zero where it takes a patch of the spectrum for real.
      features: of its layers, [B, T, F, C], for feature matching.
    """

    logits_BTF: Array
    features: tuple[Array, ...]


class StftDiscriminator(nn.Module):
    """Sound to patches of logits at several scales.

    Attributes:
      channels: of each convolution; EnCodec: 32.
      windows: samples of the Fourier windows, moved by a quarter; EnCodec: (2048, 1024, 512, 256, 128).
    """

    channels: int
    windows: Sequence[int]

    def __post_init__(self):
        super().__post_init__()
        if self.channels < 1 or not self.windows or any(w < 4 or w % 4 for w in self.windows):
            raise UserError(
                f"discriminator: channels {self.channels}, windows {tuple(self.windows)}; expected 1 channel or "
                "more, and one window or more, each a multiple of 4"
            )

    @nn.compact
    def __call__(self, audio_BS: Array) -> list[Verdict]:
        """float [B, S], S no less than the longest window, to a verdict of each scale, in the windows' order."""
        return [_Scale(self.channels, window, name=f"window{window}")(audio_BS) for window in self.windows]


class _Scale(nn.Module):
    channels: int
    window: int

    @nn.compact
    def __call__(self, audio_BS: Array) -> Verdict:
        spectrum_BTF = stft(audio_BS, self.window, self.window // 4)
        x = jnp.stack([spectrum_BTF.real, spectrum_BTF.imag], axis=-1) / math.sqrt(self.window)
        features = []
        x = self._layer(x, "conv_in", WIDE)
        features.append(x)
        for i, dilation in enumerate(DILATIONS):
            x = self._layer(x, f"conv{i}", WIDE, stride=2, dilation=dilation)
            features.append(x)
        x = self._layer(x, "conv_out", SQUARE)
        features.append(x)
        return Verdict(_conv(1, SQUARE, 1, 1, "logits")(x)[..., 0], tuple(features))

    def _layer(self, x: Array, name: str, kernel: tuple[int, int], stride: int = 1, dilation: int = 1) -> Array:
        return nn.leaky_relu(_conv(self.channels, kernel, stride, dilation, name)(x), SLOPE)


def _conv(features: int, kernel: tuple[int, int], stride: int, dilation: int, name: str) -> nn.Conv:
    return nn.Conv(
        features,
        kernel,
        strides=(1, stride),
        kernel_dilation=(dilation, 1),
        kernel_init=param(initializers.lecun_normal(), None, None, "conv_in", "conv_out"),
        bias_init=param(initializers.zeros, "conv_out"),
        name=name,
    )

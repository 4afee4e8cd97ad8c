"""The Descript audio codec: a public codec of 50 latents a second at 16 kHz (Kumar et al. 2023).

Residual vector quantization with factorized codes: each level looks up the nearest direction among its codes in a
space of few dimensions. Its convolutions look both ways in time, so it does not stream. `converters.dac` reads the
released weights; it is not trained here.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.partitioning import param, unbox
from magvit_jax.typing import Array, PyTree

DILATIONS = (1, 3, 9)
EPS = 1e-9  # added to a snake's frequency before dividing by it
NORM_EPS = 1e-12  # least length of a vector that is brought to length one


class Conv1D(nn.Module):
    """Convolution over time with `padding` zeros on both sides."""

    features: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        kernel_KIO, bias_O = _kernel_and_bias(self, x_BSC.shape[-1])
        y_BSO = jax.lax.conv_general_dilated(
            x_BSC,
            kernel_KIO,
            window_strides=(self.stride,),
            padding=[(self.padding, self.padding)],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return y_BSO + jnp.broadcast_to(bias_O, y_BSO.shape)


class Upsample1D(nn.Module):
    """Transposed convolution of 2 s taps: T inputs to s T outputs, or one fewer where the stride s is odd."""

    features: int
    stride: int

    @property
    def kernel(self) -> int:
        return 2 * self.stride

    @nn.compact
    def __call__(self, x_BTC: Array) -> Array:
        kernel_KIO, bias_O = _kernel_and_bias(self, x_BTC.shape[-1])
        around = self.kernel - 1 - math.ceil(self.stride / 2)
        y_BSO = jax.lax.conv_general_dilated(
            x_BTC,
            kernel_KIO,
            window_strides=(1,),
            padding=[(around, around)],
            lhs_dilation=(self.stride,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return y_BSO + jnp.broadcast_to(bias_O, y_BSO.shape)


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha with an alpha for each channel."""

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        alpha_C = self.param("alpha", param(initializers.ones, "norm"), (x_BSC.shape[-1],))
        alpha = jnp.broadcast_to(alpha_C, x_BSC.shape)
        return x_BSC + jnp.square(jnp.sin(alpha * x_BSC)) / (alpha + EPS)


class ResidualUnit(nn.Module):
    """snake, dilated convolution, snake, convolution of one tap, and a shortcut around all."""

    dilation: int

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        channels = x_BSC.shape[-1]
        h = Snake(name="snake1")(x_BSC)
        h = Conv1D(channels, 7, dilation=self.dilation, padding=3 * self.dilation, name="conv1")(h)
        return x_BSC + Conv1D(channels, 1, name="conv2")(Snake(name="snake2")(h))


class Encoder(nn.Module):
    """Samples to latents; attributes as of `Dac`."""

    channels: int
    strides: Sequence[int]
    latent_dim: int

    @nn.compact
    def __call__(self, x_BSC: Array) -> Array:
        channels = self.channels
        x = Conv1D(channels, 7, padding=3, name="conv_in")(x_BSC)
        for block, stride in enumerate(self.strides):
            for unit, dilation in enumerate(DILATIONS):
                x = ResidualUnit(dilation, name=f"block{block}_unit{unit}")(x)
            channels *= 2
            down = Conv1D(channels, 2 * stride, stride, padding=math.ceil(stride / 2), name=f"block{block}_down")
            x = down(Snake(name=f"block{block}_snake")(x))
        return Conv1D(self.latent_dim, 3, padding=1, name="conv_out")(Snake(name="snake_out")(x))


class Decoder(nn.Module):
    """Latents to samples in (-1, 1); attributes as of `Dac`."""

    channels: int
    strides: Sequence[int]

    @nn.compact
    def __call__(self, z_BTD: Array) -> Array:
        x = Conv1D(self.channels, 7, padding=3, name="conv_in")(z_BTD)
        for block, stride in enumerate(self.strides):
            x = Snake(name=f"block{block}_snake")(x)
            x = Upsample1D(self.channels // 2 ** (block + 1), stride, name=f"block{block}_up")(x)
            for unit, dilation in enumerate(DILATIONS):
                x = ResidualUnit(dilation, name=f"block{block}_unit{unit}")(x)
        return jnp.tanh(Conv1D(1, 7, padding=3, name="conv_out")(Snake(name="snake_out")(x)))


class Level(nn.Module):
    """One quantizer: latents through `in_proj` to few dimensions, the code of the nearest direction, and back."""

    latent_dim: int
    size: int
    code_dim: int

    def setup(self):
        self.in_proj = Conv1D(self.code_dim, 1)
        self.out_proj = Conv1D(self.latent_dim, 1)
        self.codebook = self.param(
            "codebook", param(initializers.normal(1.0), None, None), (self.size, self.code_dim)
        )

    def ids(self, rest_BTD: Array) -> Array:
        """int32 [B, T]; the first of several codes that are equally near."""
        likeness_BTK = jnp.einsum(
            "btd,kd->btk",
            _unit(self.in_proj(rest_BTD)),
            _unit(self.codebook),
            precision=jax.lax.Precision.HIGHEST,
        )
        return jnp.argmax(likeness_BTK, axis=-1).astype(jnp.int32)

    def values(self, ids_BT: Array) -> Array:
        """What ids stand for, float32 [B, T, D]."""
        return self.out_proj(self.codebook[ids_BT])

    def __call__(self, rest_BTD: Array) -> tuple[Array, Array]:
        """(ids, values)."""
        ids_BT = self.ids(rest_BTD)
        return ids_BT, self.values(ids_BT)


class Dac(nn.Module):
    """Samples to ids of `levels` levels and back.

    Attributes:
      encoder_channels: of the encoder's first convolution; each block doubles them. Released: 64.
      encoder_strides: of its blocks; released at 16 kHz: (2, 4, 5, 8).
      latent_dim: channels of a latent; released: 1024.
      decoder_channels: of the decoder's first convolution; each block halves them. Released: 1536.
      decoder_strides: of its blocks; released: (8, 5, 4, 2).
      levels: quantizers; released: 12. VideoPoet's vocabulary has room for the first 4.
      codebook_size: codes a level; released: 1024.
      codebook_dim: dimensions in which codes are looked up; released: 8.
    """

    encoder_channels: int
    encoder_strides: Sequence[int]
    latent_dim: int
    decoder_channels: int
    decoder_strides: Sequence[int]
    levels: int
    codebook_size: int
    codebook_dim: int

    streams = False  # its convolutions look ahead; no annotation, so that it is no field

    def setup(self):
        self.encoder = Encoder(self.encoder_channels, tuple(self.encoder_strides), self.latent_dim)
        self.decoder = Decoder(self.decoder_channels, tuple(self.decoder_strides))
        self.level = [
            Level(self.latent_dim, self.codebook_size, self.codebook_dim) for _ in range(self.levels)
        ]

    @property
    def samples_per_latent(self) -> int:
        """Product of the strides."""
        return math.prod(self.encoder_strides)

    @property
    def context(self) -> int:
        """Latents on each side beyond which neither a latent nor a sample depends on anything."""
        unit = sum(3 * dilation for dilation in DILATIONS)
        seen, samples = 3, 1  # by the encoder, in samples
        for stride in self.encoder_strides:
            seen, samples = seen + samples * (unit + 2 * stride), samples * stride
        heard, rate = 3.0, 1  # by the decoder, in latents; up to three outputs more by the last convolution
        for stride in self.decoder_strides:
            heard, rate = heard + 2 / rate + unit / (rate * stride), rate * stride
        return math.ceil(max(seen / samples + 1, heard + 3 / rate))

    def __call__(self, audio_BS: Array) -> Array:
        """The sound through encoder, quantizer and decoder: what `init` runs."""
        return self.decode_from_ids(self.encode_to_ids(audio_BS))

    def encode_to_ids(self, audio_BS: Array) -> Array:
        """float32 [B, S] in [-1, 1], S a multiple of `samples_per_latent`, to int32 [B, T, levels].

        Raises:
          UserError: another shape.
        """
        if audio_BS.ndim != 2 or not audio_BS.shape[1] or audio_BS.shape[1] % self.samples_per_latent:
            raise UserError(
                f"sound of shape {list(audio_BS.shape)}: expected [batch, samples], the samples a multiple of "
                f"{self.samples_per_latent}"
            )
        rest_BTD, ids = self.encoder(audio_BS[..., None]), []
        for level in self.level:
            ids_BT, values_BTD = level(rest_BTD)
            rest_BTD = rest_BTD - values_BTD
            ids.append(ids_BT)
        return jnp.stack(ids, axis=-1)

    def decode_from_ids(self, ids_BTQ: Array) -> Array:
        """Ids of all levels or of the first few to samples, float32 [B, S].

        S is T samples_per_latent less what odd strides lose, as in the released code: 320 T - 8 at 16 kHz.

        Raises:
          UserError: more levels than there are.
        """
        levels = ids_BTQ.shape[-1]
        if not 1 <= levels <= self.levels:
            raise UserError(f"ids of {levels} levels: expected 1 to {self.levels}, the levels of the codec")
        z_BTD = sum(self.level[level].values(ids_BTQ[..., level]) for level in range(levels))
        return self.decoder(z_BTD)[..., 0]


def abstract_params(model: Dac) -> PyTree:
    """Shapes of the parameters; nothing is computed."""
    audio = jax.ShapeDtypeStruct((1, 4 * model.samples_per_latent), jnp.float32)
    return unbox(jax.eval_shape(model.init, jax.random.key(0), audio)["params"])


def _kernel_and_bias(module: nn.Module, channels: int) -> tuple[Array, Array]:
    kernel_init = param(initializers.lecun_normal(in_axis=(0, 1), out_axis=2), None, "conv_in", "conv_out")
    kernel = module.param("kernel", kernel_init, (module.kernel, channels, module.features))
    return kernel, module.param("bias", param(initializers.zeros, "conv_out"), (module.features,))


def _unit(x: Array) -> Array:
    """Vectors of the last axis at length one; zero stays zero."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), NORM_EPS)

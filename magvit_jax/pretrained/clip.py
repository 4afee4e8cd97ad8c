"""CLIP (Radford et al., 2021): ViT image tower and causal text tower that meet in one space of features.

Of CLIPSIM (8.4.6): ViT-B/16 is what the thesis and Phenaki use, ViT-B/32 is what VideoLDM uses. The two do
not compare. Inference only.
"""

from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.attention import SelfAttention
from magvit_jax.nn.transformer import Dense
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.typing import Array, Dtype

HEAD_WIDTH = 64
MLP_FACTOR = 4
EPSILON = 1e-5
GELU_SLOPE = 1.702
KERNEL = nn.initializers.lecun_normal()


class ClipSize(NamedTuple):
    """What tells two CLIPs apart.

    Fields:
      image_size, patch: pixels on a side of the picture and of a patch of it.
      image_width, image_layers: of the image tower. Heads of both towers are 64 wide.
      text_width, text_layers: of the text tower.
      vocabulary, context: ids, and how many of them a text has.
      features: width of the space that both towers end in.
    """

    image_size: int
    patch: int
    image_width: int
    image_layers: int
    text_width: int
    text_layers: int
    vocabulary: int
    context: int
    features: int


CLIP_SIZES: Mapping[str, ClipSize] = {
    "clip_vit_b16": ClipSize(224, 16, 768, 12, 512, 12, 49408, 77, 512),
    "clip_vit_b32": ClipSize(224, 32, 768, 12, 512, 12, 49408, 77, 512),
}


def quick_gelu(x: Array) -> Array:
    """CLIP's own approximation of GELU: x sigmoid(1.702 x)."""
    return x * jax.nn.sigmoid(GELU_SLOPE * x)


class ClipLayer(nn.Module):
    """Self-attention, then an MLP four times as wide, each behind its norm and with a residual connection.

    Attributes:
      heads: of the attention; the width is a multiple of them.
      dtype: of the matmuls; norms and softmax are float32.
    """

    heads: int
    dtype: Dtype

    @nn.compact
    def __call__(self, x_BLD: Array, mask: Mask | None) -> Array:
        """[B, L, D] -> [B, L, D]."""
        width = x_BLD.shape[-1]
        attention = SelfAttention(self.heads, 0.0, KERNEL, self.dtype, name="attention")
        normed_BLD = _normed(x_BLD, "attention_norm", self.dtype)
        x_BLD = x_BLD + attention(normed_BLD, mask, deterministic=True)
        widen = Dense(MLP_FACTOR * width, ("embed", "mlp"), KERNEL, self.dtype, name="mlp_in")
        narrow = Dense(width, ("mlp", "embed"), KERNEL, self.dtype, name="mlp_out")
        return x_BLD + narrow(quick_gelu(widen(_normed(x_BLD, "mlp_norm", self.dtype))))


class ClipImageTower(nn.Module):
    """A vision transformer; its features are those of a class token that is put before the patches.

    Attributes:
      size: see `ClipSize`.
      dtype: of the matmuls.
    """

    size: ClipSize
    dtype: Dtype

    @nn.compact
    def __call__(self, image_BHWC: Array) -> Array:
        """Pixels of `clip_images` [B, S, S, 3] -> features float32 [B, F], not normalised."""
        size = self.size
        expected = [size.image_size, size.image_size, 3]
        if list(image_BHWC.shape[1:]) != expected:
            raise UserError(f"CLIP of images of shape {image_BHWC.shape}: expected [B, *{expected}]")
        patches_BhwD = nn.Conv(
            size.image_width,
            (size.patch, size.patch),
            size.patch,
            padding="VALID",
            use_bias=False,
            dtype=self.dtype,
            name="patch",
        )(image_BHWC.astype(self.dtype))
        x_BLD = patches_BhwD.reshape(image_BHWC.shape[0], -1, size.image_width)
        class_D = self.param("class_embedding", nn.initializers.normal(0.02), (size.image_width,))
        first_B1D = jnp.broadcast_to(class_D.astype(self.dtype), (x_BLD.shape[0], 1, size.image_width))
        x_BLD = jnp.concatenate([first_B1D, x_BLD], axis=1)
        x_BLD = x_BLD + _positions(self, x_BLD.shape[1:])
        x_BLD = _normed(x_BLD, "pre_norm", self.dtype)
        for layer in range(size.image_layers):
            x_BLD = ClipLayer(size.image_width // HEAD_WIDTH, self.dtype, name=f"layer{layer}")(x_BLD, None)
        return _project(self, _normed(x_BLD[:, 0], "post_norm", self.dtype))


class ClipTextTower(nn.Module):
    """A causal transformer; its features are those of the end token, the highest id of a text.

    Attributes:
      size: see `ClipSize`.
      dtype: of the matmuls.
    """

    size: ClipSize
    dtype: Dtype

    @nn.compact
    def __call__(self, ids_BL: Array) -> Array:
        """Ids of `ClipTokenizer`, int32 [B, L] -> features float32 [B, F], not normalised.

        What stands after the first end token makes no difference.
        """
        size = self.size
        if ids_BL.shape[1:] != (size.context,):
            raise UserError(f"CLIP of ids of shape {ids_BL.shape}: expected {size.context} ids a text")
        table_VD = self.param(
            "token_embedding", nn.initializers.normal(0.02), (size.vocabulary, size.text_width)
        )
        x_BLD = table_VD.astype(self.dtype)[ids_BL]
        x_BLD = x_BLD + _positions(self, x_BLD.shape[1:])
        for layer in range(size.text_layers):
            heads = size.text_width // HEAD_WIDTH
            x_BLD = ClipLayer(heads, self.dtype, name=f"layer{layer}")(x_BLD, Mask.causal())
        end_B11 = jnp.argmax(ids_BL, axis=1)[:, None, None]
        x_BD = jnp.take_along_axis(x_BLD, end_B11, axis=1)[:, 0]
        return _project(self, _normed(x_BD, "final_norm", self.dtype))


class Clip(nn.Module):
    """Both towers.

    Attributes:
      size: see `ClipSize` and `CLIP_SIZES`.
      dtype: of the matmuls; parameters are float32.
    """

    size: ClipSize
    dtype: Dtype

    def setup(self) -> None:
        self.image = ClipImageTower(self.size, self.dtype)
        self.text = ClipTextTower(self.size, self.dtype)
        self.logit_scale = self.param("logit_scale", nn.initializers.zeros, ())

    def __call__(self, image_BHWC: Array, ids_BL: Array) -> tuple[Array, Array]:
        """Features of normalised pictures and of texts, as of the towers."""
        return self.image(image_BHWC), self.text(ids_BL)


def _normed(x: Array, name: str, dtype: Dtype) -> Array:
    """Layer normalisation in float32; the result is of `dtype`."""
    norm = nn.LayerNorm(epsilon=EPSILON, dtype=jnp.float32, use_fast_variance=False, name=name)
    return norm(x.astype(jnp.float32)).astype(dtype)


def _positions(module: nn.Module, shape_LD: tuple[int, int]) -> Array:
    """The learned embedding of every position, [1, L, D]."""
    table_LD = module.param("position_embedding", nn.initializers.normal(0.02), shape_LD)
    return table_LD.astype(module.dtype)[None]


def _project(module: nn.Module, x_BD: Array) -> Array:
    """Onto the space that both towers share, without a bias."""
    shape_DF = (x_BD.shape[-1], module.size.features)
    kernel_DF = module.param("projection", nn.initializers.normal(0.02), shape_DF)
    x_BF = jnp.einsum("bd,df->bf", x_BD, kernel_DF.astype(module.dtype))
    return x_BF.astype(jnp.float32)

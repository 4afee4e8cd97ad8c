"""Inception-v3 as FID and IS use it: TensorFlow's graph of 2015-12-05, with 1,008 classes.

It differs from later Inception-v3 networks: average pooling does not count the padding, and the last block
pools by the maximum. Layers are named as in torchvision and in pytorch-fid's port of the weights.

Source: Heusel et al. 2017 (FID), Salimans et al. 2016 (IS); thesis 5.4 and 8.4.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.pretrained.layers import PRECISION, ConvNorm
from magvit_jax.typing import Array, Dtype

EPSILON = 1e-3
CLASSES = 1008
#: Side of the smallest input that leaves the last blocks something to see.
MIN_SIDE = 75


class Layer(NamedTuple):
    """A convolution. With stride 1 the padding keeps the size, with stride 2 there is none."""

    name: str
    features: int
    kernel: tuple[int, int]
    stride: int = 1


Chain = tuple[Layer, ...]


def chain_a(pool: int) -> tuple[Chain, ...]:
    """35 x 35, and the width after pooling."""
    return (
        (Layer("branch1x1", 64, (1, 1)),),
        (Layer("branch5x5_1", 48, (1, 1)), Layer("branch5x5_2", 64, (5, 5))),
        (
            Layer("branch3x3dbl_1", 64, (1, 1)),
            Layer("branch3x3dbl_2", 96, (3, 3)),
            Layer("branch3x3dbl_3", 96, (3, 3)),
        ),
        (Layer("branch_pool", pool, (1, 1)),),
    )


def chain_c(width: int) -> tuple[Chain, ...]:
    """17 x 17: convolutions along one axis at a time."""
    return (
        (Layer("branch1x1", 192, (1, 1)),),
        (
            Layer("branch7x7_1", width, (1, 1)),
            Layer("branch7x7_2", width, (1, 7)),
            Layer("branch7x7_3", 192, (7, 1)),
        ),
        (
            Layer("branch7x7dbl_1", width, (1, 1)),
            Layer("branch7x7dbl_2", width, (7, 1)),
            Layer("branch7x7dbl_3", width, (1, 7)),
            Layer("branch7x7dbl_4", width, (7, 1)),
            Layer("branch7x7dbl_5", 192, (1, 7)),
        ),
        (Layer("branch_pool", 192, (1, 1)),),
    )


# From 35 x 35 to 17 x 17, and from there to 8 x 8; the input pooled by the maximum is the last branch.
CHAIN_B: tuple[Chain, ...] = (
    (Layer("branch3x3", 384, (3, 3), 2),),
    (
        Layer("branch3x3dbl_1", 64, (1, 1)),
        Layer("branch3x3dbl_2", 96, (3, 3)),
        Layer("branch3x3dbl_3", 96, (3, 3), 2),
    ),
)
CHAIN_D: tuple[Chain, ...] = (
    (Layer("branch3x3_1", 192, (1, 1)), Layer("branch3x3_2", 320, (3, 3), 2)),
    (
        Layer("branch7x7x3_1", 192, (1, 1)),
        Layer("branch7x7x3_2", 192, (1, 7)),
        Layer("branch7x7x3_3", 192, (7, 1)),
        Layer("branch7x7x3_4", 192, (3, 3), 2),
    ),
)


class InceptionV3(nn.Module):
    """The network of FID and IS.

    Attributes:
      dtype: compute dtype; parameters are float32.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_NHWC: Array) -> dict[str, Array]:
        """Features and logits of pictures.

        Args:
          x_NHWC: RGB in [-1, 1), (pixel - 128) / 128; FID takes 299 x 299, 75 x 75 is the least.

        Returns:
          "pooled" [N, 2048]: what FID is computed on.
          "logits" [N, 1008], and "logits_unbiased" without the last layer's bias: the original code of IS and
          the evaluator of guided diffusion leave it out, TensorFlow-GAN does not.

        Raises:
          UserError: a smaller picture.
        """
        if min(x_NHWC.shape[1:3]) < MIN_SIDE:
            height, width = x_NHWC.shape[1:3]
            raise UserError(
                f"inception: pictures of {height} x {width}; expected at least {MIN_SIDE} x {MIN_SIDE}"
            )
        x = self._stem(x_NHWC)
        for name, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = Block(chain_a(pool), "mean", self.dtype, name=name)(x)
        x = Block(CHAIN_B, "halve", self.dtype, name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = Block(chain_c(width), "mean", self.dtype, name=name)(x)
        x = Block(CHAIN_D, "halve", self.dtype, name="Mixed_7a")(x)
        x = SplitBlock("mean", self.dtype, name="Mixed_7b")(x)
        x = SplitBlock("max", self.dtype, name="Mixed_7c")(x)
        pooled_NF = x.mean((1, 2))
        head = nn.Dense(CLASSES, dtype=self.dtype, precision=PRECISION, name="fc")
        logits_NV = head(pooled_NF)
        bias_V = head.variables["params"]["bias"].astype(self.dtype)
        unbiased_NV = logits_NV - jnp.broadcast_to(bias_V, logits_NV.shape)
        return {"pooled": pooled_NF, "logits": logits_NV, "logits_unbiased": unbiased_NV}

    def _stem(self, x_NHWC: Array) -> Array:
        x = self._conv(Layer("Conv2d_1a_3x3", 32, (3, 3), 2))(x_NHWC)
        x = self._conv(Layer("Conv2d_2a_3x3", 32, (3, 3)), "VALID")(x)
        x = self._conv(Layer("Conv2d_2b_3x3", 64, (3, 3)))(x)
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = self._conv(Layer("Conv2d_3b_1x1", 80, (1, 1)))(x)
        x = self._conv(Layer("Conv2d_4a_3x3", 192, (3, 3)), "VALID")(x)
        return nn.max_pool(x, (3, 3), (2, 2))

    def _conv(self, layer: Layer, padding: str | None = None) -> ConvNorm:
        return conv(layer, self.dtype, padding)


class Block(nn.Module):
    """Chains of convolutions side by side.

    Attributes:
      chains: the branches; with "mean" the last of them is behind the pooling.
      pool: "mean", or "halve" for a branch that is the input pooled by the maximum with stride 2.
    """

    chains: tuple[Chain, ...]
    pool: str
    dtype: Dtype

    @nn.compact
    def __call__(self, x_NHWC: Array) -> Array:
        """Maps [N, H, W, C] to the branches' channels in a row."""
        outputs = []
        for number, chain in enumerate(self.chains):
            behind_pool = self.pool == "mean" and number == len(self.chains) - 1
            x = mean_pool(x_NHWC) if behind_pool else x_NHWC
            for layer in chain:
                x = conv(layer, self.dtype)(x)
            outputs.append(x)
        if self.pool == "halve":
            outputs.append(nn.max_pool(x_NHWC, (3, 3), (2, 2)))
        return jnp.concatenate(outputs, axis=-1)


class SplitBlock(nn.Module):
    """8 x 8: two of the branches end in two convolutions each, one along each axis.

    Attributes:
      pool: "mean" or "max"; the graph of FID has the latter in its last block.
    """

    pool: str
    dtype: Dtype

    @nn.compact
    def __call__(self, x_NHWC: Array) -> Array:
        """Maps [N, H, W, C] to [N, H, W, 2048]."""
        x, run = x_NHWC, self._run
        single = run(x, "branch3x3_1", 384, 1, 1)
        double = run(run(x, "branch3x3dbl_1", 448, 1, 1), "branch3x3dbl_2", 384, 3, 3)
        pooled = mean_pool(x) if self.pool == "mean" else nn.max_pool(x, (3, 3), (1, 1), "SAME")
        outputs = [
            run(x, "branch1x1", 320, 1, 1),
            run(single, "branch3x3_2a", 384, 1, 3),
            run(single, "branch3x3_2b", 384, 3, 1),
            run(double, "branch3x3dbl_3a", 384, 1, 3),
            run(double, "branch3x3dbl_3b", 384, 3, 1),
            run(pooled, "branch_pool", 192, 1, 1),
        ]
        return jnp.concatenate(outputs, axis=-1)

    def _run(self, x: Array, name: str, features: int, height: int, width: int) -> Array:
        return conv(Layer(name, features, (height, width)), self.dtype)(x)


def mean_pool(x_NHWC: Array) -> Array:
    """3 x 3 means that keep the size; the padding does not count."""
    return nn.avg_pool(x_NHWC, (3, 3), (1, 1), "SAME", count_include_pad=False)


def conv(layer: Layer, dtype: Dtype, padding: str | None = None) -> ConvNorm:
    """The module of a layer, in the scope that calls this."""
    padding = padding or ("SAME" if layer.stride == 1 else "VALID")
    strides = (layer.stride, layer.stride)
    return ConvNorm(layer.features, layer.kernel, strides, padding, EPSILON, dtype=dtype, name=layer.name)

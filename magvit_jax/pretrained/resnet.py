"""ResNet-50 (He et al. 2016) as torchvision has it: the stride of a block is in its 3x3 convolution.

Source: thesis 3.3 and 5.4 (perceptual losses).
"""

import flax.linen as nn
import jax.numpy as jnp

from magvit_jax.pretrained.layers import PRECISION, ConvNorm
from magvit_jax.typing import Array, Dtype

EPSILON = 1e-5
CLASSES = 1000
#: Blocks of the four stages, and their inner widths; a block's output is four times as wide.
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
WIDER = 4
#: ImageNet's mean and standard deviation of RGB in [0, 1].
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ResNet50(nn.Module):
    """The network.

    Attributes:
      dtype: compute dtype; parameters are float32.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_NHWC: Array) -> dict[str, Array]:
        """Logits and features of pictures.

        Args:
          x_NHWC: RGB, less `MEAN` and divided by `DEVIATION`, of any size; trained on 224 x 224.

        Returns:
          "logits" [N, 1000], and "pooled" [N, 2048], what the last layer sees.
        """
        x = conv(64, 7, 2, self.dtype, "stem")(x_NHWC)
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, (blocks, width) in enumerate(STAGES):
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                x = Bottleneck(width, stride, block == 0, self.dtype, name=f"layer{stage + 1}_{block}")(x)
        pooled_NF = x.mean((1, 2))
        logits = nn.Dense(CLASSES, dtype=self.dtype, precision=PRECISION, name="fc")(pooled_NF)
        return {"logits": logits, "pooled": pooled_NF}


class Bottleneck(nn.Module):
    """Three convolutions and what goes around them.

    Attributes:
      width: of the inner convolutions.
      stride: of the second one.
      project: whether the input is brought to the output's shape by a convolution.
    """

    width: int
    stride: int
    project: bool
    dtype: Dtype

    @nn.compact
    def __call__(self, x_NHWC: Array) -> Array:
        """Maps [N, H, W, C] to [N, H / stride, W / stride, 4 width]."""
        wide = WIDER * self.width
        x = conv(self.width, 1, 1, self.dtype, "part1")(x_NHWC)
        x = conv(self.width, 3, self.stride, self.dtype, "part2")(x)
        x = conv(wide, 1, 1, self.dtype, "part3", relu=False)(x)
        around = x_NHWC
        if self.project:
            around = conv(wide, 1, self.stride, self.dtype, "downsample", relu=False)(x_NHWC)
        return nn.relu(x + around)


def conv(
    features: int, extent: int, stride: int, dtype: Dtype, name: str, relu: bool = True
) -> ConvNorm:
    """A convolution with as many zeros on either side, normalisation and, if `relu`, a ReLU."""
    padding = (((extent - 1) // 2,) * 2,) * 2
    return ConvNorm(
        features, (extent,) * 2, (stride,) * 2, padding, EPSILON, relu=relu, dtype=dtype, name=name
    )

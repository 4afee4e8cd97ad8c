"""The networks of LPIPS v0.1 (Zhang et al. 2018): trunks of VGG16 and AlexNet, and the learned heads.

They give the feature maps; `metrics.lpips_distance` is the formula. A trunk keeps torchvision's numbers of
layers.

Source: thesis 3.3, 5.4 and 6.5.1 (LPIPS; by VGG features on BAIR).
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.pretrained.layers import PRECISION
from magvit_jax.typing import Array, Dtype


class Layer(NamedTuple):
    """A convolution with a bias and a ReLU.

    Fields:
      number: of the layer in torchvision's `features`.
      pool: extent of a max pooling with stride 2 before it; 0 for none.
      tap: whether its output is one of the feature maps.
    """

    number: int
    features: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    tap: bool = False


VGG16: tuple[Layer, ...] = (
    Layer(0, 64),
    Layer(2, 64, tap=True),
    Layer(5, 128, pool=2),
    Layer(7, 128, tap=True),
    Layer(10, 256, pool=2),
    Layer(12, 256),
    Layer(14, 256, tap=True),
    Layer(17, 512, pool=2),
    Layer(19, 512),
    Layer(21, 512, tap=True),
    Layer(24, 512, pool=2),
    Layer(26, 512),
    Layer(28, 512, tap=True),
)
ALEXNET: tuple[Layer, ...] = (
    Layer(0, 64, kernel=11, stride=4, padding=2, tap=True),
    Layer(3, 192, kernel=5, padding=2, pool=3, tap=True),
    Layer(6, 384, pool=3, tap=True),
    Layer(8, 256, tap=True),
    Layer(10, 256, tap=True),
)
#: What LPIPS v0.1 subtracts from RGB in [-1, 1] and divides by.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
#: Side of the smallest picture of which every map has a position.
MIN_SIDE = 32


class LpipsMaps(nn.Module):
    """Feature maps and heads.

    Attributes:
      layers: the trunk, `VGG16` or `ALEXNET`.
      dtype: compute dtype; parameters are float32.
    """

    layers: Sequence[Layer]
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_NHWC: Array) -> dict[str, tuple[Array, ...]]:
        """What `metrics.lpips_distance` takes of one of two pictures.

        Args:
          x_NHWC: RGB in [-1, 1], at least 32 x 32.

        Returns:
          "maps": the five feature maps [N, H, W, C], after their ReLUs.
          "heads": the five heads [C]; they do not depend on the input.

        Raises:
          UserError: a smaller picture.
        """
        if min(x_NHWC.shape[1:3]) < MIN_SIDE:
            height, width = x_NHWC.shape[1:3]
            raise UserError(
                f"lpips: pictures of {height} x {width}; expected at least {MIN_SIDE} x {MIN_SIDE}"
            )
        shift, scale = (
            jnp.broadcast_to(jnp.asarray(value, x_NHWC.dtype), x_NHWC.shape) for value in (SHIFT, SCALE)
        )
        x, maps = ((x_NHWC - shift) / scale).astype(self.dtype), []
        for layer in self.layers:
            if layer.pool:
                x = nn.max_pool(x, (layer.pool,) * 2, (2, 2))
            x = nn.relu(self._conv(layer)(x))
            if layer.tap:
                maps.append(x)
        heads = [
            self.param(f"lin{number}", initializers.zeros, features.shape[-1:])
            for number, features in enumerate(maps)
        ]
        return {"maps": tuple(maps), "heads": tuple(heads)}

    def _conv(self, layer: Layer) -> nn.Conv:
        return nn.Conv(
            layer.features,
            (layer.kernel,) * 2,
            layer.stride,
            layer.padding,
            dtype=self.dtype,
            precision=PRECISION,
            name=f"features_{layer.number}",
        )

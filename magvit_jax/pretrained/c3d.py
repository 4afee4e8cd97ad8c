"""C3D fine-tuned on UCF-101 (Tran et al. 2015), the network of video IS.

The mean clip that is subtracted from its input is one of its parameters. Layers are named as in TGANv2, which
the thesis takes it from.

Source: thesis 6.5.1 (IS on UCF-101 by a C3D trained on it); Saito et al. 2020 (TGANv2).
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jax.nn import initializers

from magvit_jax.errors import UserError
from magvit_jax.pretrained.layers import PRECISION
from magvit_jax.typing import Array, Dtype

CLASSES = 101
#: The one input that it takes: frames, height, width.
CLIP = (16, 112, 112)
# Convolutions before each pooling, by their names and widths. The first pooling leaves time as it is.
STAGES: tuple[tuple[tuple[str, int], ...], ...] = (
    (("conv1a", 64),),
    (("conv2a", 128),),
    (("conv3a", 256), ("conv3b", 256)),
    (("conv4a", 512), ("conv4b", 512)),
    (("conv5a", 512), ("conv5b", 512)),
)
HIDDEN = 4096


class C3D(nn.Module):
    """The network.

    Attributes:
      dtype: compute dtype; parameters are float32.
    """

    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BTHWC: Array) -> dict[str, Array]:
        """Logits and features of clips.

        Args:
          x_BTHWC: [B, 16, 112, 112, 3], BGR in [0, 255].

        Returns:
          "logits" [B, 101], before the softmax, and "features" [B, 4096], what the last layer sees.

        Raises:
          UserError: another shape.
        """
        if x_BTHWC.shape[1:] != (*CLIP, 3):
            raise UserError(f"c3d: clips {list(x_BTHWC.shape[1:])}; expected {[*CLIP, 3]}")
        mean_THWC = self.param("mean", initializers.zeros, (*CLIP, 3))
        x = (x_BTHWC - jnp.broadcast_to(mean_THWC, x_BTHWC.shape)).astype(self.dtype)
        for number, stage in enumerate(STAGES):
            for name, features in stage:
                x = nn.relu(nn.Conv(features, (3, 3, 3), dtype=self.dtype, precision=PRECISION, name=name)(x))
            window = (1 if number == 0 else 2, 2, 2)
            # 7 rows and columns become 4: what is left over at the end is pooled alone.
            x = nn.max_pool(x, window, window, "SAME")
        x = lax.reshape(x, (x.shape[0], x[0].size))
        x = nn.relu(self._dense(HIDDEN, "fc6")(x))
        x = nn.relu(self._dense(HIDDEN, "fc7")(x))
        return {"logits": self._dense(CLASSES, "fc8")(x), "features": x}

    def _dense(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, dtype=self.dtype, precision=PRECISION, name=name)

"""VGGish (Hershey et al., 2017): 0.96 s of sound as 128 numbers, the features of FAD (Kilgour et al., 2019)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.pretrained.vggish_audio import BANDS, EXAMPLE_FRAMES
from magvit_jax.typing import Array, Dtype

#: Channels of the 3x3 convolutions between two poolings.
STAGES = ((64,), (128,), (256, 256), (512, 512))
FEATURES = 128
HIDDEN = 4096


class VGGish(nn.Module):
    """VGG of configuration A less its last group, over log-mel pictures.

    Attributes:
      stages: channels of the convolutions of each stage, `STAGES` of the released network.
      hidden: width of the two hidden layers, `HIDDEN` of the released network.
      dtype: of convolutions and matmuls; parameters are float32.
    """

    stages: tuple[tuple[int, ...], ...]
    hidden: int
    dtype: Dtype

    @nn.compact
    def __call__(self, log_mel_BTM: Array) -> Array:
        """The embedding before its activation, [B, 128]: what FAD takes.

        Args:
          log_mel_BTM: [B, 96, 64], frames and mel bands, of `vggish_audio.log_mel_examples`.

        Raises:
          UserError: another shape.
        """
        if log_mel_BTM.ndim != 3 or log_mel_BTM.shape[1:] != (EXAMPLE_FRAMES, BANDS):
            raise UserError(
                f"VGGish of an array of shape {log_mel_BTM.shape}: expected [B, {EXAMPLE_FRAMES}, {BANDS}]"
            )
        x_BTMC = log_mel_BTM[..., None].astype(self.dtype)
        for stage, widths in enumerate(self.stages):
            for index, channels in enumerate(widths):
                conv = nn.Conv(channels, (3, 3), dtype=self.dtype, name=f"stage{stage}_conv{index}")
                x_BTMC = jax.nn.relu(conv(x_BTMC))
            x_BTMC = nn.max_pool(x_BTMC, (2, 2), (2, 2))
        x_BF = x_BTMC.reshape(x_BTMC.shape[0], -1)
        for index in range(2):
            x_BF = jax.nn.relu(nn.Dense(self.hidden, dtype=self.dtype, name=f"hidden{index}")(x_BF))
        return nn.Dense(FEATURES, dtype=self.dtype, name="embedding")(x_BF).astype(jnp.float32)

"""What the two players of a GAN lose, and what keeps them stable: pure functions (thesis 3.2.1, 3.3.1, 5.4.1).

Logits are float32 [B], above zero where the discriminator takes a clip for real.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from magvit_jax.typing import Array


class AdversarialLoss(NamedTuple):
    """Means over the logits of a batch, float32 []. The discriminator loses `real` + `fake`.

    Fields:
      generator: of logits on generated clips, what the generator loses.
      real: of logits on real clips, the discriminator's first term.
      fake: of logits on generated clips, its second.
    """

    generator: Callable[[Array], Array]
    real: Callable[[Array], Array]
    fake: Callable[[Array], Array]


#: -log p for the player's own side, p = sigmoid(logit) (Goodfellow et al. 2014, the form that does not saturate).
NON_SATURATING = AdversarialLoss(
    generator=lambda fake_B: jax.nn.softplus(-fake_B).mean(),
    real=lambda real_B: jax.nn.softplus(-real_B).mean(),
    fake=lambda fake_B: jax.nn.softplus(fake_B).mean(),
)
#: No slope for the discriminator beyond a margin of one (Lim & Ye 2017).
HINGE = AdversarialLoss(
    generator=lambda fake_B: -fake_B.mean(),
    real=lambda real_B: jax.nn.relu(1.0 - real_B).mean(),
    fake=lambda fake_B: jax.nn.relu(1.0 + fake_B).mean(),
)
LOSSES: Mapping[str, AdversarialLoss] = {"non_saturating": NON_SATURATING, "hinge": HINGE}


def logits_and_slope(logits_fn: Callable[[Array], Array], video_BTHWC: Array) -> tuple[Array, Array]:
    """The logits [B], and the R1 penalty []: the mean over the batch of the squared gradient of a logit by its clip.

    Both from one forward pass. There is no factor 1/2, as in the authors' code; the cost is the caller's.

    Args:
      logits_fn: [B, T, H, W, C] -> [B], with no example of the batch in the logit of another. Differentiable twice in
        reverse mode where the penalty is to be differentiated.
    """
    logits_B, pullback = jax.vjp(logits_fn, video_BTHWC)
    (slope_BTHWC,) = pullback(jnp.ones_like(logits_B))
    return logits_B, jnp.square(slope_BTHWC.astype(jnp.float32)).sum() / logits_B.shape[0]


class LecamAverages(flax.struct.PyTreeNode):
    """Moving averages of a batch's mean logits, float32 []; from 0, so young ones are small."""

    real: Array
    fake: Array

    @classmethod
    def create(cls) -> "LecamAverages":
        return cls(jnp.zeros(()), jnp.zeros(()))

    def update(self, mean_real: Array, mean_fake: Array, decay: float) -> "LecamAverages":
        """After one more batch."""
        return LecamAverages(
            decay * self.real + (1.0 - decay) * mean_real, decay * self.fake + (1.0 - decay) * mean_fake
        )


def lecam_real(mean_real: Array, averages: LecamAverages) -> Array:
    """LeCam's term on real clips: relu(mean logit - average on fakes)^2 (Tseng et al. 2021)."""
    return jnp.square(jax.nn.relu(mean_real - averages.fake))


def lecam_fake(mean_fake: Array, averages: LecamAverages) -> Array:
    """LeCam's term on generated clips: relu(average on real clips - mean logit)^2. The regularizer is their sum."""
    return jnp.square(jax.nn.relu(averages.real - mean_fake))

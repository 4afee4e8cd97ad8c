"""SoundStream's discriminator as the other player: what it loses, and what it tells the generator (III-D, III-E)."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.tokenizer.adversarial import HINGE
from magvit_jax.tokenizer.soundstream.discriminator import StftDiscriminator, Verdict
from magvit_jax.tokenizer.soundstream.losses import feature_matching
from magvit_jax.typing import Array, PyTree


class Judgement(NamedTuple):
    """What one batch means to both players.

    Fields:
      slope_BS: gradient of the generator's weighted terms by the reconstructions.
      grads: gradients of the discriminator's parameters.
      metrics: float32 [] by name.
    """

    slope_BS: Array
    grads: PyTree
    metrics: dict[str, Array]


@dataclass(frozen=True)
class SoundAdversary:
    """A discriminator, and the weights of what the generator loses to it.

    Attributes:
      adversarial: weight of the hinge loss, the mean over scales.
      features: weight of the distance of features.
    """

    discriminator: StftDiscriminator
    adversarial: float
    features: float

    def judge(self, params: PyTree, audio_BS: Array, output_BS: Array) -> Judgement:
        """One forward pass over sounds and reconstructions together serves both players."""
        batch, both = audio_BS.shape[0], jax.lax.stop_gradient(jnp.concatenate([audio_BS, output_BS]))
        verdicts, pullback = jax.vjp(lambda p, x: self.discriminator.apply({"params": p}, x), params, both)
        towards_real, metrics = jax.grad(self._generator_loss, has_aux=True)(verdicts, batch)
        towards_truth, judged = jax.grad(_discriminator_loss, has_aux=True)(verdicts, batch)
        _, slope = pullback(towards_real)
        grads, _ = pullback(towards_truth)
        return Judgement(slope[batch:], grads, metrics | judged)

    def _generator_loss(self, verdicts: list[Verdict], batch: int) -> tuple[Array, dict[str, Array]]:
        real, fake = _sides(verdicts, batch)
        adversarial = sum(HINGE.generator(verdict.logits_BTF) for verdict in fake) / len(fake)
        fixed = [jax.lax.stop_gradient(verdict.features) for verdict in real]
        features = feature_matching(fixed, [verdict.features for verdict in fake])
        total = self.adversarial * adversarial + self.features * features
        return total, dict(adversarial_loss=adversarial, features_loss=features)


def _discriminator_loss(verdicts: list[Verdict], batch: int) -> tuple[Array, dict[str, Array]]:
    real, fake = _sides(verdicts, batch)
    terms = [HINGE.real(r.logits_BTF) + HINGE.fake(f.logits_BTF) for r, f in zip(real, fake, strict=True)]
    total = sum(terms) / len(terms)
    return total, dict(logits_real=_mean_logit(real), logits_fake=_mean_logit(fake), discriminator_loss=total)


def _sides(verdicts: list[Verdict], batch: int) -> tuple[list[Verdict], list[Verdict]]:
    """Verdicts on the first `batch` examples and on the others."""
    return jax.tree.map(lambda x: x[:batch], verdicts), jax.tree.map(lambda x: x[batch:], verdicts)


def _mean_logit(verdicts: list[Verdict]) -> Array:
    return sum(verdict.logits_BTF.mean() for verdict in verdicts) / len(verdicts)

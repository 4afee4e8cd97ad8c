"""The discriminator as the other player of a tokenizer's training: what it loses, and what it tells the generator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.adversarial import LOSSES, LecamAverages, lecam_fake, lecam_real, logits_and_slope
from magvit_jax.tokenizer.discriminator import Discriminator
from magvit_jax.typing import Array, PyTree


class Verdict(NamedTuple):
    """What one batch means to both players.

    Fields:
      slope_BTHWC: gradient of the generator's adversarial loss by the generated clips.
      grads: gradients of the discriminator's parameters.
      metrics: float32 [] by name.
    """

    slope_BTHWC: Array
    grads: PyTree
    metrics: dict[str, Array]


@dataclass(frozen=True)
class Adversary:
    """A discriminator and how it is trained (thesis 3.3.1, 5.4.1).

    Attributes:
      discriminator: the network.
      optimizer: of its parameters; ema_decay: of their moving average, 0 for none.
      weight: of the generator's adversarial loss.
      loss: one of `tokenizer.adversarial.LOSSES`.
      r1_cost: of the squared slope on real clips, without a factor 1/2; 0 for none.
      r1_every: the penalty is due at every so manieth update and counts as many times as much there.
      lecam_weight, lecam_decay: of LeCam's regularizer and its averages; a weight of 0 for none.
      start_step: updates of the generator before the adversary joins in.

    Raises:
      UserError: a value out of range, by its name in the config.
    """

    discriminator: Discriminator
    optimizer: optax.GradientTransformation
    weight: float
    loss: str
    r1_cost: float
    r1_every: int
    lecam_weight: float
    lecam_decay: float
    start_step: int
    ema_decay: float

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise UserError(f"adversarial.loss: {self.loss!r}; expected one of {', '.join(LOSSES)}")
        for name in ("weight", "r1_cost", "lecam_weight", "start_step"):
            if getattr(self, name) < 0:
                raise UserError(f"adversarial.{name}: {getattr(self, name)}; expected 0 or more")
        for name in ("lecam_decay", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"adversarial.{name}: {getattr(self, name)}; expected 0 or more, below 1")
        if self.r1_every < 1:
            raise UserError(f"adversarial.r1_every: {self.r1_every}; expected 1 or more")

    def started(self, updates: Array) -> Array:
        """bool []: whether the adversary takes part after so many updates of the generator."""
        return updates >= self.start_step

    def judge(
        self, params: PyTree, averages: LecamAverages, updates: Array, real_BTHWC: Array, fake_BTHWC: Array
    ) -> Verdict:
        """One forward pass of the discriminator over real clips and one over generated ones, for both players.

        Args:
          params: of the discriminator.
          averages: those before this batch.
          updates: int [], of the generator so far.
        """

        def judge() -> Verdict:
            grads, metrics = self._on_real(params, averages, updates, real_BTHWC)
            slope_BTHWC, fake_grads, fake_metrics = self._on_fake(params, averages, fake_BTHWC)
            lost = metrics.pop("loss") + fake_metrics.pop("loss")
            lecam = metrics.pop("lecam") + fake_metrics.pop("lecam")
            metrics |= fake_metrics | dict(discriminator_loss=lost, lecam_loss=lecam)
            return Verdict(slope_BTHWC, jax.tree.map(jnp.add, grads, fake_grads), metrics)

        if not self.start_step:
            return judge()
        return jax.lax.cond(self.started(updates), judge, lambda: _zeros(judge))

    def _logits(self, params: PyTree, video_BTHWC: Array) -> Array:
        return self.discriminator.apply({"params": params}, video_BTHWC)

    def _on_real(
        self, params: PyTree, averages: LecamAverages, updates: Array, video_BTHWC: Array
    ) -> tuple[PyTree, dict[str, Array]]:
        """Gradients of the discriminator's terms on real clips."""
        video_BTHWC = jax.lax.stop_gradient(video_BTHWC)

        def lost(params: PyTree, penalized: bool) -> tuple[Array, dict[str, Array]]:
            slope = jnp.zeros(())
            if penalized:
                logits_B, slope = logits_and_slope(lambda x: self._logits(params, x), video_BTHWC)
            else:
                logits_B = self._logits(params, video_BTHWC)
            lecam = lecam_real(logits_B.mean(), averages)
            # Times r1_every, so that the mean over the updates is that of a penalty at each of them.
            total = LOSSES[self.loss].real(logits_B) + self.lecam_weight * lecam
            total = total + self.r1_cost * self.r1_every * slope
            metrics = dict(
                loss=total, lecam=lecam, logits_real=logits_B.mean(), r1_penalty=self.r1_every * slope
            )
            return total, metrics

        def gradients(penalized: bool) -> tuple[PyTree, dict[str, Array]]:
            return jax.grad(lost, has_aux=True)(params, penalized)

        if not self.r1_cost or self.r1_every == 1:
            return gradients(bool(self.r1_cost))
        due = updates % self.r1_every == 0
        return jax.lax.cond(due, lambda: gradients(True), lambda: gradients(False))

    def _on_fake(
        self, params: PyTree, averages: LecamAverages, video_BTHWC: Array
    ) -> tuple[Array, PyTree, dict[str, Array]]:
        """(slope of the generator's loss by the clips, gradients of the discriminator's terms on them, metrics)."""
        logits_B, pullback = jax.vjp(self._logits, params, video_BTHWC)

        def lost(logits_B: Array) -> tuple[Array, dict[str, Array]]:
            lecam = lecam_fake(logits_B.mean(), averages)
            total = LOSSES[self.loss].fake(logits_B) + self.lecam_weight * lecam
            return total, dict(loss=total, lecam=lecam, logits_fake=logits_B.mean())

        towards_fake_B, metrics = jax.grad(lost, has_aux=True)(logits_B)
        adversarial, towards_real_B = jax.value_and_grad(LOSSES[self.loss].generator)(logits_B)
        grads, _ = pullback(towards_fake_B)
        _, slope_BTHWC = pullback(towards_real_B)
        return slope_BTHWC, grads, dict(metrics, adversarial_loss=adversarial)


def _zeros(function: Callable[[], PyTree]) -> PyTree:
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function))

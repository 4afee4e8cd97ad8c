"""A tokenizer trained against a discriminator (thesis 3.2.1, 3.3.1, 5.4.1)."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from magvit_jax.partitioning import unbox
from magvit_jax.systems.adversary import Adversary
from magvit_jax.systems.pixels import to_float
from magvit_jax.systems.plain_tokenizer import VideoTokenizer
from magvit_jax.systems.tokenizer_loss import codebook_metrics
from magvit_jax.tokenizer.adversarial import LecamAverages
from magvit_jax.training.state import TrainState
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree


class AdversarialState(flax.struct.PyTreeNode):
    """Two players and LeCam's averages of what the discriminator says."""

    generator: TrainState
    discriminator: TrainState
    averages: LecamAverages

    @property
    def eval_params(self) -> PyTree:
        """The generator's, which are the tokenizer's."""
        return self.generator.eval_params

    def with_params(self, params: PyTree, discriminator: PyTree | None = None) -> "AdversarialState":
        """With other parameters of the tokenizer, and of the discriminator where given."""
        players = dict(generator=self.generator.with_params(params))
        if discriminator is not None:
            players["discriminator"] = self.discriminator.with_params(discriminator)
        return self.replace(**players)


class AdversarialTokenizer(VideoTokenizer):
    """A `System`: both players learn from one forward pass of each network over {"video": uint8 [B,T,H,W,3]}.

    The discriminator sees pixels in [0, 1], and reconstructions as they are, not clipped.
    """

    def __init__(self, *, adversary: Adversary, **fields: Any):
        super().__init__(**fields)
        self.adversary = adversary

    def init(self, rng: PRNGKey) -> AdversarialState:
        """The generator begins as the same seed's without an adversary."""
        params = self._init_discriminator(jax.random.fold_in(rng, 1))
        return AdversarialState(
            generator=super().init(rng),
            discriminator=TrainState.create(params, self.adversary.optimizer, self.adversary.ema_decay),
            averages=LecamAverages.create(),
        )

    def abstract_discriminator_params(self) -> PyTree:
        """Shapes of the discriminator's parameters; nothing is computed."""
        return unbox(jax.eval_shape(self._init_discriminator, jax.eval_shape(lambda: jax.random.key(0))))

    def _init_discriminator(self, rng: PRNGKey) -> PyTree:
        return self.adversary.discriminator.init(rng, jnp.zeros((1, *self.clip_shape, 3)))["params"]

    def warm_start(
        self, state: AdversarialState, params: PyTree | None = None, discriminator: PyTree | None = None
    ) -> AdversarialState:
        """A new run's state with given parameters of the tokenizer, and of the discriminator where given."""
        return state if params is None else state.with_params(params, discriminator)

    def gradients(
        self, state: AdversarialState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        del rng  # nothing here is random
        video, updates = to_float(microbatch["video"]), state.generator.updates

        def forward(params: PyTree):
            output, terms, ids = self.forward(params, video)
            return (output, terms), ids

        (output, terms), pullback, ids = jax.vjp(forward, state.generator.params, has_aux=True)
        slope, metrics = jax.grad(self.loss, argnums=(1, 2), has_aux=True)(video, output, terms, updates)
        verdict = self.adversary.judge(
            state.discriminator.params, state.averages, updates, video, jax.lax.stop_gradient(output)
        )
        weight = self.adversary.weight
        (grads,) = pullback((slope[0] + weight * verdict.slope_BTHWC, slope[1]))
        metrics |= verdict.metrics | codebook_metrics(ids, self.model.codebook_size)
        metrics["loss"] = metrics["loss"] + weight * metrics["adversarial_loss"]
        return dict(generator=grads, discriminator=verdict.grads), metrics

    def apply(
        self, state: AdversarialState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[AdversarialState, dict[str, Array]]:
        adversary = self.adversary
        generator = state.generator.apply_gradients(grads["generator"], self.optimizer, self.ema_decay)
        after = (
            state.discriminator.apply_gradients(
                grads["discriminator"], adversary.optimizer, adversary.ema_decay
            ),
            state.averages.update(aux["logits_real"], aux["logits_fake"], adversary.lecam_decay),
        )
        if adversary.start_step:
            # Until then its optimizer stands still too: zero gradients would shrink the moments that Adam divides by.
            started = adversary.started(state.generator.updates)
            before = (state.discriminator, state.averages)
            after = jax.tree.map(lambda new, old: jnp.where(started, new, old), after, before)
        norms = dict(
            gradient_norm=optax.tree.norm(grads["generator"]),
            discriminator_gradient_norm=optax.tree.norm(grads["discriminator"]),
        )
        return AdversarialState(generator, *after), aux | norms

"""A tokenizer trained by itself, without an adversary."""

import math
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from magvit_jax import metrics
from magvit_jax.systems.pixels import to_float, to_uint8
from magvit_jax.systems.tokenizer_loss import TokenizerLoss, codebook_metrics
from magvit_jax.systems.watch import CollapseWatch
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import QuantizerLosses
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

KIND = "tokenizer"


class VideoTokenizer:
    """A `System`: trains a tokenizer on {"video": uint8 [B,T,H,W,3]}.

    Args:
      batch_size: clips that one call of `gradients` sees; the warnings of collapse depend on it.
    """

    kind = KIND
    data_keys = ("video",)

    def __init__(
        self,
        *,
        model: TokenizerModel,
        loss: TokenizerLoss,
        optimizer: optax.GradientTransformation,
        ema_decay: float,
        clip_shape: tuple[int, int, int],
        batch_size: int,
    ):
        tokens = batch_size * math.prod(model.latent_shape(*clip_shape))
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.watch = CollapseWatch(min(model.codebook_size, tokens))
        self.ema_decay, self.clip_shape = ema_decay, clip_shape
        self.evaluators = {"reconstruction": self.evaluate_reconstruction}
        self._reconstruct = jax.jit(self._reconstruct_batch)

    def init(self, rng: PRNGKey) -> TrainState:
        params = self.model.init(rng, jnp.zeros((1, *self.clip_shape, 3)))["params"]
        return TrainState.create(params, self.optimizer, self.ema_decay)

    def abstract_params(self) -> PyTree:
        """Shapes of the parameters; nothing is computed."""
        return unboxed_abstract_params(self.model, ClipFormat(*self.clip_shape))

    def load_networks(self) -> None:
        """Reads the frozen networks of the loss, which training would do at its first step. UserError where absent."""
        if self.loss.perceptual.weight:
            _ = self.loss.perceptual.network

    def warm_start(self, state: TrainState, params: PyTree | None = None) -> TrainState:
        """A new run's state with given parameters, such as those of another run."""
        return state if params is None else state.with_params(params)

    def gradients(
        self, state: TrainState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        del rng  # nothing here is random
        video = to_float(microbatch["video"])

        def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
            output, terms, ids = self.forward(params, video)
            total, metrics = self.loss(video, output, terms, state.updates)
            return total, metrics | codebook_metrics(ids, self.model.codebook_size)

        return jax.grad(loss, has_aux=True)(state.params)

    def forward(self, params: PyTree, video: Array) -> tuple[Array, QuantizerLosses, Array]:
        """Reconstruction, the quantizer's terms, and ids of float pixels in [0, 1]."""
        temperature = self.loss.weights.entropy_temperature
        return self.model.apply({"params": params}, video, temperature, method="forward")

    def apply(
        self, state: TrainState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[TrainState, dict[str, Array]]:
        state = state.apply_gradients(grads, self.optimizer, self.ema_decay)
        return state, dict(aux, gradient_norm=optax.tree.norm(grads))

    def _reconstruct_batch(self, params: PyTree, video: Array) -> tuple[Array, Array]:
        variables = {"params": params}
        ids = self.model.apply(variables, to_float(video), method="encode_to_ids")
        output = self.model.apply(variables, ids, method="decode_from_ids")
        return ids, jnp.clip(output, 0.0, 1.0)

    def evaluate_reconstruction(self, state: TrainState, batches: Iterable[Batch]) -> Mapping[str, float]:
        """PSNR and SSIM of clips decoded from their ids, and how much of the codebook they use."""
        psnr, ssim = [], []
        counts = metrics.CodebookCounts.empty(self.model.codebook_size)
        for batch in batches:
            ids, output = self._reconstruct(state.eval_params, batch["video"])
            video, output, ids = to_host((batch["video"], output, ids))
            psnr.append(metrics.psnr(video, output))
            ssim.append(metrics.ssim(video, output))
            counts = counts.update(ids)
        return {
            "psnr": float(np.concatenate(psnr).mean()),
            "ssim": float(np.concatenate(ssim).mean()),
            "codebook_use": counts.usage,
            "codebook_perplexity": counts.perplexity,
        }

    def sample(self, state: TrainState, batch: Batch) -> dict[str, np.ndarray]:
        """The batch's clips beside their reconstructions."""
        _, output = self._reconstruct(state.eval_params, batch["video"])
        video, output = to_host((batch["video"], output))
        return {"original": video, "reconstruction": to_uint8(output)}

"""The MAGVIT-v2 video tokenizer, trained without an adversary (thesis 5.3, 5.4.1).

Loss: weighted reconstruction, commitment and annealed entropy penalty. Shared by every experiment that trains a
causal LFQ tokenizer; the configs are in `configs/magvit2/` and `configs/quickstart/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.systems.pixels import to_float, to_uint8
from magvit_jax.tokenizer import losses
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import QUANTIZERS, Quantizer, QuantizerLosses
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

#: Tokenizers by the name that a config's `model.architecture` gives.
ARCHITECTURES: Mapping[str, type[TokenizerModel]] = {"magvit2": MagvitV2}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; see `configs/magvit2/video_tokenizer.py` for the published values."""

    reconstruction: float
    commitment: float
    codebook: float
    entropy: float
    entropy_annealing_factor: float
    entropy_annealing_steps: int
    entropy_temperature: float


KIND = "tokenizer"


class VideoTokenizer:
    """A `System`: trains a tokenizer on {"video": uint8 [B,T,H,W,3]}."""

    kind = KIND
    data_keys = ("video",)

    def __init__(
        self,
        model: TokenizerModel,
        weights: LossWeights,
        optimizer: optax.GradientTransformation,
        ema_decay: float,
        clip_shape: tuple[int, int, int],
    ):
        model.latent_shape(*clip_shape)
        self.model, self.weights, self.optimizer = model, weights, optimizer
        self.ema_decay, self.clip_shape = ema_decay, clip_shape
        self.evaluators = {"reconstruction": self.evaluate_reconstruction}
        self._reconstruct = jax.jit(self._reconstruct_batch)

    def init(self, rng: PRNGKey) -> TrainState:
        params = self.model.init(rng, jnp.zeros((1, *self.clip_shape, 3)))["params"]
        return TrainState.create(params, self.optimizer, self.ema_decay)

    def abstract_params(self) -> PyTree:
        """Shapes of the parameters; nothing is computed."""
        return unboxed_abstract_params(self.model, ClipFormat(*self.clip_shape))

    def warm_start(self, state: TrainState, params: PyTree | None = None) -> TrainState:
        """A new run's state with given parameters, such as those of another run."""
        return state if params is None else state.with_params(params)

    def gradients(
        self, state: TrainState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        del rng  # nothing here is random
        video = to_float(microbatch["video"])

        def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
            output, terms = self.model.apply(
                {"params": params}, video, self.weights.entropy_temperature, method="forward"
            )
            return self.loss(video, output, terms, state.updates)

        return jax.grad(loss, has_aux=True)(state.params)

    def loss(
        self, video: Array, output: Array, terms: QuantizerLosses, updates: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The total and its parts."""
        w = self.weights
        parts = dict(
            reconstruction_loss=losses.reconstruction(video, output),
            commitment_loss=terms.commitment,
            codebook_loss=terms.codebook,
            entropy_loss=terms.sample_entropy - terms.mean_entropy,
        )
        entropy_weight = losses.annealed_weight(
            updates, w.entropy, w.entropy_annealing_factor, w.entropy_annealing_steps
        )
        total = (
            w.reconstruction * parts["reconstruction_loss"]
            + w.commitment * parts["commitment_loss"]
            + w.codebook * parts["codebook_loss"]
            + entropy_weight * parts["entropy_loss"]
        )
        psnr = -10.0 * jnp.log10(parts["reconstruction_loss"])
        return total, dict(
            parts,
            loss=total,
            psnr=psnr,
            sample_entropy=terms.sample_entropy,
            mean_entropy=terms.mean_entropy,
        )

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


def build_model(config: ConfigDict) -> TokenizerModel:
    """The tokenizer of a `config.model`."""
    if config.dtype not in DTYPES:
        raise UserError(f"model.dtype: {config.dtype!r}; expected one of {', '.join(DTYPES)}")
    architecture = _named(ARCHITECTURES, config.get("architecture"), "model.architecture")
    fields = {name: config[name] for name in config if name not in ("architecture", "dtype", "quantizer")}
    return architecture(**fields, quantizer=build_quantizer(config.quantizer), dtype=DTYPES[config.dtype])


def build_quantizer(config: ConfigDict) -> Quantizer:
    """The quantizer of a `config.model.quantizer`."""
    quantizer = _named(QUANTIZERS, config.get("name"), "model.quantizer.name")
    return quantizer(**{field: config[field] for field in config if field != "name"})


def _named(table: Mapping[str, Any], name: str | None, key: str) -> Any:
    if name not in table:
        raise UserError(f"{key}: {name!r}; expected one of {', '.join(table)}")
    return table[name]


def build(config: ConfigDict) -> VideoTokenizer:
    """The system of a whole training config."""
    return VideoTokenizer(
        model=build_model(config.model),
        weights=LossWeights(**config.loss),
        optimizer=make_optimizer(config.optimizer, config.training.steps),
        ema_decay=config.training.ema_decay,
        clip_shape=(config.data.frames, config.data.height, config.data.width),
    )

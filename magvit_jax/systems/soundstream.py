"""SoundStream trained against a discriminator of spectra (Zeghidour et al. 2021, III; thesis 8.3)."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.systems.sound_adversary import SoundAdversary
from magvit_jax.tokenizer.codebook import batch_use
from magvit_jax.tokenizer.soundstream import losses, residual_vq
from magvit_jax.tokenizer.soundstream.codec import codec_params
from magvit_jax.tokenizer.soundstream.discriminator import StftDiscriminator
from magvit_jax.tokenizer.soundstream.initial import initial_params
from magvit_jax.tokenizer.soundstream.model import SoundStream
from magvit_jax.tokenizer.soundstream.residual_vq import Assignments, Codebooks, Quantized
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

KIND = "sound_tokenizer"
TERMS = ("reconstruction", "waveform", "commitment", "adversarial", "features")  # of `LossWeights`


def measures(sample_rate: int) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Functions of sounds and their reconstructions, [B, S] each, to dB, [B]; by name."""
    names = ("log_spectral_distance", "log_spectral_distance_40", "log_mel_distance", "log_mel_distance_40")
    conventions = metrics.spectral_conventions(sample_rate).values()
    distances = (functools.partial(metrics.log_spectral_distance, **convention) for convention in conventions)
    return dict(si_sdr=metrics.si_sdr, **dict(zip(names, distances, strict=True)))


class SoundStreamState(flax.struct.PyTreeNode):
    """Two players, and the codebooks, which have no optimizer."""

    generator: TrainState
    discriminator: TrainState
    books: Codebooks

    @property
    def eval_params(self) -> PyTree:
        """The parameters to ship, those of a `SoundStreamCodec`."""
        return codec_params(self.generator.eval_params, self.books.codes_QKD)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's terms. Published: reconstruction 1, adversarial 1, features 100, waveform 0.

    `reconstruction` is of the spectral distance; `waveform` of the mean absolute difference of samples, which
    EnCodec adds: spectra alone leave the phase to the adversary, who takes long to teach it.
    """

    reconstruction: float
    waveform: float
    commitment: float
    adversarial: float
    features: float


@dataclass(frozen=True)
class Quantization:
    """Size of the codebooks and how they follow the data; published: 4 levels of 1,024 (8.3), 0.99, 2, 1.

    Attributes:
      levels, size: of the codebooks.
      decay, restart_below: see `residual_vq.update`.
      dropout: share of the examples that train with a random number of levels.
    """

    levels: int
    size: int
    decay: float
    restart_below: float
    dropout: float

    def __post_init__(self):
        if not 0 <= self.decay < 1 or not self.restart_below > 0 or not 0 <= self.dropout <= 1:
            raise UserError(
                f"quantizer: decay {self.decay}, restart_below {self.restart_below}, dropout {self.dropout}; expected "
                "a decay from 0 to below 1, restart_below above 0, and dropout from 0 to 1"
            )


@dataclass(frozen=True)
class SamplesFirst:
    """The beginning of a run, in which samples lead: `reconstruction` weighs this much for `steps` updates; 0: never.

    A small network that is asked for spectra from the start says the loudness of each band by its first level and
    little else by any. One that has learnt samples keeps what the levels say of them when it is asked for spectra.
    """

    steps: int = 0
    reconstruction: float = 0.0

    def __post_init__(self):
        if not isinstance(self.steps, int) or self.steps < 0 or not self.reconstruction >= 0:
            raise UserError(
                f"samples_first: steps {self.steps}, reconstruction {self.reconstruction}; expected a whole number "
                "and a weight, 0 or more"
            )


class SoundStreamSystem:
    """A `System`: trains SoundStream on {"audio": float32 [B, S]}."""

    kind = KIND
    data_keys = ("audio",)

    def __init__(
        self,
        *,
        model: SoundStream,
        quantization: Quantization,
        discriminator: StftDiscriminator,
        weights: LossWeights,
        samples_first: SamplesFirst,
        windows: tuple[int, ...],
        floor: float,
        optimizer: optax.GradientTransformation,
        discriminator_optimizer: optax.GradientTransformation,
        ema_decay: float,
        samples: int,
        sample_rate: int,
    ):
        self.model, self.quantization = model, quantization
        self.adversary = SoundAdversary(discriminator, weights.adversarial, weights.features)
        self.weights, self.samples_first = weights, samples_first
        self.windows, self.floor, self.ema_decay = windows, floor, ema_decay
        self.optimizer, self.discriminator_optimizer = optimizer, discriminator_optimizer
        self.samples, self.sample_rate = samples, sample_rate
        self.evaluators = {"reconstruction": self.evaluate_reconstruction}
        self._encode = jax.jit(lambda p, codes, x: model.apply({"params": p}, x, codes, method="encode_to_ids"))
        self._decode = jax.jit(
            lambda p, codes, ids: model.apply({"params": p}, ids, codes, method="decode_from_ids")
        )

    def init(self, rng: PRNGKey) -> SoundStreamState:
        audio_BS = jnp.zeros((1, self.samples))
        generator = initial_params(self.model, rng, audio_BS)
        discriminator = initial_params(self.adversary.discriminator, jax.random.fold_in(rng, 1), audio_BS)
        q = self.quantization
        return SoundStreamState(
            generator=TrainState.create(generator, self.optimizer, self.ema_decay),
            discriminator=TrainState.create(discriminator, self.discriminator_optimizer),
            books=Codebooks.create(q.levels, q.size, self.model.latent_dim),
        )

    def described(self) -> dict[str, Any]:
        """What a bundle says of the codec, as plain JSON values."""
        model, q = self.model, self.quantization
        sizes = dict(channels=model.channels, strides=list(model.strides), latent_dim=model.latent_dim)
        return dict(
            codec="soundstream",
            model=dict(sizes, levels=q.levels, codebook_size=q.size),
            sample_rate=self.sample_rate,
        )

    def warm_start(self, state: SoundStreamState) -> SoundStreamState:
        """A new run begins as it was initialised."""
        return state

    def gradients(
        self, state: SoundStreamState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        audio_BS = microbatch["audio"]
        level_key, pick_key = jax.random.split(rng)
        levels_B = self._draw_levels(level_key, audio_BS.shape[0])

        def forward(params: PyTree) -> tuple[tuple[Array, Array], Quantized]:
            quantized, output_BS = self._reconstruct(params, state.books.codes_QKD, audio_BS, levels_B)
            return (output_BS, quantized.commitment), quantized

        (output_BS, commitment), pullback, quantized = jax.vjp(forward, state.generator.params, has_aux=True)
        weights = self._weights_at(state.generator.updates)
        own_loss = functools.partial(self._own_loss, weights=weights)
        slopes, metrics = jax.grad(own_loss, argnums=(0, 1), has_aux=True)(output_BS, commitment, audio_BS)
        judged = self.adversary.judge(state.discriminator.params, audio_BS, output_BS)
        (grads,) = pullback((slopes[0] + judged.slope_BS, slopes[1]))
        metrics |= judged.metrics | self._use(quantized.ids_BTQ)
        metrics["loss"] = sum(weights[name] * metrics[f"{name}_loss"] for name in TERMS)
        counts = residual_vq.assignments(pick_key, quantized, self.quantization.size)
        return dict(generator=grads, discriminator=judged.grads), metrics | counts._asdict()

    def apply(
        self, state: SoundStreamState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[SoundStreamState, dict[str, Array]]:
        shown = dict(aux)
        batch = Assignments(*(shown.pop(name) for name in Assignments._fields))
        q = self.quantization
        books, restarted = residual_vq.update(state.books, batch, q.decay, q.restart_below)
        generator = state.generator.apply_gradients(grads["generator"], self.optimizer, self.ema_decay)
        discriminator = state.discriminator.apply_gradients(grads["discriminator"], self.discriminator_optimizer)
        shown |= dict(
            restarted_codes=restarted,
            gradient_norm=optax.tree.norm(grads["generator"]),
            discriminator_gradient_norm=optax.tree.norm(grads["discriminator"]),
        )
        return SoundStreamState(generator, discriminator, books), shown

    def sample(self, state: SoundStreamState, batch: Batch) -> dict[str, np.ndarray]:
        """No pictures."""
        return {}

    def evaluate_reconstruction(self, state: SoundStreamState, batches: Iterable[Batch]) -> Mapping[str, float]:
        """Mean of the `measures`, dB, of sounds decoded from 1, 2, ... levels, and the use of codes.

        Silent sounds, which have none, are left out and counted.
        """
        level_numbers = range(1, self.quantization.levels + 1)
        every = measures(self.sample_rate)
        found: dict[str, list[np.ndarray]] = {f"{name}_{n}": [] for name in every for n in level_numbers}
        use = [metrics.CodebookCounts.empty(self.quantization.size) for _ in level_numbers]
        silent, params, codes = 0, state.generator.eval_params, state.books.codes_QKD
        for batch in batches:
            ids_BTQ = self._encode(params, codes, batch["audio"])
            audio_BS, ids = to_host((batch["audio"], ids_BTQ))
            heard_B = np.abs(audio_BS).max(1) > 0
            silent += int((~heard_B).sum())
            use = [counts.update(ids[..., level]) for level, counts in enumerate(use)]
            if not heard_B.any():
                continue
            for n in level_numbers:
                output_BS = to_host(self._decode(params, codes, ids_BTQ[..., :n]))
                for name, measure in every.items():
                    found[f"{name}_{n}"].append(measure(audio_BS[heard_B], output_BS[heard_B]))
        values = {"silent_sounds": float(silent)}
        values |= {f"codebook_use_{n}": use[n - 1].usage for n in level_numbers}
        return values | {name: float(np.concatenate(parts).mean()) for name, parts in found.items() if parts}

    def _reconstruct(
        self, params: PyTree, codes_QKD: Array, audio_BS: Array, levels_B: Array
    ) -> tuple[Quantized, Array]:
        variables = {"params": params}
        z_BTD = self.model.apply(variables, audio_BS, method="encode")
        quantized = residual_vq.quantize(codes_QKD, z_BTD, levels_B)
        return quantized, self.model.apply(variables, quantized.z_BTD, method="decode")

    def _weights_at(self, updates: Array) -> dict[str, float | Array]:
        weights, first = dataclasses.asdict(self.weights), self.samples_first
        if first.steps:
            now = jnp.where(updates < first.steps, first.reconstruction, weights["reconstruction"])
            weights["reconstruction"] = now
        return weights

    def _own_loss(
        self, output_BS: Array, commitment: Array, audio_BS: Array, *, weights: Mapping[str, float | Array]
    ) -> tuple[Array, dict[str, Array]]:
        """What the generator loses without an adversary."""
        terms = dict(
            reconstruction=losses.spectral_distance(
                audio_BS, output_BS, self.windows, self.sample_rate, self.floor
            ),
            waveform=jnp.abs(audio_BS - output_BS).mean(),
            commitment=commitment,
        )
        total = sum(weights[name] * value for name, value in terms.items())
        return total, {f"{name}_loss": value for name, value in terms.items()}

    def _draw_levels(self, rng: PRNGKey, batch: int) -> Array:
        """int32 [B]: the levels that count for each example."""
        q, (number_key, drop_key) = self.quantization, jax.random.split(rng)
        drawn_B = residual_vq.draw_levels(number_key, batch, q.levels)
        return jnp.where(jax.random.bernoulli(drop_key, q.dropout, (batch,)), drawn_B, q.levels)

    def _use(self, ids_BTQ: Array) -> dict[str, Array]:
        size = self.quantization.size
        return {
            f"batch_perplexity_{level + 1}": batch_use(ids_BTQ[..., level], size)[1]
            for level in range(self.quantization.levels)
        }


def build(config: ConfigDict) -> SoundStreamSystem:
    """The system of a whole training config.

    Raises:
      UserError: a value out of range; clips that are no whole number of latents; more than one microbatch, as the
        codebooks follow whole batches; or `init_from`, which is for video models.
    """
    data, training = config.data, config.training
    model = SoundStream(**{name: config.model[name] for name in config.model})
    if data.samples % model.samples_per_latent:
        raise UserError(
            f"data.samples: {data.samples}; expected a multiple of {model.samples_per_latent}, the model's strides"
        )
    floor = config.get("floor", losses.FLOOR)  # runs that were begun before these could be chosen do not have them
    if not floor > 0:
        raise UserError(f"floor: {floor}; expected a number above 0, below which a band counts as silent")
    longest = max(*config.windows, *config.discriminator.windows)
    if data.samples < longest:
        raise UserError(f"data.samples: {data.samples}; expected {longest} or more, the longest window")
    if training.microbatches != 1:
        raise UserError(f"training.microbatches: {training.microbatches}; expected 1, codebooks follow whole batches")
    per_code = data.batch_size * (data.samples // model.samples_per_latent) / config.quantizer.size
    if per_code < config.quantizer.restart_below:
        raise UserError(
            f"quantizer.restart_below: {config.quantizer.restart_below}, and a batch has {per_code:.2g} latents for "
            "each code of a level, so that codes would be set anew for ever; expected a larger batch or a lower number"
        )
    if config.init_from:
        raise UserError(f"config.init_from: {config.init_from}; expected none, sound tokenizers begin from scratch")
    return SoundStreamSystem(
        model=model,
        quantization=Quantization(**_fields(config.quantizer)),
        discriminator=StftDiscriminator(**_fields(config.discriminator)),
        weights=LossWeights(**_fields(config.loss)),
        samples_first=SamplesFirst(**_fields(config.get("samples_first", {}))),
        windows=tuple(config.windows),
        floor=floor,
        optimizer=make_optimizer(config.optimizer, training.steps),
        discriminator_optimizer=make_optimizer(config.discriminator_optimizer, training.steps),
        ema_decay=training.ema_decay,
        samples=data.samples,
        sample_rate=data.sample_rate,
    )


def _fields(config: ConfigDict) -> dict[str, Any]:
    return {name: config[name] for name in config}

"""MAGVIT's masked video transformer on a frozen tokenizer (thesis ch. 6, 5.3.2): COMMIT training on a task mixture."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.generation.masked import Decoding, generate_ids
from magvit_jax.partitioning import unbox
from magvit_jax.systems.pixels import to_float, to_uint8
from magvit_jax.systems.video_tokenizer import DTYPES
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.masking import corrupt
from magvit_jax.tokens.tasks import LatentGrid, TaskMixture, build_task
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState
from magvit_jax.transformer.loss import PartWeights, commit_loss
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

KIND = "generator"


class MaskedVideoState(flax.struct.PyTreeNode):
    """The transformer in training, and the tokenizer's parameters, which never change."""

    train: TrainState
    tokenizer: PyTree

    @property
    def eval_params(self) -> PyTree:
        return self.train.eval_params


class MaskedVideo:
    """A `System`: trains on {"video": uint8 [B,T,H,W,3], "label": int32 [B], "index": uint32 [B]}.

    With `from_ids`, "ids" takes the place of "video": int32 [B,t,h,w], the tokens of the clips. That serves
    tasks whose condition tokens are the clip's own (`TaskMixture.exact`). There are no pixels to compare with, so
    of the evaluators only the loss is left.

    All randomness of an example but dropout comes from its "index": task, mask, dropped class.
    """

    kind = KIND

    def __init__(
        self,
        *,
        transformer: MaskedTransformer,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        mixture: TaskMixture,
        mask_schedule: str,
        mask_ratio_per: str,
        part_weights: PartWeights,
        label_smoothing: float,
        class_dropout: float,
        decoding: Mapping[str, Decoding],
        optimizer: optax.GradientTransformation,
        ema_decay: float,
        seed: int,
        from_ids: bool,
    ):
        if from_ids and not mixture.exact:
            inexact = next(task.name for task in mixture.tasks if not task.exact(mixture.grid))
            raise UserError(
                f"task {inexact!r} conditions on tokens of a padded clip, which token shards do not have; "
                "expected pixels"
            )
        self._clips = "ids" if from_ids else "video"
        self.data_keys = (self._clips, "label", "index")
        self.transformer, self.tokenizer = transformer, tokenizer
        self.vocabulary, self.mixture = vocabulary, mixture
        self.corrupt = functools.partial(
            corrupt, mask_id=vocabulary.mask_id, schedule=mask_schedule, ratio_per=mask_ratio_per
        )
        self.loss = functools.partial(commit_loss, weights=part_weights, label_smoothing=label_smoothing)
        self.class_dropout, self.decoding = class_dropout, decoding
        self.optimizer, self.ema_decay = optimizer, ema_decay
        # Made here, not in the step: keys cannot be made under the mesh of an ahead-of-time compilation.
        self.example_key = jax.random.key(seed + 1)
        self.evaluators = {"validation": self.evaluate_loss}
        if "frame_prediction" in vocabulary.tasks and not from_ids:
            self.evaluators["frame_prediction"] = self.evaluate_frame_prediction
        self._validation = jax.jit(self._validation_losses)
        self._decode = jax.jit(self._decode_clipped)
        self._generate = jax.jit(self._generate_videos, static_argnames=("task_index",))

    def init(self, rng: PRNGKey) -> MaskedVideoState:
        """The tokenizer's parameters are zeros until `warm_start` puts the trained ones there."""
        length = PREFIX_LENGTH + self.mixture.grid.num_tokens
        params = self.transformer.init(rng, jnp.zeros((1, length), jnp.int32))["params"]
        frozen = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.tokenizer.abstract_params())
        return MaskedVideoState(TrainState.create(params, self.optimizer, self.ema_decay), frozen)

    def abstract_params(self) -> PyTree:
        """Shapes of the transformer's parameters; nothing is computed."""
        ids = jax.ShapeDtypeStruct((1, PREFIX_LENGTH + self.mixture.grid.num_tokens), jnp.int32)
        key = jax.eval_shape(lambda: jax.random.key(0))
        return unbox(jax.eval_shape(self.transformer.init, key, ids)["params"])

    def warm_start(self, state: MaskedVideoState, params: PyTree | None = None) -> MaskedVideoState:
        """A new run's state with the trained tokenizer in it, and with given transformer parameters."""
        train = state.train if params is None else state.train.with_params(params)
        return MaskedVideoState(train, self.tokenizer.params)

    def _keys(self, index_B: Array) -> PRNGKey:
        return jax.vmap(lambda index: jax.random.fold_in(self.example_key, index))(index_B)

    def _corrupted(self, tokenizer_params: PyTree, batch: Batch):
        """(prefix [B, 2], target ids [B, N], corrupted) of a batch."""
        task_key, mask_key, drop_key = jnp.unstack(
            jax.vmap(lambda k: jax.random.split(k, 3))(self._keys(batch["index"])), axis=1
        )
        clips = batch[self._clips]
        task_B = self.mixture.draw(task_key)
        target_BN = self._tokens(tokenizer_params, clips)
        condition_BN = target_BN
        if not self.mixture.exact:
            condition_BN = self._tokens(tokenizer_params, clips, lambda video: self.mixture.pad(video, task_B))
        region_BN = self.mixture.region(task_B).reshape(target_BN.shape)
        corrupted = self.corrupt(mask_key, target_BN, condition_BN, region_BN)
        dropped_B = jax.vmap(jax.random.uniform)(drop_key) < self.class_dropout
        label_B = jnp.where(dropped_B, -1, batch["label"].astype(jnp.int32))
        return self.vocabulary.prefix(task_B, self.mixture.labels(task_B, label_B)), target_BN, corrupted

    def _tokens(self, tokenizer_params: PyTree, clips: Array, pad: Callable[[Array], Array] | None = None) -> Array:
        """Ids [B, N] of a batch's clips; of videos, as `pad` leaves them. In an exact task padding changes no token
        that is used."""
        if self._clips == "video":
            video = to_float(clips)
            video = video if pad is None else pad(video)
            clips = self.tokenizer.model.apply({"params": tokenizer_params}, video, method="encode_to_ids")
        if clips.shape[1:] != self.mixture.grid.shape:
            raise UserError(f"tokens of shape {clips.shape[1:]}; expected {self.mixture.grid.shape}")
        return jax.lax.stop_gradient(clips.reshape(clips.shape[0], -1))

    def gradients(
        self, state: MaskedVideoState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        prefix, target_BN, corrupted = self._corrupted(state.tokenizer, microbatch)
        ids_BL = jnp.concatenate([prefix, corrupted.ids_BN], axis=1)

        def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
            logits = self.transformer.apply(
                {"params": params}, ids_BL, deterministic=False, rngs={"dropout": rng}
            )
            return self.loss(logits, target_BN, corrupted)

        return jax.grad(loss, has_aux=True)(state.train.params)

    def apply(
        self, state: MaskedVideoState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[MaskedVideoState, dict[str, Array]]:
        train = state.train.apply_gradients(grads, self.optimizer, self.ema_decay)
        return state.replace(train=train), dict(aux, gradient_norm=optax.tree.norm(grads))

    def _validation_losses(self, state: MaskedVideoState, batch: Batch) -> dict[str, Array]:
        prefix, target_BN, corrupted = self._corrupted(state.tokenizer, batch)
        ids_BL = jnp.concatenate([prefix, corrupted.ids_BN], axis=1)
        return self.loss(self.transformer.apply({"params": state.eval_params}, ids_BL), target_BN, corrupted)[
            1
        ]

    def evaluate_loss(self, state: MaskedVideoState, batches: Iterable[Batch]) -> Mapping[str, float]:
        """The training loss on held-out clips, without dropout."""
        results = [self._validation(state, {key: batch[key] for key in self.data_keys}) for batch in batches]
        return {name: float(np.mean([result[name] for result in results])) for name in results[0]}

    def _generate_videos(
        self, state: MaskedVideoState, clips: Array, label_B: Array, index_B: Array, task_index: int
    ) -> Array:
        task = self.mixture.tasks[task_index]
        condition_BN = self._tokens(state.tokenizer, clips, task.pad)
        ids_BN = generate_ids(
            self.transformer,
            state.eval_params,
            self.vocabulary,
            self.mixture.grid,
            task,
            self.decoding[task.name],
            condition_BN,
            label_B,
            self._keys(index_B),
        )
        ids = ids_BN.reshape(-1, *self.mixture.grid.shape)
        return self._decode_clipped(state.tokenizer, ids)

    def _decode_clipped(self, tokenizer_params: PyTree, ids_Bthw: Array) -> Array:
        output = self.tokenizer.model.apply({"params": tokenizer_params}, ids_Bthw, method="decode_from_ids")
        return jnp.clip(output, 0.0, 1.0)

    def evaluate_frame_prediction(
        self, state: MaskedVideoState, batches: Iterable[Batch]
    ) -> Mapping[str, float]:
        """PSNR of one sample a clip over the frames that were not given, beside repeating the last given frame."""
        task_index = self.vocabulary.tasks.index("frame_prediction")
        given = self.mixture.tasks[task_index].given_frames
        ours, repeated = [], []
        for batch in batches:
            output = self._generate(
                state, batch["video"], batch["label"], batch["index"], task_index=task_index
            )
            video, output = to_host((batch["video"], output))
            ours.append(metrics.psnr(video[:, given:], output[:, given:]))
            repeated.append(metrics.psnr(video[:, given:], metrics.repeat_frame(video, given - 1)[:, given:]))
        return {
            "psnr": float(np.concatenate(ours).mean()),
            "psnr_repeat_last": float(np.concatenate(repeated).mean()),
        }

    def sample(self, state: MaskedVideoState, batch: Batch) -> dict[str, np.ndarray]:
        """The batch's clips, and one sample of every task for each of them."""
        if self._clips == "ids":
            samples = {"tokenized": to_uint8(to_host(self._decode(state.tokenizer, batch["ids"])))}
        else:
            samples = {"original": to_host(batch["video"])}
        for task_index, task in enumerate(self.mixture.tasks):
            output = self._generate(
                state, batch[self._clips], batch["label"], batch["index"], task_index=task_index
            )
            samples[task.name] = to_uint8(to_host(output))
        return samples


def latent_grid(model: Any, clip_shape: tuple[int, int, int]) -> LatentGrid:
    """The grid of a tokenizer's ids for clips of (frames, height, width)."""
    t, h, w = model.latent_shape(*clip_shape)
    return LatentGrid(t, h, w, temporal_stride=model.compression[0], causal=model.leading_frame)


def build_vocabulary(config: ConfigDict, bits: int, num_classes: int) -> Vocabulary:
    """Of a `config.tasks`, whose keys are task names; prompts are in alphabetical order."""
    return Vocabulary(codes=2**bits, num_classes=num_classes, tasks=tuple(sorted(config)))


def build_transformer(config: ConfigDict, vocabulary: Vocabulary, grid: LatentGrid) -> MaskedTransformer:
    """The transformer of a `config.model`."""
    if config.dtype not in DTYPES:
        raise UserError(f"model.dtype: {config.dtype!r}; expected one of {', '.join(DTYPES)}")
    fields = {name: config[name] for name in config if name != "dtype"}
    return MaskedTransformer(
        codes=vocabulary.codes,
        num_special=vocabulary.num_special,
        max_length=PREFIX_LENGTH + grid.num_tokens,
        dtype=DTYPES[config.dtype],
        **fields,
    )


def build_mixture(config: ConfigDict, grid: LatentGrid) -> TaskMixture:
    """The tasks of a `config.tasks`: {name: {weight, settings, decoding}}."""
    names = sorted(config)
    tasks = tuple(build_task(name, config[name].settings.to_dict()) for name in names)
    return TaskMixture(tasks=tasks, weights=tuple(config[name].weight for name in names), grid=grid)


def build_decoding(config: ConfigDict) -> dict[str, Decoding]:
    """How each task of a `config.tasks` is decoded."""
    return {name: Decoding(**config[name].decoding) for name in config}


def build(config: ConfigDict, tokenizer: Tokenizer, num_classes: int) -> MaskedVideo:
    """The system of a whole training config, on a trained tokenizer."""
    grid = latent_grid(tokenizer.model, (config.data.frames, config.data.height, config.data.width))
    vocabulary = build_vocabulary(config.tasks, tokenizer.model.bits, num_classes)
    return MaskedVideo(
        transformer=build_transformer(config.model, vocabulary, grid),
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        mixture=build_mixture(config.tasks, grid),
        mask_schedule=config.masking.schedule,
        mask_ratio_per=config.masking.ratio_per,
        part_weights=PartWeights(**config.loss.part_weights),
        label_smoothing=config.loss.label_smoothing,
        class_dropout=config.masking.class_dropout,
        decoding=build_decoding(config.tasks),
        optimizer=make_optimizer(config.optimizer, config.training.steps),
        ema_decay=config.training.ema_decay,
        seed=config.seed,
        from_ids=config.data.source == "token_shards",
    )

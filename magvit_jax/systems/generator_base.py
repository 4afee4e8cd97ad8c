"""What every generator on a frozen tokenizer shares (thesis 6.4.1): tokens, tasks, evaluators, pictures.

A system says one thing more: how the tokens of a batch become inputs, targets and a loss
(`GeneratorSystem.loss`). Its `build` makes its transformer, and the decoding settings, whose type says how
ids are generated (`generation.ids`).
"""

import abc
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.generation.ids import generate_ids
from magvit_jax.generation.masked import Conditions
from magvit_jax.generation.settings import Decoding
from magvit_jax.partitioning import unbox
from magvit_jax.systems.pixels import to_float, to_uint8
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.prefix import Condition, pack
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary
from magvit_jax.training.sharded import to_host
from magvit_jax.training.state import TrainState
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

KIND = "generator"


class GeneratorState(flax.struct.PyTreeNode):
    """The transformer in training, and the tokenizer's parameters, which never change."""

    train: TrainState
    tokenizer: PyTree

    @property
    def eval_params(self) -> PyTree:
        return self.train.eval_params


class Drawn(NamedTuple):
    """A batch as tokens, and what was drawn for each of its examples.

    Attributes:
        task_B: int32, positions in `TaskMixture.tasks`.
        label_B: int32, -1 where the label was dropped, is not known, or is none of the task's business.
        prefix_B2: int32 ids of task prompt and class.
        target_BN: int32 ids of the clips.
        condition_BN: int32 ids of the padded clips; of use inside the region only.
        region_BN: bool, the task's condition region.
        keys_B: a key an example, for whatever else is random about it but dropout.
    """

    task_B: Array
    label_B: Array
    prefix_B2: Array
    target_BN: Array
    condition_BN: Array
    region_BN: Array
    keys_B: PRNGKey

    def before(self, slots: int) -> Condition | None:
        """The condition tokens in so many slots before the sequence; None for a model that has none."""
        return pack(self.condition_BN, self.region_BN, slots) if slots else None


class GeneratorSystem(abc.ABC):
    """A `System` but for its loss: trains on {"video": uint8 [B,T,H,W,3], "label": int32 [B],
    "index": uint32 [B]}; of data without classes there need be no "label".

    With `from_ids`, "ids" takes the place of "video": int32 [B,t,h,w], the tokens of the clips. That serves
    tasks whose condition tokens are the clip's own (`TaskMixture.exact`). There are no pixels to compare
    with, so of the evaluators only the loss is left.

    All randomness of an example but dropout comes from its "index": task, mask, dropped class.

    Args:
        transformer: the network in training.
        class_dropout: share of the labels that are hidden, for guidance.
        decoding: by task, the settings of its transformer's way to decode.
        needs_condition: whether the loss reads `Drawn.condition_BN`; else no padded clip is tokenized for it.
        keeps_condition: whether all condition tokens are kept when it generates, and not only those that are
            exact.
    """

    kind = KIND

    def __init__(
        self,
        *,
        transformer: nn.Module,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        mixture: TaskMixture,
        class_dropout: float,
        decoding: Mapping[str, Decoding],
        optimizer: optax.GradientTransformation,
        ema_decay: float,
        seed: int,
        from_ids: bool,
        needs_condition: bool = True,
        keeps_condition: bool = False,
    ):
        if from_ids and not mixture.exact:
            inexact = next(task.name for task in mixture.tasks if not task.exact(mixture.grid))
            raise UserError(
                f"task {inexact!r} conditions on tokens of a padded clip, which token shards do not have; "
                "expected pixels"
            )
        if not 0 <= class_dropout <= 1:
            raise UserError(f"masking.class_dropout is {class_dropout}; expected a share in [0, 1]")
        self._clips = "ids" if from_ids else "video"
        self.data_keys = (self._clips, "label", "index") if vocabulary.num_classes else (self._clips, "index")
        self.transformer, self.tokenizer = transformer, tokenizer
        self.vocabulary, self.mixture = vocabulary, mixture
        self.class_dropout, self.decoding = class_dropout, decoding
        self.optimizer, self.ema_decay = optimizer, ema_decay
        self._pads, self._keeps_condition = needs_condition and not mixture.exact, keeps_condition
        # Made here, not in the step: keys cannot be made under the mesh of an ahead-of-time compilation.
        self.example_key = jax.random.key(seed + 1)
        self.evaluators = {"validation": self.evaluate_loss}
        if "frame_prediction" in vocabulary.tasks and not from_ids:
            self.evaluators["frame_prediction"] = self.evaluate_frame_prediction
        self._validation = jax.jit(self._validation_losses)
        self._decode = jax.jit(self._decode_clipped)
        self._generate = jax.jit(self._generate_videos, static_argnames=("decoding",))

    # What a system has to say.

    @abc.abstractmethod
    def loss(self, params: PyTree, drawn: Drawn, dropout: PRNGKey | None) -> tuple[Array, dict[str, Array]]:
        """(mean loss, scalars to log, the loss among them) of a batch; no dropout where its key is None."""

    def init_params(self, rng: PRNGKey) -> PyTree:
        """Boxed initial parameters, of a transformer that takes int32 [B, 2 + N]."""
        length = PREFIX_LENGTH + self.mixture.grid.num_tokens
        return self.transformer.init(rng, jnp.zeros((1, length), jnp.int32))["params"]

    # The loop's side.

    def init(self, rng: PRNGKey) -> GeneratorState:
        """The tokenizer's parameters are zeros until `warm_start` puts the trained ones there."""
        frozen = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.tokenizer.abstract_params())
        train = TrainState.create(self.init_params(rng), self.optimizer, self.ema_decay)
        return GeneratorState(train, frozen)

    def abstract_params(self) -> PyTree:
        """Shapes of the transformer's parameters; nothing is computed."""
        return unbox(jax.eval_shape(self.init_params, jax.eval_shape(lambda: jax.random.key(0))))

    def warm_start(self, state: GeneratorState, params: PyTree | None = None) -> GeneratorState:
        """A new run's state with the trained tokenizer in it, and with given transformer parameters."""
        train = state.train if params is None else state.train.with_params(params)
        return GeneratorState(train, self.tokenizer.params)

    def gradients(
        self, state: GeneratorState, microbatch: Batch, rng: PRNGKey
    ) -> tuple[PyTree, dict[str, Array]]:
        drawn = self._draw(state.tokenizer, microbatch)
        return jax.grad(lambda params: self.loss(params, drawn, rng), has_aux=True)(state.train.params)

    def apply(
        self, state: GeneratorState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[GeneratorState, dict[str, Array]]:
        train = state.train.apply_gradients(grads, self.optimizer, self.ema_decay)
        return state.replace(train=train), dict(aux, gradient_norm=optax.tree.norm(grads))

    # Batches to tokens.

    def _keys(self, index_B: Array) -> PRNGKey:
        return jax.vmap(lambda index: jax.random.fold_in(self.example_key, index))(index_B)

    def _draw(self, tokenizer_params: PyTree, batch: Batch) -> Drawn:
        task_key, own_key, drop_key = jnp.unstack(
            jax.vmap(lambda k: jax.random.split(k, 3))(self._keys(batch["index"])), axis=1
        )
        clips = batch[self._clips]
        task_B = self.mixture.draw(task_key)
        target_BN = self._tokens(tokenizer_params, clips)
        condition_BN = target_BN
        if self._pads:
            condition_BN = self._condition(tokenizer_params, clips, task_B)
        dropped_B = jax.vmap(jax.random.uniform)(drop_key) < self.class_dropout
        label_B = self.mixture.labels(task_B, jnp.where(dropped_B, -1, self._labels(batch)))
        return Drawn(
            task_B=task_B,
            label_B=label_B,
            prefix_B2=self.vocabulary.prefix(task_B, label_B),
            target_BN=target_BN,
            condition_BN=condition_BN,
            region_BN=self.mixture.region(task_B).reshape(target_BN.shape),
            keys_B=own_key,
        )

    def _labels(self, batch: Batch) -> Array:
        """Int32 [B]; of data without classes whatever labels there are mean nothing."""
        if not self.vocabulary.num_classes:
            return jnp.full(batch["index"].shape, -1, jnp.int32)
        return jnp.asarray(batch["label"]).astype(jnp.int32)

    def _condition(self, tokenizer_params: PyTree, clips: Array, task_B: Array) -> Array:
        """Ids [B, N] of the clips, each padded by its own task. Token shards serve exact tasks alone, where
        padding changes no token that is used."""
        if self._clips == "ids":
            return self._tokens(tokenizer_params, clips)
        return self._tokens(tokenizer_params, self.mixture.pad(to_float(clips), task_B))

    def _tokens(self, tokenizer_params: PyTree, clips: Array) -> Array:
        """Ids [B, N] of clips: of ids as they are, of uint8 or float videos the tokenizer's."""
        if self._clips == "video":
            video = to_float(clips) if clips.dtype == jnp.uint8 else clips
            clips = self.tokenizer.model.apply({"params": tokenizer_params}, video, method="encode_to_ids")
        if clips.shape[1:] != self.mixture.grid.shape:
            raise UserError(f"tokens of shape {clips.shape[1:]}; expected {self.mixture.grid.shape}")
        return jax.lax.stop_gradient(clips.reshape(clips.shape[0], -1))

    # What is measured and shown.

    def _validation_losses(self, state: GeneratorState, batch: Batch) -> dict[str, Array]:
        return self.loss(state.eval_params, self._draw(state.tokenizer, batch), None)[1]

    def evaluate_loss(self, state: GeneratorState, batches: Iterable[Batch]) -> Mapping[str, float]:
        """The training loss on held-out clips, without dropout."""
        results = [self._validation(state, {key: batch[key] for key in self.data_keys}) for batch in batches]
        return {name: float(np.mean([result[name] for result in results])) for name in results[0]}

    def generate(self, state: GeneratorState, batch: Batch, task: str) -> Array:
        """One sample of a task for every clip of a batch: float32 videos in [0, 1], [B, T, H, W, 3]."""
        used, index = {key: batch[key] for key in self.data_keys}, self.vocabulary.tasks.index(task)
        return self._generate(state, used, jnp.int32(index), decoding=self.decoding_of(task))

    def decoding_of(self, task: str) -> Decoding:
        """The settings of a task, without guidance where there are no classes to guide by."""
        decoding, index = self.decoding[task], self.vocabulary.tasks.index(task)
        guided = self.mixture.tasks[index].uses_class and self.vocabulary.num_classes
        return decoding if guided else decoding.unguided()

    def _generate_videos(
        self, state: GeneratorState, batch: Batch, task_index: Array, decoding: Any
    ) -> Array:
        ids_BN = self._generate_ids(state, batch, task_index, decoding)
        return self._decode_clipped(state.tokenizer, ids_BN.reshape(-1, *self.mixture.grid.shape))

    def _generate_ids(self, state: GeneratorState, batch: Batch, task_index: Array, decoding: Any) -> Array:
        """The task is an array, so that all tasks that are decoded alike share one program."""
        task_B = jnp.broadcast_to(task_index, batch["index"].shape)
        condition_BN = self._condition(state.tokenizer, batch[self._clips], task_B)
        conditions = Conditions(
            prompt_B=task_B,
            label_B=self.mixture.labels(task_B, self._labels(batch)),
            condition_BN=condition_BN,
            region_BN=self.mixture.region(task_B).reshape(condition_BN.shape),
            keep_B=self.mixture.exact_of(task_B) | self._keeps_condition,
            keys_B=self._keys(batch["index"]),
        )
        return generate_ids(self.transformer, state.eval_params, self.vocabulary, decoding, conditions)

    def _decode_clipped(self, tokenizer_params: PyTree, ids_Bthw: Array) -> Array:
        output = self.tokenizer.model.apply({"params": tokenizer_params}, ids_Bthw, method="decode_from_ids")
        return jnp.clip(output, 0.0, 1.0)

    def evaluate_frame_prediction(
        self, state: GeneratorState, batches: Iterable[Batch]
    ) -> Mapping[str, float]:
        """PSNR of one sample a clip over the unseen frames, beside repeating the last given frame."""
        given = self.mixture.tasks[self.vocabulary.tasks.index("frame_prediction")].given_frames
        ours, repeated = [], []
        for batch in batches:
            video, output = to_host((batch["video"], self.generate(state, batch, "frame_prediction")))
            ours.append(metrics.psnr(video[:, given:], output[:, given:]))
            repeated.append(metrics.psnr(video[:, given:], metrics.repeat_frame(video, given - 1)[:, given:]))
        return {
            "psnr": float(np.concatenate(ours).mean()),
            "psnr_repeat_last": float(np.concatenate(repeated).mean()),
        }

    def sample(self, state: GeneratorState, batch: Batch) -> dict[str, np.ndarray]:
        """The batch's clips, and one sample of every task for each of them."""
        if self._clips == "ids":
            samples = {"tokenized": to_uint8(to_host(self._decode(state.tokenizer, batch["ids"])))}
        else:
            samples = {"original": to_host(batch["video"])}
        for task in self.vocabulary.tasks:
            samples[task] = to_uint8(to_host(self.generate(state, batch, task)))
        return samples

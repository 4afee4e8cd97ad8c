"""VideoPoet (thesis ch. 8): one prefix language model over text, images, video and sound, on frozen tokenizers."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.multimodal import blank_sequences
from magvit_jax.partitioning import unbox
from magvit_jax.systems import multimodal_config
from magvit_jax.systems.generator_config import build_decoding as decoding_of_tasks
from magvit_jax.systems.multimodal_evaluation import MultimodalEvaluation
from magvit_jax.systems.multimodal_rows import Frozen, RowMaker
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.videopoet import UnifiedVocabulary, Words
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.training.state import TrainState
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.transformer.multimodal_loss import by_modality, output_scores, ratios
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

__all__ = ["KIND", "MultimodalLM", "MultimodalState", "build", "build_decoding"]

KIND = "multimodal_generator"


class MultimodalState(flax.struct.PyTreeNode):
    """The transformer in training, and the parameters of both tokenizers, which never change."""

    train: TrainState
    frozen: Frozen

    @property
    def eval_params(self) -> PyTree:
        return self.train.eval_params


class MultimodalLM:
    """A `System`: trains on batches of videos, and of images where `rows.images` is there.

    A batch of videos has "video" uint8 [B,T,H,W,3], "index" uint32 [B], and what its tasks need: "audio" float32 [B,S]
    in [-1, 1] and "has_audio" bool [B]; "flow", "depth" as "video"; "text_count" int32 [B], 0 without text, and
    "text_ids" int32 [B,X] or "text_embedding" float32 [B,X,E]. A batch of images has "image" uint8 [B,1,H,W,3] in place
    of all but the text and the index.

    All randomness of an example comes from its index: the task, and whether its text is hidden. The loss is the mean
    over the generated ids of a whole batch, whatever its microbatches.

    Args:
        transformer: the network in training.
        rows: makes rows of tokens of a batch.
        evaluation: the loss by task and by modality, and samples.
        label_smoothing: share of the target's probability that is spread over the vocabulary.
        chunk: ids of a device whose logits are held at a time.
    """

    kind = KIND
    #: A batch of images has no sound, and one whose tasks only make sound no visual ids.
    metric_weights = {"visual_loss": "visual_targets", "audio_loss": "audio_targets"}

    def __init__(
        self,
        *,
        transformer: MultimodalTransformer,
        rows: RowMaker,
        evaluation: MultimodalEvaluation,
        vocabulary: UnifiedVocabulary,
        label_smoothing: float,
        chunk: int,
        optimizer: optax.GradientTransformation,
        ema_decay: float,
    ):
        if chunk < 1:
            raise UserError(f"loss.chunk: {chunk}; expected 1 or more tokens")
        self.transformer, self.rows, self.evaluation, self.vocabulary = transformer, rows, evaluation, vocabulary
        self.label_smoothing, self.chunk = label_smoothing, chunk
        self.optimizer, self.ema_decay = optimizer, ema_decay
        self.data_keys, self.image_keys = rows.video_keys, rows.image_keys
        self.evaluators = {"validation": evaluation.evaluate_loss}

    # The loop's side.

    def init(self, rng: PRNGKey) -> MultimodalState:
        """The tokenizers' parameters are zeros until `warm_start` puts the trained ones there."""
        train = TrainState.create(self.init_params(rng), self.optimizer, self.ema_decay)
        return MultimodalState(train, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self.abstract_frozen()))

    def init_params(self, rng: PRNGKey) -> PyTree:
        """Boxed initial parameters of the transformer."""
        width = self.transformer.text_width
        text_BTE = jnp.zeros((1, 1, width)) if width else None
        return self.transformer.init(rng, blank_sequences(), text_BTE)["params"]

    def abstract_params(self) -> PyTree:
        """Shapes of the transformer's parameters; nothing is computed."""
        return unbox(jax.eval_shape(self.init_params, jax.eval_shape(lambda: jax.random.key(0))))

    def abstract_frozen(self) -> Frozen:
        """Shapes and logical axes of the tokenizers' parameters, boxed; nothing is computed."""
        sound = self.rows.sound
        return Frozen(self.rows.tokenizer.abstract_params(), {} if sound is None else sound.abstract_params())

    def warm_start(self, state: MultimodalState, params: PyTree | None = None) -> MultimodalState:
        """A new run's state with the trained tokenizers in it, and with given transformer parameters."""
        train = state.train if params is None else state.train.with_params(params)
        sound = self.rows.sound
        return MultimodalState(train, Frozen(self.rows.tokenizer.params, {} if sound is None else sound.params))

    def gradients(self, state: MultimodalState, microbatch: Batch, rng: PRNGKey) -> tuple[PyTree, dict[str, Array]]:
        """Of the sum over the generated ids, by the room for them: `apply` divides by how many there are."""
        rows, text_BTE, outputs = self.rows.rows(state.frozen, microbatch)

        def loss(params: PyTree) -> tuple[Array, dict[str, Array]]:
            scores = output_scores(
                self.transformer,
                params,
                rows,
                text_BTE,
                outputs=outputs,
                label_smoothing=self.label_smoothing,
                chunk=self.chunk,
            )
            means = {name: jnp.mean(values_BO) for name, values_BO in by_modality(scores, self.vocabulary).items()}
            room = jnp.asarray(scores.loss_BO.size, jnp.float32)
            return means["loss"], dict(means, room=room)

        return jax.grad(loss, has_aux=True)(state.train.params)

    def apply(
        self, state: MultimodalState, grads: PyTree, aux: dict[str, Array]
    ) -> tuple[MultimodalState, dict[str, Array]]:
        grads = jax.tree.map(lambda x: x / aux["targets"].astype(x.dtype), grads)
        train = state.train.apply_gradients(grads, self.optimizer, self.ema_decay)
        counts = {name: aux[name] * aux["room"] for name in self.metric_weights.values()}  # of a microbatch
        return state.replace(train=train), ratios(aux) | counts | {"gradient_norm": optax.tree.norm(grads)}

    def sample(self, state: MultimodalState, batch: Batch) -> dict[str, Any]:
        """The batch's clips, and one sample of every task of video for each of them."""
        return self.evaluation.sample(state, batch)


def build_decoding(config: ConfigDict) -> dict[str, TokenwiseDecoding]:
    """How each active task of a `config.tasks` is decoded."""
    return decoding_of_tasks(config, TokenwiseDecoding)


def build(
    config: ConfigDict,
    tokenizer: Tokenizer,
    sound: SoundTokenizer | None,
    words: Words | None,
) -> MultimodalLM:
    """The system of a whole training config, on trained tokenizers.

    Args:
        sound: the sound tokenizer; None for a model without sound.
        words: the small vocabulary of the data's captions, for `config.text.kind` "words".

    Raises:
        UserError: whatever does not fit each other: tasks, tokenizers, clips, text, buckets.
    """
    text = multimodal_config.TextFields.of(config.text, 0 if words is None else words.size)
    names = multimodal_config.active_tasks(config.tasks)
    multimodal_config.require_sound(config, names, sound)
    multimodal_config.require_sources(config)
    vocabulary = multimodal_config.build_vocabulary(config.vocabulary, text, tokenizer, sound)
    clip = multimodal_config.build_clip(config.data, tokenizer, sound)
    buckets, shares = multimodal_config.build_buckets(config, clip, vocabulary, text.slots)
    rows = RowMaker(
        tokenizer=tokenizer,
        sound=sound,
        buckets=buckets,
        shares=shares,
        images=multimodal_config.build_image_bucket(config, clip, vocabulary, text.slots),
        painting=multimodal_config.build_painting(config.tasks, clip),
        painting_names=tuple(name for name in names if "painting" in name),
        text=text.kind,
        text_dropout=config.conditions.text_dropout,
        sources=len(vocabulary.sources),
        source_dropout=config.conditions.get("source_dropout", 0.0),
        # Made here, not in the step: keys cannot be made under the mesh of an ahead-of-time compilation.
        example_key=jax.random.key(config.seed + 1),
    )
    transformer = multimodal_config.build_transformer(config.model, vocabulary, text)
    every = multimodal_config.build_every_task(config.tasks, clip, vocabulary, text.slots)
    loss = dict(label_smoothing=config.loss.label_smoothing, chunk=config.loss.chunk)
    return MultimodalLM(
        transformer=transformer,
        rows=rows,
        evaluation=MultimodalEvaluation(transformer, rows, every, build_decoding(config.tasks), vocabulary, **loss),
        vocabulary=vocabulary,
        **loss,
        optimizer=make_optimizer(config.optimizer, config.training.steps),
        ema_decay=config.training.ema_decay,
    )

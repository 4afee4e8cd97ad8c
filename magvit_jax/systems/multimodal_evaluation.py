"""What VideoPoet's training is watched by: the loss of every task on held-out clips, and samples."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.multimodal_ids import Prefixes, generate_ids
from magvit_jax.systems.multimodal_rows import RowMaker
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokens.videopoet import Plan, UnifiedVocabulary, take_outputs
from magvit_jax.tokens.videopoet.bucket import Bucket
from magvit_jax.training.sharded import to_host
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.transformer.multimodal_loss import by_modality, output_scores, ratios
from magvit_jax.typing import Array, Batch, PyTree


class MultimodalEvaluation:
    """Losses and samples by task, of batches of videos.

    Args:
        rows: reads batches.
        every: every task that is trained, one sequence a row; all of them share one compiled program.
        decoding: by task, how samples are made.
        label_smoothing, chunk: as in training.
    """

    def __init__(
        self,
        transformer: MultimodalTransformer,
        rows: RowMaker,
        every: Bucket,
        decoding: Mapping[str, TokenwiseDecoding],
        vocabulary: UnifiedVocabulary,
        *,
        label_smoothing: float,
        chunk: int,
    ):
        self.transformer, self.rows, self.every, self.vocabulary = transformer, rows, every, vocabulary
        self.decoding, self.label_smoothing, self.chunk = decoding, label_smoothing, chunk
        self.tasks = tuple(dict.fromkeys(layout.task.name for layout in every.plan.layouts))
        self._sums = jax.jit(self._sums_of_batch)
        self._generate = jax.jit(self._generate_ids, static_argnames=("decoding",))
        self._pixels = jax.jit(self._decode_clipped)

    def task_weights(self, task: str) -> np.ndarray:
        """float32 [M]: the weights of `every` for a task's own layouts, 0 for the others."""
        names = [layout.task.name for layout in self.every.plan.layouts]
        return np.where([name == task for name in names], self.every.weights, 0.0).astype(np.float32)

    def evaluate_loss(self, state: PyTree, batches: Iterable[Batch]) -> Mapping[str, float]:
        """Mean cross-entropy over the generated ids in nats, with every clip in every task that it serves.

        Returns:
            For each task "TASK_loss", and "TASK_visual_loss", "TASK_audio_loss" of those ids that it has; "loss", their
            mean by the tasks' weights, and "visual_loss", "audio_loss" over all ids. A task that no clip serves, as it
            needs sound or text, is left out.
        """
        sums: dict[str, dict[str, float]] = {task: defaultdict(float) for task in self.tasks}
        for batch in batches:
            used = {key: batch[key] for key in self.rows.video_keys}
            for task in self.tasks:
                found = to_host(self._sums(state, used, jnp.asarray(self.task_weights(task))))
                for name, value in found.items():
                    sums[task][name] += float(value)
        return self._report({task: values for task, values in sums.items() if values["targets"]})

    def _report(self, sums: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        values: dict[str, float] = {}
        whole: dict[str, float] = defaultdict(float)
        weights = {task: float(self.task_weights(task).sum()) for task in sums}
        for task, own in sums.items():
            values[f"{task}_loss"] = own["loss"] / own["targets"]
            values["loss"] = values.get("loss", 0.0) + weights[task] * values[f"{task}_loss"] / sum(weights.values())
            for name in ("visual", "audio"):
                if own[f"{name}_targets"]:
                    values[f"{task}_{name}_loss"] = own[f"{name}_loss"] / own[f"{name}_targets"]
            for name, value in own.items():
                whole[name] += value
        both = ratios(whole) if sums else {}
        return values | {f"{n}_loss": float(both[f"{n}_loss"]) for n in ("visual", "audio") if whole[f"{n}_targets"]}

    def _sums_of_batch(self, state: PyTree, batch: Batch, weights_M: Array) -> dict[str, Array]:
        drawn = self.rows.draw(state.frozen, batch, self.every, weights_M, drops=False)
        rows = self.every.rows(
            drawn.index_B,
            drawn.codes,
            text_count_B=drawn.text_count_B,
            text_BT=drawn.text_BT,
            source_B=drawn.source_B,
        )
        scores = output_scores(
            self.transformer,
            state.eval_params,
            rows,
            drawn.text_BTE,
            outputs=self.every.row_outputs,
            label_smoothing=self.label_smoothing,
            chunk=self.chunk,
        )
        serves_B1 = self._serves(batch, drawn.index_B)[:, None]
        return {
            name: jnp.sum(jnp.where(serves_B1, values_BO, 0.0))
            for name, values_BO in by_modality(scores, self.vocabulary).items()
        }

    def _serves(self, batch: Batch, index_B: Array) -> Array:
        """bool [B]: whether the example has the sound and the text that its task needs."""
        tasks = [layout.task for layout in self.every.plan.layouts]
        serves_B = jnp.ones(index_B.shape, bool)
        if "has_audio" in batch:
            serves_B = serves_B & (batch["has_audio"] | ~jnp.asarray(self.every.sounding_M)[index_B])
        if "text_count" in batch:
            needs_text_M = np.asarray([task.text == "required" for task in tasks])
            serves_B = serves_B & ((batch["text_count"] > 0) | ~jnp.asarray(needs_text_M)[index_B])
        return serves_B

    def generate(self, state: PyTree, batch: Batch, task: str) -> dict[str, Array]:
        """One sample of a task for every example: codes of what it makes by source, those given of it in front."""
        index = int(np.flatnonzero(self.task_weights(task))[0])
        used = {key: batch[key] for key in self.rows.video_keys}
        ids_BO, given = self._generate(state, used, jnp.int32(index), decoding=self.decoding[task])
        return self._codes_made(index, ids_BO, given)

    def sampling(self, task: str) -> Callable[[PyTree, Batch], Array]:
        """The ids of `generate` as a pure function, for `magvit compile`; the task is alone in its plan."""
        index = int(np.flatnonzero(self.task_weights(task))[0])
        plan = Plan((self.every.plan.layouts[index],), self.vocabulary)
        alone = dataclasses.replace(self.every, plan=plan, weights=(1.0,))

        def sample(state: PyTree, batch: Batch) -> Array:
            return self._generate_ids(state, batch, jnp.int32(0), self.decoding[task], alone)[0]

        return sample

    def _codes_made(self, index: int, ids_BO: Array, given: Mapping[str, Array]) -> dict[str, Array]:
        made, own = take_outputs(self.every.plan, index, ids_BO), self.every.plan.layouts[index]
        before = {"video": own.given, "audio": own.clip.audio_frames_of(own.given)}
        return {name: jnp.concatenate([given[name][:, : before[name]], codes], axis=1) for name, codes in made.items()}

    def _generate_ids(
        self, state: PyTree, batch: Batch, index: Array, decoding: Any, bucket: Bucket | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The task is an array, so that all tasks that are decoded alike share one program."""
        bucket = self.every if bucket is None else bucket
        one_M = (jnp.arange(len(bucket.weights)) == index).astype(jnp.float32)
        # A clip without sound is silence here: what is shown is what the model makes of it.
        heard = {name: x for name, x in batch.items() if name != "has_audio"}
        drawn = self.rows.draw(state.frozen, heard, bucket, one_M, drops=False)
        batch_size = drawn.index_B.shape[0]
        count_B = jnp.zeros((batch_size,), jnp.int32) if drawn.text_count_B is None else drawn.text_count_B
        keys_B = jax.vmap(lambda number: jax.random.fold_in(self.rows.example_key, number))(batch["index"])
        prefixes = Prefixes(
            index_B=drawn.index_B,
            codes=drawn.codes,
            text_count_B=count_B,
            text_BT=drawn.text_BT,
            text_BTE=drawn.text_BTE,
            source_B=jnp.full((batch_size,), -1, jnp.int32),
            keys_B=keys_B,
        )
        return generate_ids(self.transformer, state.eval_params, bucket.plan, decoding, prefixes), drawn.codes

    def _decode_clipped(self, tokenizer_params: PyTree, ids_Bthw: Array) -> Array:
        model = self.rows.tokenizer.model
        return jnp.clip(model.apply({"params": tokenizer_params}, ids_Bthw, method="decode_from_ids"), 0.0, 1.0)

    def sample(self, state: PyTree, batch: Batch) -> dict[str, np.ndarray]:
        """The batch's clips, and one sample of every task of whole videos for each of them, uint8."""
        samples = {"original": to_host(batch["video"])}
        for layout in self.every.plan.layouts:
            name = layout.task.name
            if layout.task.outputs[0].kind == "visual" and layout.task.ends and name not in samples:
                codes = self.generate(state, batch, name)["video"]
                samples[name] = to_uint8(to_host(self._pixels(state.frozen.tokenizer, codes)))
        return samples

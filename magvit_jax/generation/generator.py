"""A trained generator as users hold it: a task and its condition in, clips out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.generation.masked import Decoding, generate_ids
from magvit_jax.partitioning import batch_sharding, batch_shards, replicated, state_shardings
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, as_video
from magvit_jax.tokens.tasks import Task, TaskMixture
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.typing import Array, PyTree

Label = int | str | Sequence[int | str] | None


class Generator:
    """Generates clips with a masked transformer and the tokenizer that it was trained with.

    Attributes:
      transformer, params: the Linen module and its parameters.
      tokenizer: the `Tokenizer`.
      tasks: names of the tasks it knows.
      clip: the clips it generates.
      class_names: names of the labels; the position of a name is its label.
      decoding: by task, the settings of `generate` where it is not told otherwise.
      fingerprint: identifies architecture and weights, the tokenizer's included.
    """

    def __init__(
        self,
        *,
        transformer: MaskedTransformer,
        params: PyTree,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        mixture: TaskMixture,
        decoding: Mapping[str, Decoding],
        clip: ClipFormat,
        class_names: tuple[str, ...],
        fingerprint: str,
        mesh: Mesh | None = None,
    ):
        self.transformer, self.tokenizer = transformer, tokenizer
        self.vocabulary, self.mixture, self.decoding = vocabulary, mixture, decoding
        self.clip, self.class_names, self.fingerprint, self.mesh = clip, class_names, fingerprint, mesh
        shardings = None if mesh is None else state_shardings(self.abstract_params(), mesh)
        self.params = jax.device_put(params, shardings)
        self._generate = jax.jit(self._generate_ids, static_argnames=("task_index", "decoding"))

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.vocabulary.tasks

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the transformer's parameters, boxed; nothing is computed."""
        ids = jax.ShapeDtypeStruct((1, PREFIX_LENGTH + self.mixture.grid.num_tokens), jnp.int32)
        return jax.eval_shape(self.transformer.init, jax.eval_shape(lambda: jax.random.key(0)), ids)["params"]

    def _generate_ids(
        self,
        params: PyTree,
        condition_BN: Array,
        label_B: Array,
        keys_B: Array,
        task_index: int,
        decoding: Decoding,
    ) -> Array:
        task = self.mixture.tasks[task_index]
        return generate_ids(
            self.transformer,
            params,
            self.vocabulary,
            self.mixture.grid,
            task,
            decoding,
            condition_BN,
            label_B,
            keys_B,
        )

    def generate_ids(
        self,
        task: str,
        *,
        video: Any = None,
        label: Label = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        **settings: Any,
    ) -> Array:
        """As `generate`, but the ids: int32 [B, t, h, w]."""
        chosen = self._task(task)
        labels = self.label_ids(label) if chosen.uses_class else None
        batch = _batch_size(video if chosen.given_frames else None, labels, num)
        grid = self.mixture.grid
        condition = jnp.zeros((batch, grid.num_tokens), jnp.int32)
        if chosen.given_frames:
            condition = self.tokenizer.encode(self._padded(chosen, video, batch)).reshape(batch, -1)
        label_B = (
            np.full((batch,), -1, np.int32) if labels is None else np.resize(labels, batch).astype(np.int32)
        )
        keys_B = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(first + jnp.arange(batch))
        ids = self._generate(
            self.params,
            self._place(condition),
            self._place(jnp.asarray(label_B)),
            self._place(keys_B),
            task_index=self.tasks.index(task),
            decoding=_override(self.decoding[task], settings),
        )
        return ids.reshape(batch, *grid.shape)

    def generate(
        self,
        task: str,
        *,
        video: Any = None,
        label: Label = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        **settings: Any,
    ) -> Array:
        """Generates a batch of clips.

        Args:
          task: one of `tasks`.
          video: the condition of tasks that have one: uint8 or float in [0, 1], [B, T', H, W, 3] or one clip
            [T', H, W, 3], with the model's height and width and at least the given frames; what comes after
            them is never looked at.
          label: of tasks that take one: a name or a number, or one for each clip; None draws nothing from the
            labels and generates unconditionally.
          num: how many clips; by default one for each video or label. More repeat them in turn.
          seed: of the sampling. Clip i depends on the seed, `first` + i and its condition, not on the batch.
          first: number of the first clip, where one calls this batch by batch.
          settings: fields of `Decoding` to change (steps, temperature, guidance_scale, ...).

        Returns:
          float32 in [0, 1], [B, T, H, W, 3].

        Raises:
          UserError: an unknown task, label or setting, or a video that does not fit.
        """
        return self.tokenizer.decode(
            self.generate_ids(task, video=video, label=label, num=num, seed=seed, first=first, **settings)
        )

    def label_ids(self, label: Label) -> np.ndarray | None:
        """Numbers of labels given by name or number; None stays None."""
        if label is None:
            return None
        wanted = [label] if isinstance(label, (int, str, np.integer)) else list(label)
        return np.asarray([self._label_id(one) for one in wanted], np.int32)

    def _label_id(self, label: int | str) -> int:
        if isinstance(label, str) and label in self.class_names:
            return self.class_names.index(label)
        if not isinstance(label, str) and 0 <= label < len(self.class_names):
            return int(label)
        raise UserError(
            f"label {label!r} is unknown; expected one of {', '.join(self.class_names) or 'none: no classes'}"
        )

    def _task(self, name: str) -> Task:
        self.vocabulary.prompt_id(name)  # raises for a task that the model has not learned
        return self.mixture.tasks[self.tasks.index(name)]

    def _padded(self, task: Task, video: Any, batch: int) -> Array:
        """The condition clips at full length, everything that is not given replaced by the task's padding."""
        if video is None:
            raise UserError(f"task {task.name!r} needs a video with at least {task.given_frames} frames")
        video = np.asarray(video)
        video = as_video(video[None] if video.ndim == 4 else video)
        frames, height, width = self.clip.shape
        if video.shape[1] < task.given_frames or video.shape[2:4] != (height, width):
            raise UserError(
                f"task {task.name!r}: video of {video.shape[1]} frames of {video.shape[2]}x{video.shape[3]}; "
                f"expected at least {task.given_frames} frames of {height}x{width}"
            )
        missing = max(frames - video.shape[1], 0)
        video = jnp.pad(video[:, :frames], ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")
        return task.pad(video[np.arange(batch) % video.shape[0]])

    def _place(self, x: Array) -> Array:
        if self.mesh is None:
            return x
        divides = x.shape[0] % batch_shards(self.mesh) == 0
        return jax.device_put(x, batch_sharding(self.mesh) if divides else replicated(self.mesh))


def _batch_size(video: Any, labels: np.ndarray | None, num: int | None) -> int:
    given = 1
    if video is not None:
        shape = np.shape(video)
        given = shape[0] if len(shape) == 5 else 1
    if labels is not None:
        given = max(given, len(labels))
    if num is not None and num < 1:
        raise UserError(f"num is {num}; expected 1 or more clips")
    return given if num is None else num


def _override(decoding: Decoding, settings: Mapping[str, Any]) -> Decoding:
    known = {field.name for field in dataclasses.fields(Decoding)}
    for name in settings:
        if name not in known:
            raise UserError(
                f"decoding setting {name!r} is unknown; expected one of {', '.join(sorted(known))}"
            )
    if isinstance(settings.get("guidance_scale"), Sequence):
        settings = dict(settings, guidance_scale=tuple(settings["guidance_scale"]))  # hashable, for jit
    return dataclasses.replace(decoding, **settings)

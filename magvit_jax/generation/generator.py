"""A trained generator as users hold it: a task and its condition in, clips out."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.generation import pixels
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.ids import generate_ids
from magvit_jax.generation.labels import Label, label_ids
from magvit_jax.generation.long import slide
from magvit_jax.generation.masked import Conditions
from magvit_jax.generation.pixels import USER_MASK, Given
from magvit_jax.generation.settings import Decoding, choose
from magvit_jax.partitioning import batch_sharding, batch_shards, replicated, state_shardings
from magvit_jax.sampling.parallel import States
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.prefix import pack, require_room
from magvit_jax.tokens.tasks import Task
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary
from magvit_jax.transformer.base import TokenTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree

Settings = Decoding | TokenwiseDecoding
EXTENDING = ("frame_prediction", "class_conditional_frame_prediction")


class Generator:
    """Generates clips with a transformer and the tokenizer that it was trained with.

    A model of images is one whose clips have one frame; it takes and gives images [B, H, W, 3].

    Attributes:
      transformer, params: the Linen module and its parameters.
      tokenizer: the `Tokenizer`.
      tasks: names of the tasks it knows; besides these there is "mask", a user's own mask.
      clip: the clips it generates.
      class_names: names of the labels; the position of a name is its label.
      decoding: by task, the settings of `generate` where it is not told otherwise.
      fingerprint: identifies architecture and weights, the tokenizer's included.
      keep_condition: whether all condition tokens are returned as they are (trained by latent masking), and
        not only those that are exact.
    """

    def __init__(
        self,
        *,
        transformer: TokenTransformer,
        params: PyTree,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        mixture: TaskMixture,
        decoding: Mapping[str, Settings],
        clip: ClipFormat,
        class_names: tuple[str, ...],
        fingerprint: str,
        mesh: Mesh | None = None,
        keep_condition: bool = False,
    ):
        self.transformer, self.tokenizer = transformer, tokenizer
        self.vocabulary, self.mixture, self.decoding = vocabulary, mixture, decoding
        self.clip, self.class_names, self.fingerprint, self.mesh = clip, class_names, fingerprint, mesh
        self.keep_condition = keep_condition
        shardings = None if mesh is None else state_shardings(self.abstract_params(), mesh)
        self.params = jax.device_put(params, shardings)
        # Task and mask are arrays, so that all of them share one program for each batch size and decoding.
        self._decode = jax.jit(
            lambda params, conditions, decoding, states: generate_ids(
                transformer, params, vocabulary, decoding, conditions, states
            ),
            static_argnums=(2, 3),
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.vocabulary.tasks

    @property
    def makes_images(self) -> bool:
        """Whether its clips have one frame, and it takes and gives [B, H, W, 3]."""
        return self.clip.frames == 1

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the transformer's parameters, boxed; nothing is computed."""
        tokens, slots = self.mixture.grid.num_tokens, self.transformer.condition_length

        def init(key: PRNGKey) -> PyTree:
            ids_BL = jnp.zeros((1, PREFIX_LENGTH + tokens), jnp.int32)
            before = pack(ids_BL[:, PREFIX_LENGTH:], jnp.zeros((1, tokens), bool), slots) if slots else None
            return self.transformer.init(key, ids_BL, condition=before)["params"]

        return jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))

    def generate(
        self,
        task: str,
        *,
        video: Any = None,
        label: Label = None,
        mask: Any = None,
        prompt: str | None = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        paste: bool = False,
        decoding: str | None = None,
        **settings: Any,
    ) -> Array:
        """Generates a batch of clips.

        Args:
          task: one of `tasks`, or "mask".
          video: the condition of tasks that have one: uint8 or float in [0, 1], [B, T', H, W, 3] or one clip
            [T', H, W, 3], with the model's height and width; of a model of images [B, H, W, 3]. Frames up to
            the last in which anything is given have to be there (5 of them for a prediction from 5 frames,
            all of them for an interpolation); what is not given is never looked at.
          label: of tasks that take one: a name or a number, or one for each clip; None draws nothing from the
            labels and generates unconditionally.
          mask: of task "mask": what is given of the video, bool or uint8 of 0 and 255, True or 255 where a
            pixel is given; [T, H, W], [H, W] for every frame, or [B, T, H, W].
          prompt: of task "mask": the task whose prompt and padding are used; by default the one whose region
            comes nearest to the mask's.
          num: how many clips; by default one for each video, label or mask. More repeat them in turn.
          seed: of the sampling. Clip i depends on the seed, `first` + i and its condition, not on the batch.
          first: number of the first clip, where one calls this batch by batch.
          paste: put the given pixels of the video back; otherwise they come from the tokenizer as all others.
          decoding: published settings by name, see `settings.DECODINGS`; the task's own by default.
          settings: fields of `Decoding` to change (steps, temperature, guidance_scale, ...).

        Returns:
          float32 in [0, 1], [B, T, H, W, 3]; of a model of images [B, H, W, 3].

        Raises:
          UserError: an unknown task, label or setting, or a video or mask that does not fit.
        """
        given, ids_BN, _ = self._sample(
            task,
            video=video,
            label=label,
            mask=mask,
            prompt=prompt,
            num=num,
            seed=seed,
            first=first,
            paste=paste,
            decoding=decoding,
            **settings,
        )
        return self._clips(given, ids_BN, paste)

    def generate_states(self, task: str, *, paste: bool = False, **arguments: Any) -> tuple[Array, States]:
        """As `generate`, with the same arguments, and every decoding step's `States`: what the transformer
        saw, the ids after the step, and which of them are still unknown; [K, B, N] each, N in the order of
        the grid's t, h, w."""
        given, ids_BN, states = self._sample(task, paste=paste, states=True, **arguments)
        return self._clips(given, ids_BN, paste), states

    def given(
        self,
        task: str,
        *,
        video: Any = None,
        mask: Any = None,
        prompt: str | None = None,
        num: int | None = None,
    ) -> Given:
        """What `generate` would start from with the same arguments, without generating: the pixels that are
        given, the padded clips, the latent region, and the task whose prompt is used."""
        return self._given(task, video, None, mask, prompt, num)[0]

    def generate_ids(self, task: str, **arguments: Any) -> Array:
        """As `generate`, with the same arguments, but the ids: int32 [B, t, h, w]."""
        _, ids_BN, _ = self._sample(task, **arguments)
        return ids_BN.reshape(-1, *self.mixture.grid.shape)

    def extend(
        self,
        video: Any,
        *,
        frames: int | None = None,
        task: str | None = None,
        label: Label = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        decoding: str | None = None,
        **settings: Any,
    ) -> Iterator[Array]:
        """Goes on with a video: a frame-prediction window slides over its own output (see `long.slide`).

        Each window is predicted from the last frames only, as many as the task is given, so that a video of
        any length takes the memory of one window. The frames are the same however they are consumed.

        Args:
          video: as of `generate`; its last frames are what the first window sees.
          frames: how many new frames to make; None never ends.
          task: "frame_prediction" or "class_conditional_frame_prediction"; by default the first of them that
            the model knows.
          label, num, seed, first, decoding, settings: as of `generate`. Window j of clip i depends on the
            seed, `first` + i, j, and what is before it.

        Yields:
          float32 in [0, 1], [B, n, H, W, 3]: the new frames only; n is what a window adds, less at the end.

        Raises:
          UserError: at the call, as `generate`; and for a model that predicts no frames.
        """
        chosen = self._task(self._extending() if task is None else task)
        if chosen.name not in EXTENDING:
            raise UserError(
                f"task {chosen.name!r} does not extend a video; expected {' or '.join(EXTENDING)}"
            )
        if frames is not None and frames < 1:
            raise UserError(f"frames is {frames}; expected 1 or more, or None for a video without end")
        own = choose(self.decoding[chosen.name], decoding, settings)
        labels = label_ids(label, self.class_names) if chosen.uses_class else None
        count = chosen.given_frames
        if video is not None and np.ndim(video) >= 4:
            video = np.asarray(video)[..., -count:, :, :, :]
        tail = pixels.clips(chosen.name, video, self.clip.shape, count)[:, :count]
        batch = _batch_size(num, len(tail), labels)

        def predict(tail_BTHWC: Array, window: int) -> Array:
            clip_BTHWC = pixels.clips(chosen.name, tail_BTHWC, self.clip.shape, count)
            given = pixels.of_task(self.mixture, chosen, clip_BTHWC, batch)
            ids_BN, _ = self._run(given, labels, self._keys(seed, first, batch, window), own, states=False)
            return self._decoded(ids_BN)

        return slide(predict, tail[np.arange(batch) % len(tail)], count, frames)

    def label_ids(self, label: Label) -> np.ndarray | None:
        """Numbers of labels given by name or number; None stays None."""
        return label_ids(label, self.class_names)

    def _sample(
        self,
        task: str,
        *,
        video: Any = None,
        label: Label = None,
        mask: Any = None,
        prompt: str | None = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        paste: bool = False,
        decoding: str | None = None,
        states: bool = False,
        **settings: Any,
    ) -> tuple[Given, Array, States | None]:
        given, labels, batch = self._given(task, video, label, mask, prompt, num)
        if paste and given.video_BTHWC is None:
            raise UserError(f"task {task!r} is given no pixels: there are none to paste")
        own = choose(self.decoding[given.task.name], decoding, settings)
        return given, *self._run(given, labels, self._keys(seed, first, batch), own, states)

    def _given(
        self, task: str, video: Any, label: Label, mask: Any, prompt: str | None, num: int | None
    ) -> tuple[Given, np.ndarray | None, int]:
        """The given pixels, the labels and the size of the batch."""
        if task != USER_MASK:
            for name, value in (("mask", mask), ("prompt", prompt)):
                if value is not None:
                    raise UserError(
                        f"task {task!r} takes no {name}; expected one with task {USER_MASK!r} only"
                    )
            chosen = self._task(task)
            labels = label_ids(label, self.class_names) if chosen.uses_class else None
            needed = chosen.frames_needed(self.clip.frames)
            video_BTHWC = pixels.clips(task, video, self.clip.shape, needed) if needed else None
            batch = _batch_size(num, 1 if video_BTHWC is None else len(video_BTHWC), labels)
            return pixels.of_task(self.mixture, chosen, video_BTHWC, batch), labels, batch
        chosen = None if prompt is None else self._task(prompt)
        mask_BTHW = pixels.masks(mask, self.clip.shape)
        needed = int(np.flatnonzero(mask_BTHW.any(axis=(0, 2, 3)))[-1]) + 1
        video_BTHWC = pixels.clips(task, video, self.clip.shape, needed)
        labels = label_ids(label, self.class_names)
        batch = _batch_size(num, max(len(video_BTHWC), len(mask_BTHW)), labels)
        given = pixels.of_mask(self.mixture, mask_BTHW, chosen, video_BTHWC, batch)
        if self.transformer.condition_length:
            require_room(
                given.region_Bthw.reshape(len(given.region_Bthw), -1), self.transformer.condition_length
            )
        return given, labels if given.task.uses_class else None, batch

    def _run(
        self, given: Given, labels: np.ndarray | None, keys_B: PRNGKey, decoding: Settings, states: bool
    ) -> tuple[Array, States | None]:
        """Int32 ids [B, N], and the states on request."""
        batch, tokens = keys_B.shape[0], self.mixture.grid.num_tokens
        condition_BN = jnp.zeros((batch, tokens), jnp.int32)
        if given.padded_BTHWC is not None:
            condition_BN = self.tokenizer.encode(given.padded_BTHWC).reshape(batch, tokens)
        region_BN = np.broadcast_to(given.region_Bthw.reshape(-1, tokens), (batch, tokens))
        label_B = np.full((batch,), -1, np.int32) if labels is None else np.resize(labels, batch)
        conditions = Conditions(
            prompt_B=jnp.full((batch,), self.tasks.index(given.task.name), jnp.int32),
            label_B=jnp.asarray(label_B, jnp.int32),
            condition_BN=condition_BN,
            region_BN=jnp.asarray(region_BN),
            keep_B=jnp.full((batch,), self.keep_condition or given.exact),
            keys_B=keys_B,
        )
        decoding = decoding.unguided() if labels is None else decoding
        made = self._decode(self.params, jax.tree.map(self._place, conditions), decoding, states)
        return made if states else (made, None)

    def _clips(self, given: Given, ids_BN: Array, paste: bool) -> Array:
        clips_BTHWC = self._decoded(ids_BN)
        if paste:
            clips_BTHWC = jnp.where(jnp.asarray(given.given_BTHW)[..., None], given.video_BTHWC, clips_BTHWC)
        return clips_BTHWC[:, 0] if self.makes_images else clips_BTHWC

    def _decoded(self, ids_BN: Array) -> Array:
        return self.tokenizer.decode(ids_BN.reshape(-1, *self.mixture.grid.shape))

    def _keys(self, seed: int, first: int, batch: int, window: int | None = None) -> PRNGKey:
        """A key for each clip from its number, and from the number of the window of a long video."""
        keys_B = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(first + jnp.arange(batch))
        return keys_B if window is None else jax.vmap(lambda key: jax.random.fold_in(key, window))(keys_B)

    def _task(self, name: str) -> Task:
        self.vocabulary.prompt_id(name)  # raises for a task that the model has not learned
        return self.mixture.tasks[self.tasks.index(name)]

    def _extending(self) -> str:
        for name in EXTENDING:
            if name in self.tasks:
                return name
        raise UserError(
            f"extending a video needs a model of {' or '.join(EXTENDING)}; this one knows: {', '.join(self.tasks)}"
        )

    def _place(self, x: Array) -> Array:
        if self.mesh is None:
            return x
        divides = x.shape[0] % batch_shards(self.mesh) == 0
        return jax.device_put(x, batch_sharding(self.mesh) if divides else replicated(self.mesh))


def _batch_size(num: int | None, given: int, labels: np.ndarray | None) -> int:
    if num is not None and num < 1:
        raise UserError(f"num is {num}; expected 1 or more clips")
    return max(given, 0 if labels is None else len(labels)) if num is None else num

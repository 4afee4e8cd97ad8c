"""A trained VideoPoet as users hold it: text, pictures, video and sound in, video and sound out (thesis ch. 8)."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.generation import multimodal_long
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.multimodal_chain import (
    FROM_BEFORE,
    prompts_of_steps,
    require_chain,
    settings_of_steps,
    step_arguments,
)
from magvit_jax.generation.multimodal_given import Reader, given_latents, require_arguments
from magvit_jax.generation.multimodal_ids import Prefixes, generate_ids
from magvit_jax.generation.prompts import Prompt, PromptReader, texts_of
from magvit_jax.generation.settings import choose
from magvit_jax.partitioning import batch_sharding, batch_shards, logical_context, replicated, state_shardings
from magvit_jax.sampling.draw import check
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.tasks import Task
from magvit_jax.tokens.videopoet import (
    ClipShape,
    Parts,
    Plan,
    Sequences,
    UnifiedVocabulary,
    layout,
    sequence_task,
    take_outputs,
)
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree


class Made(NamedTuple):
    """What a task made.

    Attributes:
        video: float32 in [0, 1], [B, T, H, W, 3], what was given of it in front, through the tokenizer; T is 1 for
            images. None of a task that makes sound alone.
        audio: float32 in [-1, 1], [B, S], likewise; None of a task that makes no sound.
        sample_rate: of the sound in Hz; None without sound.
        fps: frames a second of the video.
        ids: int32 [B, O], the generated ids of the unified vocabulary.
        codes: by source, what was given and made of it: video int32 [B, t, h, w], audio [B, f, Q].
    """

    video: Array | None
    audio: Array | None
    sample_rate: int | None
    fps: float
    ids: Array
    codes: dict[str, Array]


class MultimodalGenerator:
    """Generates video and sound with a prefix LM and the tokenizers that it was trained with.

    Attributes:
        transformer, params: the Linen module and its parameters.
        tokenizer, sound: of video, and of sound; `sound` is None for a model without.
        vocabulary: the ids.
        clip: shape of its clips' tokens, frames a second, audio frames a second.
        tasks: names of the tasks it knows.
        prompts: what it does with text.
        decoding: by task, the settings of `generate` where it is not told otherwise.
        fingerprint: identifies architecture and weights, the tokenizers' included.
        given: latent frames that frame prediction was trained to be given; () for all counts.
    """

    def __init__(
        self,
        *,
        transformer: MultimodalTransformer,
        params: PyTree,
        tokenizer: Tokenizer,
        sound: SoundTokenizer | None,
        vocabulary: UnifiedVocabulary,
        clip: ClipShape,
        tasks: Sequence[str],
        prompts: PromptReader,
        painting: Mapping[str, Task],
        decoding: Mapping[str, TokenwiseDecoding],
        fingerprint: str,
        given: Sequence[int] = (),
        mesh: Mesh | None = None,
    ):
        self.transformer, self.tokenizer, self.sound = transformer, tokenizer, sound
        self.vocabulary, self.clip, self.tasks, self.prompts = vocabulary, clip, tuple(tasks), prompts
        self.decoding, self.fingerprint, self.given, self.mesh = decoding, fingerprint, tuple(given), mesh
        self.reader = Reader(tokenizer, sound, clip, painting)
        shardings = None if mesh is None else state_shardings(self.abstract_params(), mesh)
        self.params = jax.device_put(params, shardings)
        # One program for each task, number of given frames, batch size and settings; text of any length shares it.
        self._decode = jax.jit(
            lambda params, prefixes, plan, decoding: generate_ids(transformer, params, plan, decoding, prefixes),
            static_argnums=(2, 3),
        )
        self._codes = jax.jit(_codes, static_argnums=(0,))

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.clip.fps

    @property
    def sample_rate(self) -> int | None:
        """Of sounds, in Hz; None for a model without sound."""
        return None if self.sound is None else self.sound.sample_rate

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the transformer's parameters, boxed; nothing is computed."""

        def init(key: PRNGKey) -> PyTree:
            return self.transformer.init(key, blank_sequences(), self._blank_text(1))["params"]

        return jax.eval_shape(init, jax.eval_shape(lambda: jax.random.key(0)))

    def plan(self, task: str, given: int | None = None) -> Plan:
        """The sequence of a task, alone in a plan.

        Args:
            given: latent frames that are given, of frame prediction.

        Raises:
            UserError: a task that the model does not know, or `given` that cannot be.
        """
        self.require_known(task)
        slots = self.prompts.slots
        return Plan((layout(task, self.clip, self.vocabulary, text_slots=slots, given=given),), self.vocabulary)

    def latents_of(self, task: str, given: int | None, video: Any = None) -> int | None:
        """Latent frames that a task is given, as `plan` takes it; arguments and errors as of `generate`."""
        self.require_known(task)
        return given_latents(task, given, video, self.clip, self.given)

    def generate(
        self,
        task: str,
        *,
        prompt: Prompt = None,
        video: Any = None,
        audio: Any = None,
        flow: Any = None,
        depth: Any = None,
        mask: Any = None,
        given: int | None = None,
        source: str | None = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        **settings: Any,
    ) -> Made:
        """Makes a batch of videos, images or sounds.

        Args:
            task: one of `tasks`.
            prompt: text, or one for each example; None for none, which some tasks do not allow.
            video: of tasks that see one: uint8 or float in [0, 1], of the model's height and width; [B, T', H, W, 3],
                one clip [T', H, W, 3], or one image [H, W, 3]. Frames behind the last that is given are not looked at.
            audio: of tasks that hear: float in [-1, 1] at `sample_rate`, [B, S] or one sound [S]; likewise.
            flow, depth: of stylization, as videos of the clip's length.
            mask: of inpainting and outpainting: bool, or uint8 of 0 and 255, True where a pixel is given; [H, W] for
                every frame, [T, H, W] or [B, T, H, W]. None for the window that the task was trained with.
            given: frames that frame prediction is given, 1 + k strides of the tokenizer; by default the whole video
                where it is shorter than the model's clips, and the frames of two latents where it is not (5 of the
                published tokenizer, as in 8.4.1).
            source: a name of `vocabulary.sources`: in whose manner.
            num: how many; by default one for each prompt, video or sound. More repeat them in turn.
            seed: of the sampling. Example i depends on the seed, `first` + i and what it is given, not on the batch.
            first: number of the first example, where one calls this batch by batch.
            settings: fields of `TokenwiseDecoding` to change: temperature, top_k, top_p, guidance_scale, cached.

        Raises:
            UserError: an unknown task or setting; something that is missing, not wanted, or does not fit.
        """
        values = dict(video=video, audio=audio, flow=flow, depth=depth, mask=mask)
        return self._generate(task, values, prompt, given, source, num, seed, first, None, settings)

    def extend(
        self,
        video: Any,
        *,
        audio: Any = None,
        frames: int | None = None,
        task: str | None = None,
        prompt: Prompt = None,
        given: int | None = None,
        source: str | None = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        **settings: Any,
    ) -> Iterator[Made]:
        """Goes on with a video, window by window, each made from the end of what is there (8.4.5; "the last second").

        Args:
            video: as of `generate`; at least as long as what a window is given.
            audio: its sound, as of `generate`, as long as the video; with it the new video has a sound as well.
            frames: how many new frames to make; None never ends.
            task: "frame_prediction" or "image_to_video", with sound "audio_video_continuation"; by default the first
                of those that fit and that the model knows.
            given: frames that each window of frame prediction is given; by default those of one second (9 of the
                published model: 3 latents), less where the clip is as short as that.
            prompt, source, num, seed, first, settings: as of `generate`. Window j of example i depends on the seed,
                `first` + i, j and what is before it.

        Yields:
            The new frames and the new sound of each window, and what it generated as ids and codes.

        Raises:
            UserError: at the call, as `generate`; and for a model that cannot extend, or sound and video of unequal
                length.
        """
        task = multimodal_long.extending_task(self.tasks, task, sounding=audio is not None)
        self._settings(task, prompt, settings)  # a mistake is said now and not when the first window is wanted
        if frames is not None and frames < 1:
            raise UserError(f"frames is {frames}; expected 1 or more, or None for a video without end")
        if given is None and sequence_task(task).given is None:
            given = multimodal_long.frames_of_a_second(self.clip, self.given)
        plan = self.plan(task, self.latents_of(task, given, video))
        tail = multimodal_long.Tail.of(self.reader, plan.layouts[0], video, audio)
        batch = _batch_size(num, len(tail.video), len(texts_of(prompt)))
        tail = tail.repeated(batch)

        def predict(tail: multimodal_long.Tail, window: int) -> Made:
            values = dict(video=tail.video, audio=tail.audio, flow=None, depth=None, mask=None)
            return self._generate(task, values, prompt, given, source, batch, seed, first, window, settings)

        return multimodal_long.slide(predict, tail, frames, self.clip.fps, self.sample_rate)

    def chain(
        self,
        tasks: Sequence[str],
        *,
        prompts: Prompt | Sequence[Prompt] = None,
        video: Any = None,
        audio: Any = None,
        flow: Any = None,
        depth: Any = None,
        mask: Any = None,
        given: int | None = None,
        source: str | None = None,
        num: int | None = None,
        seed: int = 0,
        first: int = 0,
        **settings: Any,
    ) -> list[Made]:
        """Tasks one after the other: each takes what the one before it made (Fig. 8.7, Fig. 8.8).

        Args:
            tasks: such as ("image_to_video", "stylization"), ("outpainting", "stylization"), or
                ("text_to_video", "video_to_audio").
            prompts: one text for all, or what `generate` takes for each task.
            video, audio: what the first task is given; later ones are given what was made last.
            flow, depth: of stylization: videos, as of `generate`, or functions from the video that was made, float32
                in [0, 1], [B, T, H, W, 3], to such videos. The model estimates neither.
            mask: of inpainting and outpainting, whichever comes.
            given: of the first task.
            source, num, seed, first, settings: as of `generate`; guidance is for those tasks that are given a text.

        Returns:
            What each task made.

        Raises:
            UserError: as `generate`, before anything is made where it can be known; and for a task that has no use for
                what was made before it.
        """
        values = dict(video=video, audio=audio, flow=flow, depth=depth, mask=mask)
        for task in tasks:
            self.require_known(task)
        require_chain(tasks, values)
        said = prompts_of_steps(prompts, len(tasks))
        steps = list(zip(tasks, said, settings_of_steps(said, settings), strict=True))
        for task, prompt, changes in steps:
            self._settings(task, prompt, changes)
        made: list[Made] = []
        for step, (task, prompt, changes) in enumerate(steps):
            own, count = step_arguments(task, values), None if step else given
            made.append(self._generate(task, own, prompt, count, source, num, seed, first, step or None, changes))
            values |= {name: new for name in FROM_BEFORE if (new := getattr(made[-1], name)) is not None}
        return made

    def _generate(self, task, values, prompt, given, source, num, seed, first, window, settings) -> Made:
        self.require_known(task)
        own = self._settings(task, prompt, settings)
        require_arguments(sequence_task(task), values)
        plan = self.plan(task, self.latents_of(task, given, values["video"]))
        texts, codes = texts_of(prompt), self.reader.read(plan.layouts[0], values)
        batch = _batch_size(num, len(texts), *(len(code) for code in codes.values()))
        order_B = np.arange(batch)
        said = self.prompts.read([texts[i % len(texts)] for i in order_B])
        prefixes = Prefixes(
            index_B=jnp.zeros((batch,), jnp.int32),
            codes={name: code if len(code) == batch else code[order_B % len(code)] for name, code in codes.items()},
            text_count_B=jnp.asarray(said.count_B),
            text_BT=None if said.ids_BT is None else jnp.asarray(said.ids_BT),
            text_BTE=self._blank_text(batch) if said.embedding_BTE is None else jnp.asarray(said.embedding_BTE),
            source_B=jnp.full((batch,), self._source(source), jnp.int32),
            keys_B=_keys(seed, first, batch, window),
        )
        with contextlib.nullcontext() if self.mesh is None else logical_context(self.mesh):
            ids_BO = self._decode(self.params, jax.tree.map(self._place, prefixes), plan, own)
        return self._made(plan, prefixes.codes, ids_BO)

    def _made(self, plan: Plan, given: Mapping[str, Array], ids_BO: Array) -> Made:
        codes = self._codes(plan, dict(given), ids_BO)
        video = self.tokenizer.decode(codes["video"]) if "video" in codes else None
        audio = self.sound.decode(codes["audio"]) if "audio" in codes else None
        return Made(video, audio, self.sample_rate, self.clip.fps, ids_BO, codes)

    def _settings(self, task: str, prompt: Prompt, settings: Mapping[str, Any]) -> TokenwiseDecoding:
        """How the task is decoded, checked with the text that it needs."""
        own = choose(self.decoding[task], None, settings)
        check(own.temperature, own.top_k or None, own.top_p)
        if own.guidance_scale < 0:
            raise UserError(f"guidance_scale {own.guidance_scale}: expected 0 or more")
        texts = texts_of(prompt)
        if sequence_task(task).text == "required" and not all(texts):
            raise UserError(f"task {task!r} needs a text; expected a prompt")
        if any(texts):
            return own
        if settings.get("guidance_scale"):
            raise UserError(f"guidance_scale {own.guidance_scale} without a text to be guided by; expected a prompt")
        return own.unguided()

    def require_known(self, task: str) -> None:
        """UserError for a task that the model was not trained on."""
        if task not in self.tasks:
            raise UserError(f"task {task!r} is unknown; this model knows: {', '.join(self.tasks)}")

    def _source(self, source: str | None) -> int:
        if source is None:
            return -1
        self.vocabulary.source_id(source)  # raises for one that the model does not know
        return self.vocabulary.sources.index(source)

    def _blank_text(self, batch: int) -> Array | None:
        """Embeddings of no text, where the transformer takes any."""
        width = self.transformer.text_width
        return jnp.zeros((batch, max(self.prompts.slots, 1), width), jnp.float32) if width else None

    def _place(self, x: Array) -> Array:
        if self.mesh is None:
            return x
        divides = x.shape[0] % batch_shards(self.mesh) == 0
        return jax.device_put(x, batch_sharding(self.mesh) if divides else replicated(self.mesh))


def blank_sequences() -> Sequences:
    """The shortest sequences, to find out the parameters of a transformer."""
    nothing_BL = jnp.zeros((1, 2), jnp.int32)
    return Sequences(
        ids_BL=nothing_BL,
        position_BL=nothing_BL,
        segment_BL=nothing_BL,
        prefix_B=nothing_BL[:, 0],
        target_BL=nothing_BL,
        is_target_BL=nothing_BL > 0,
        allowed_BL2=jnp.zeros((1, 2, 2), jnp.int32),
        text_slot_BL=nothing_BL,
    )


def _codes(plan: Plan, given: dict[str, Array], ids_BO: Array) -> dict[str, Array]:
    """Codes of what was made, by source, behind what was given of it."""
    parts = Parts(given, take_outputs(plan, 0, ids_BO))
    return {part.source: parts.whole(part.source) for part in plan.layouts[0].task.outputs}


def _keys(seed: int, first: int, batch: int, window: int | None) -> PRNGKey:
    """A key for each example from its number, and from the number of the window, or of the step of a chain."""
    keys_B = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(first + jnp.arange(batch))
    return keys_B if window is None else jax.vmap(lambda key: jax.random.fold_in(key, window))(keys_B)


def _batch_size(num: int | None, *given: int) -> int:
    if num is not None and num < 1:
        raise UserError(f"num is {num}; expected 1 or more")
    return max(given) if num is None else num

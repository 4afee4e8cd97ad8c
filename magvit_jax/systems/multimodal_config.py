"""What the system of VideoPoet reads from a config: vocabulary, clips, tasks, buckets of examples, the network."""

import dataclasses
from collections.abc import Sequence

from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.systems.video_tokenizer import DTYPES
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.grid import latent_grid
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.tasks import Task, build_task
from magvit_jax.tokens.videopoet import (
    SEQUENCE_TASKS,
    ClipShape,
    Layout,
    Plan,
    UnifiedVocabulary,
    images_per_video,
    layout,
)
from magvit_jax.tokens.videopoet.bucket import Bucket
from magvit_jax.tokens.videopoet.mixtures import IMAGE_TASKS, given_weights
from magvit_jax.transformer.multimodal import MultimodalTransformer

TEXTS = ("words", "t5", "none")
T5_PIECES = 32_128  # ids of T5's own vocabulary, which stand where text is known by its embeddings


@dataclasses.dataclass(frozen=True)
class TextFields:
    """A `config.text`.

    Attributes:
        kind: "words" (ids of the unified vocabulary), "t5" (frozen embeddings) or "none".
        slots: T of a sequence.
        ids: size of the text vocabulary within the unified one.
        width: of the embeddings; 0 where text is known by its ids.
    """

    kind: str
    slots: int
    ids: int
    width: int

    @classmethod
    def of(cls, config: ConfigDict, words: int) -> "TextFields":
        """
        Args:
            words: size of the small vocabulary of the data's captions (`Words.size`), of kind "words".

        Raises:
            UserError: an unknown kind, or fields that don't fit it.
        """
        if config.kind not in TEXTS:
            raise UserError(f"text.kind: {config.kind!r}; expected one of {', '.join(TEXTS)}")
        if (config.kind == "none") != (config.slots == 0):
            raise UserError(f"text.slots: {config.slots} of kind {config.kind!r}; expected 0 of 'none', else 1 or more")
        if (config.kind == "t5") != (config.width > 0):
            raise UserError(f"text.width: {config.width} of kind {config.kind!r}; expected that of 't5', else 0")
        if config.kind == "words" and words < 2:
            raise UserError("text.kind: 'words' without words; expected captions, or the words in text.words")
        return cls(config.kind, config.slots, {"words": words, "t5": T5_PIECES, "none": 0}[config.kind], config.width)


def active_tasks(config: ConfigDict) -> tuple[str, ...]:
    """Names of the tasks of a `config.tasks` with a weight above 0, in the order of `SEQUENCE_TASKS`.

    Raises:
        UserError: an unknown task, a weight below 0, or none above it.
    """
    for name in config:
        if name not in SEQUENCE_TASKS:
            raise UserError(f"tasks.{name} is unknown; VideoPoet's tasks are: {', '.join(SEQUENCE_TASKS)}")
        if not config[name].weight >= 0:
            raise UserError(f"tasks.{name}.weight is {config[name].weight}; expected 0 (left out) or more")
    names = tuple(name for name in SEQUENCE_TASKS if name in config and config[name].weight > 0)
    if not names:
        raise UserError("tasks: none has a weight above 0; expected one")
    return names


def build_vocabulary(
    config: ConfigDict, text: TextFields, tokenizer: Tokenizer, sound: SoundTokenizer | None
) -> UnifiedVocabulary:
    """Of a `config.vocabulary` and the tokenizers; without a sound tokenizer it has no audio."""
    return UnifiedVocabulary(
        visual_codes=tokenizer.model.codebook_size,
        audio_levels=0 if sound is None else sound.levels,
        audio_codes=0 if sound is None else sound.codes,
        text_ids=text.ids,
        sources=_sources(config),
        resolutions=tuple(tuple(size) for size in config.resolutions),
        durations=tuple(config.durations),
    )


def build_clip(config: ConfigDict, tokenizer: Tokenizer, sound: SoundTokenizer | None) -> ClipShape:
    """The tokens of a `config.data`'s clips.

    Raises:
        UserError: sound at another rate than its tokenizer's, or of another length than the frames'.
    """
    grid = latent_grid(tokenizer.model, (config.frames, config.height, config.width))
    if sound is None:
        return ClipShape(grid, float(config.fps), audio_rate=1.0, audio_levels=0)
    clip = ClipShape(grid, float(config.fps), audio_rate=sound.latent_rate, audio_levels=sound.levels)
    if config.sample_rate != sound.sample_rate:
        raise UserError(f"data.sample_rate: {config.sample_rate}; expected {sound.sample_rate} of the sound tokenizer")
    samples = clip.audio_frames * sound.samples_per_latent
    if config.samples != samples:
        raise UserError(
            f"data.samples: {config.samples}; expected {samples}, the {clip.audio_frames} whole latents of sound in "
            f"{config.frames} frames at {config.fps:g} a second"
        )
    return clip


def image_clip(clip: ClipShape) -> ClipShape:
    """An image as a clip of one frame, without sound."""
    return ClipShape(dataclasses.replace(clip.grid, frames=1), clip.fps, clip.audio_rate, audio_levels=0)


def task_layouts(
    config: ConfigDict, name: str, clip: ClipShape, vocabulary: UnifiedVocabulary, text_slots: int
) -> dict[Layout, float]:
    """The layouts of a task of `config.tasks` and their weights: several where the given frames vary."""
    task = config[name]
    make = lambda given: layout(name, clip, vocabulary, text_slots=text_slots, given=given)  # noqa: E731
    if SEQUENCE_TASKS[name].given is not None:
        return {make(None): task.weight}
    counts = tuple(task.settings.given)
    weights = dict.fromkeys(counts, task.weight / len(counts)) if counts else {}
    weights = weights or given_weights(clip.grid.frames, task.weight)
    return {make(given): weight for given, weight in weights.items()}


def build_buckets(
    config: ConfigDict, clip: ClipShape, vocabulary: UnifiedVocabulary, text_slots: int
) -> tuple[tuple[Bucket, ...], tuple[int, ...]]:
    """The buckets of a batch of videos, and the share of the batch that each has.

    Reads `config.buckets`: dicts of `tasks`, `share` and `per_row`; none puts all tasks in one bucket, and draws each
    example's from their weights. Text-to-image is among them only where no batches of images train it.

    Raises:
        UserError: an unknown task, one in no bucket or in two, a share below 1, or a bucket of sound alone for data
            some of which are silent.
    """
    names = [name for name in active_tasks(config.tasks) if not (_has_images(config) and name in IMAGE_TASKS)]
    if not names:
        raise UserError("tasks: none is of videos, and data.images makes batches of images alone; expected one")
    groups = [dict(bucket) for bucket in config.buckets] or [dict(tasks=names, share=1, per_row=1)]
    placed = [name for group in groups for name in group["tasks"]]
    if unknown := sorted(set(placed) - set(SEQUENCE_TASKS)):
        raise UserError(f"buckets: unknown task {unknown[0]!r}; expected one of {', '.join(SEQUENCE_TASKS)}")
    for name in names:
        if placed.count(name) != 1:
            raise UserError(f"buckets: task {name!r} is in {placed.count(name)} of them; expected 1")
    buckets, shares = [], []
    for group in groups:
        weighted: dict[Layout, float] = {}
        for name in group["tasks"]:
            if name in names:
                weighted |= task_layouts(config.tasks, name, clip, vocabulary, text_slots)
        if not weighted:
            continue  # none of its tasks is trained
        if group["share"] < 1:
            raise UserError(f"buckets: share {group['share']} of {', '.join(group['tasks'])}; expected 1 or more")
        bucket = Bucket(Plan(tuple(weighted), vocabulary), tuple(weighted.values()), group["per_row"])
        if bucket.sounding_M.all() and config.data.sound != "required":
            raise UserError(
                f"buckets: {', '.join(group['tasks'])} all need sound, and data.sound is {config.data.sound!r}; "
                "expected a task without sound beside them, or data.sound='required'"
            )
        buckets.append(bucket)
        shares.append(int(group["share"]))
    return tuple(buckets), tuple(shares)


def build_image_bucket(
    config: ConfigDict, clip: ClipShape, vocabulary: UnifiedVocabulary, text_slots: int
) -> Bucket | None:
    """Of a batch of images, as many a row as have a video's tokens (8.4.6); None where there are no such batches."""
    if not _has_images(config):
        return None
    names = [name for name in active_tasks(config.tasks) if name in IMAGE_TASKS]
    if not names:
        raise UserError(
            f"data.images.source: {config.data.images.source!r} without a task of images; expected "
            f"tasks.{min(IMAGE_TASKS)}.weight above 0, or 'none'"
        )
    weighted: dict[Layout, float] = {}
    for name in names:
        weighted |= task_layouts(config.tasks, name, image_clip(clip), vocabulary, text_slots)
    return Bucket(Plan(tuple(weighted), vocabulary), tuple(weighted.values()), images_per_video(clip))


def build_every_task(
    config: ConfigDict, clip: ClipShape, vocabulary: UnifiedVocabulary, text_slots: int
) -> Bucket:
    """All tasks of a `config.tasks` on the same videos, an image being the first frame: what they are measured on."""
    weighted: dict[Layout, float] = {}
    for name in active_tasks(config):
        weighted |= task_layouts(config, name, clip, vocabulary, text_slots)
    return Bucket(Plan(tuple(weighted), vocabulary), tuple(weighted.values()), per_row=1)


def build_painting(config: ConfigDict, clip: ClipShape) -> TaskMixture | None:
    """What inpainting and outpainting leave of a clip, each a task of ch. 6 (`settings.pixels`); None without them."""
    names = [name for name in ("inpainting", "outpainting") if name in active_tasks(config)]
    if not names:
        return None
    tasks = tuple(painting_task(config[name].settings) for name in names)
    return TaskMixture(tasks, tuple(config[name].weight for name in names), clip.grid)


def painting_task(settings: ConfigDict) -> Task:
    """The `tokens.tasks.Task` of a painting's settings: `pixels` is its name, the others are its own."""
    return build_task(settings.pixels, {name: settings[name] for name in settings if name != "pixels"})


def build_transformer(config: ConfigDict, vocabulary: UnifiedVocabulary, text: TextFields) -> MultimodalTransformer:
    """The network of a `config.model`."""
    if config.dtype not in DTYPES:
        raise UserError(f"model.dtype: {config.dtype!r}; expected one of {', '.join(DTYPES)}")
    fields = {name: config[name] for name in config if name != "dtype"}
    return MultimodalTransformer(
        vocabulary_size=vocabulary.size, text_width=text.width, dtype=DTYPES[config.dtype], **fields
    )


def require_sound(config: ConfigDict, names: Sequence[str], sound: SoundTokenizer | None) -> None:
    """UserError where tasks of sound are trained without a sound tokenizer, or on data without sound."""
    hearing = [
        name
        for name in names
        if any(part.kind == "audio" for part in (*SEQUENCE_TASKS[name].inputs, *SEQUENCE_TASKS[name].outputs))
    ]
    if not hearing:
        return
    if sound is None:
        raise UserError(
            f"task {hearing[0]!r} needs config.sound_tokenizer, the folder of a trained sound tokenizer; it is empty"
        )
    if config.data.sound == "none":
        raise UserError(f"data.sound: 'none', but task {hearing[0]!r} needs sound; expected 'required' or 'optional'")


def _sources(vocabulary: ConfigDict) -> tuple[str, ...]:
    """Models that were made before there were any have no such field."""
    return tuple(vocabulary.get("sources", ()))


def require_companions(config: ConfigDict) -> None:
    """UserError unless the data has the flow and the depth that stylization is given."""
    weight = config.tasks.stylization.weight if "stylization" in config.get("tasks", {}) else 0
    for field in ("flow", "depth"):
        if weight > 0 and not config.data[field]:
            raise UserError(
                f"data.{field} is empty, but task 'stylization' needs it; expected a folder of videos, or "
                "tasks.stylization.weight=0.0"
            )


def require_sources(config: ConfigDict) -> None:
    """UserError unless `vocabulary.sources` is empty, or names the source of the videos, then that of the images."""
    names, expected = _sources(config.vocabulary), 2 if _has_images(config) else 1
    if names and len(names) != expected:
        what = "two names, of the videos' source and of the images'" if expected == 2 else "the name of the videos'"
        raise UserError(f"vocabulary.sources: {list(names)}; expected none, or {what}")


def _has_images(config: ConfigDict) -> bool:
    return config.data.images.source != "none"

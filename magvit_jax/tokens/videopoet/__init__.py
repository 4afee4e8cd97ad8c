"""The tokens of VideoPoet: vocabulary, sequences, what may come next, rows, mixtures (thesis ch. 8)."""

from magvit_jax.tokens.videopoet.allowed import forced, next_ranges, restrict, vocabulary_mask
from magvit_jax.tokens.videopoet.clip import ClipShape, published_clip
from magvit_jax.tokens.videopoet.layout import MAX_TEXT, Layout, layout
from magvit_jax.tokens.videopoet.mixtures import TAB_8_1, TWO_STAGES, Stages, row_weights
from magvit_jax.tokens.videopoet.packing import (
    first_fit,
    images_per_video,
    merge_rows,
    pack,
    stack_rows,
    used_lengths,
)
from magvit_jax.tokens.videopoet.parse import Parsed, parse
from magvit_jax.tokens.videopoet.plan import Plan
from magvit_jax.tokens.videopoet.sequences import (
    Parts,
    Sequences,
    build,
    build_prefix,
    commit,
    require_codes,
    take_apart,
    take_outputs,
)
from magvit_jax.tokens.videopoet.tasks import SEQUENCE_TASKS, SequenceTask, sequence_task
from magvit_jax.tokens.videopoet.vocabulary import PUBLISHED, UnifiedVocabulary
from magvit_jax.tokens.videopoet.words import Words

__all__ = [
    "MAX_TEXT",
    "PUBLISHED",
    "SEQUENCE_TASKS",
    "TAB_8_1",
    "TWO_STAGES",
    "ClipShape",
    "Layout",
    "Parsed",
    "Parts",
    "Plan",
    "SequenceTask",
    "Sequences",
    "Stages",
    "UnifiedVocabulary",
    "Words",
    "build",
    "build_prefix",
    "commit",
    "first_fit",
    "forced",
    "images_per_video",
    "layout",
    "merge_rows",
    "next_ranges",
    "pack",
    "parse",
    "published_clip",
    "require_codes",
    "restrict",
    "row_weights",
    "sequence_task",
    "stack_rows",
    "take_apart",
    "take_outputs",
    "used_lengths",
    "vocabulary_mask",
]

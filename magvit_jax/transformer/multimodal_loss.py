"""The loss of VideoPoet: next-id cross-entropy of the outputs alone, a piece of the vocabulary's logits at a time."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import constrain
from magvit_jax.tokens.videopoet import Sequences, UnifiedVocabulary
from magvit_jax.tokens.videopoet.columns import target_columns
from magvit_jax.transformer.embedding import tied_logits
from magvit_jax.transformer.loss import chunked_scores
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.typing import Array, PyTree


class Scores(NamedTuple):
    """Of the generated ids of B rows, O of them.

    Attributes:
        loss_BO: float32, cross-entropy in nats.
        correct_BO: float32, 1 where the id is the arg max.
        target_BO: int32, the ids.
        segment_BO: int32, which sequence of the row each belongs to.
        is_target_BO: bool; where it is False there is no id, and the others mean nothing.
    """

    loss_BO: Array
    correct_BO: Array
    target_BO: Array
    segment_BO: Array
    is_target_BO: Array


def output_scores(
    transformer: MultimodalTransformer,
    params: PyTree,
    rows: Sequences,
    text_BTE: Array | None,
    *,
    outputs: int,
    label_smoothing: float,
    chunk: int,
) -> Scores:
    """Cross-entropy over the whole vocabulary of every id that is generated; the prefix has none (8.3.3).

    Args:
        rows, text_BTE: as of the transformer.
        outputs: O, how many generated ids a row has at most.
        label_smoothing: as of `token_cross_entropy`.
        chunk: ids of a device whose logits are held at a time, in both directions.
    """
    column_BO, is_target_BO = target_columns(rows, outputs)
    parts = TokenParts.of(*column_BO.shape)
    x_BLD, head_S = transformer.apply({"params": params}, rows, text_BTE, parts, method="hidden")
    x_BOD = jnp.take_along_axis(x_BLD, column_BO[:, :, None], axis=1)
    x_BOD = constrain(x_BOD, "activation_batch", "activation_length", "activation_embed")
    target_BO, segment_BO = (
        jnp.take_along_axis(x_BL, column_BO, axis=1) for x_BL in (rows.target_BL, rows.segment_BL)
    )
    logits = functools.partial(tied_logits, dtype=transformer.dtype)
    loss_BO, correct_BO = chunked_scores(logits, head_S, x_BOD, target_BO, parts, label_smoothing, chunk)
    return Scores(loss_BO, correct_BO, target_BO, segment_BO, is_target_BO)


def by_modality(scores: Scores, vocabulary: UnifiedVocabulary) -> dict[str, Array]:
    """What `ratios` divides, of every generated id, float32 [B, O], 0 where there is none.

    Special ids, which are forced where they stand, count in "loss" and "targets", and in neither modality.
    """
    real_BO, target_BO = scores.is_target_BO, scores.target_BO
    visual_BO = real_BO & (target_BO >= vocabulary.visual_range[0]) & (target_BO < vocabulary.visual_range[1])
    audio_BO = real_BO & (target_BO >= vocabulary.audio_start) & (target_BO < vocabulary.text_start)
    real_BO, visual_BO, audio_BO = (of_BO.astype(jnp.float32) for of_BO in (real_BO, visual_BO, audio_BO))
    parts = {"loss": scores.loss_BO * real_BO, "accuracy": scores.correct_BO * real_BO, "targets": real_BO}
    for name, of_BO in (("visual", visual_BO), ("audio", audio_BO)):
        parts |= {f"{name}_loss": scores.loss_BO * of_BO, f"{name}_targets": of_BO}
    return parts


def ratios(sums: Mapping[str, Array]) -> dict[str, Array]:
    """Means over the generated ids, in nats; of a modality without any 0. And the audio's share of the ids."""
    least = jnp.asarray(1e-9, jnp.float32)
    means = {name: sums[name] / sums["targets"] for name in ("loss", "accuracy")}
    for name in ("visual", "audio"):
        means[f"{name}_loss"] = sums[f"{name}_loss"] / jnp.maximum(sums[f"{name}_targets"], least)
    return dict(means, audio_share=sums["audio_targets"] / sums["targets"])

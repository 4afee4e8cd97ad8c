"""Sequences built from codes and taken apart again (thesis Fig. 8.2); all of it runs inside a jitted step."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.layout import Layout
from magvit_jax.tokens.videopoet.plan import Plan
from magvit_jax.tokens.videopoet.tasks import SOURCES
from magvit_jax.tokens.videopoet.vocabulary import FAMILIES, SPECIAL
from magvit_jax.typing import Array


class Sequences(NamedTuple):
    """A batch of rows as a prefix LM takes them: prefixes first, then outputs; columns may be unused.

    Their attention mask is `Mask.prefix_lm(prefix_B, q_segment_BL=segment_BL, k_segment_BS=segment_BL)`.

    Attributes:
        ids_BL: int32; what an unused column holds means nothing.
        position_BL: int32, counted over the used columns of a sequence: what is left out moves nothing.
        segment_BL: int32, 0 for unused columns; the sequences of a packed row have 1, 2, ...
        prefix_B: int32, columns of the row's prefixes.
        target_BL: int32, the id after the column's own in its sequence, where `is_target_BL`.
        is_target_BL: bool: the next id is generated, so it counts in the loss.
        allowed_BL2: int32, first id that the target may be and the one after the last.
        text_slot_BL: int32, which row of the example's text embeddings belongs to the column, -1 for none.
    """

    ids_BL: Array
    position_BL: Array
    segment_BL: Array
    prefix_B: Array
    target_BL: Array
    is_target_BL: Array
    allowed_BL2: Array
    text_slot_BL: Array


class Parts(NamedTuple):
    """Codes of a sequence by source: visual int32 [B, t, h, w], audio [B, f, Q]; -1 where an id is none."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def whole(self, source: str) -> Array:
        """What was given of a source and what was made of it, one after the other."""
        halves = [part[source] for part in (self.inputs, self.outputs) if source in part]
        if not halves:
            raise UserError(f"sequence without {source!r}")
        return jnp.concatenate(halves, axis=1)


def build(
    plan: Plan,
    index_B: Array,
    codes: Mapping[str, Array],
    *,
    text_count_B: Array | None,
    text_BT: Array | None,
    source_B: Array | None,
) -> Sequences:
    """Sequences of whole clips, each of its own layout.

    Args:
        plan: the layouts.
        index_B: int32 in [0, M), each example's layout.
        codes: a source -> its codes, from 0: visual int [B, t, h, w], audio int [B, f, Q]; all of
            `plan.needs`. Of `masked`, -1 where nothing is given (`commit`).
        text_count_B: int32 in [0, T], how many text slots are used; None for no text at all.
        text_BT: int32 ids of the text's own vocabulary. None puts <text> there: their embeddings are all
            there is.
        source_B: int32, positions in `vocabulary.sources`, -1 for an unknown one; None for none known.

    Returns:
        `Sequences` of `plan.length` columns.

    Raises:
        UserError: a source is missing or has another shape than the plan's clips.
    """
    batch = index_B.shape[0]
    pool_BU = _pool(plan, batch, codes, text_BT, source_B)
    ids_BL = jnp.take_along_axis(pool_BU, jnp.asarray(plan.pool_index_ML)[index_B], axis=1)
    return _assemble(plan, index_B, ids_BL, text_count_B, source_B)


def build_prefix(
    plan: Plan,
    index_B: Array,
    codes: Mapping[str, Array],
    *,
    text_count_B: Array | None,
    text_BT: Array | None,
    source_B: Array | None,
) -> Sequences:
    """The prefixes alone, `plan.prefix_length` columns, for generation.

    As `build`, but a source may be missing, or be shorter than a clip, where only outputs read what is not
    there. Nothing is a target.
    """
    batch = index_B.shape[0]
    padded = {}
    for source in plan.needs:
        shape = _shape(plan, source)
        nothing = jnp.zeros((batch, 0, *shape[1:]), jnp.int32)
        given = jnp.asarray(codes.get(source, nothing))
        _require_given(plan, source, given.shape[1])
        room = max(shape[0] - given.shape[1], 0)
        padded[source] = jnp.pad(given, [(0, 0), (0, room), *[(0, 0)] * (given.ndim - 2)])
    full = build(plan, index_B, padded, text_count_B=text_count_B, text_BT=text_BT, source_B=source_B)
    columns = {name: value for name, value in full._asdict().items() if value.ndim > 1}
    cut = {name: value[:, : plan.prefix_length] for name, value in columns.items()}
    return full._replace(**cut | {"is_target_BL": jnp.zeros_like(cut["is_target_BL"])})


def require_codes(plan: Plan, codes: Mapping[str, np.ndarray]) -> None:
    """UserError for a code that its tokenizer does not have: it would be another modality. On the host."""
    vocabulary = plan.vocabulary
    for source, found in codes.items():
        end = vocabulary.visual_codes if SOURCES[source] == "visual" else vocabulary.audio_codes
        first = -1 if source == "masked" else 0
        low, high = int(np.min(found)), int(np.max(found))
        if low < first or high >= end:
            raise UserError(f"{source!r} has codes from {low} to {high}: expected {first} to {end - 1}")


def take_apart(plan: Plan, index: int, ids_BL: Array) -> Parts:
    """Codes of whole sequences that all have layout number `index`: the way back from `build`."""
    return _parts(plan, plan.layouts[index], ids_BL[:, plan.columns(index)])


def take_outputs(plan: Plan, index: int, ids_BO: Array) -> dict[str, Array]:
    """Codes of generated ids alone, [B, O] from the first after the prefix on, all of one layout."""
    own = plan.layouts[index]
    ids_BO = ids_BO[:, : own.output_length]
    if ids_BO.shape[1] != own.output_length:
        raise UserError(f"{ids_BO.shape[1]} output ids: task {own.task.name!r} has {own.output_length}")
    return _side(plan, own.output, ids_BO)


def commit(codes_Bthw: Array, region: Array) -> Array:
    """The COMMIT encoding of a masked clip: codes of the padded clip in the region, -1 (<mask>) elsewhere.

    Args:
        codes_Bthw: codes of the clip with its unknown pixels padded (`tokens.tasks`).
        region: bool [t, h, w] or [B, t, h, w], the latents that are condition.
    """
    region = jnp.broadcast_to(region, codes_Bthw.shape)
    return jnp.where(region, codes_Bthw.astype(jnp.int32), -1)


def _assemble(plan, index_B, ids_BL, text_count_B, source_B) -> Sequences:
    batch = index_B.shape[0]
    count_B = jnp.zeros((batch,), jnp.int32) if text_count_B is None else jnp.asarray(text_count_B, jnp.int32)
    used_BL = jnp.asarray(plan.least_text_ML)[index_B] <= count_B[:, None]
    known_B = jnp.zeros((batch,), bool) if source_B is None else jnp.asarray(source_B) >= 0
    used_BL = used_BL & (~jnp.asarray(plan.is_source_ML)[index_B] | known_B[:, None])
    position_BL = jnp.maximum(jnp.cumsum(used_BL.astype(jnp.int32), axis=1) - 1, 0)
    column_L = jnp.arange(plan.length, dtype=jnp.int32)
    is_output_BL = used_BL & (column_L >= plan.prefix_length)[None]
    slot_BL = jnp.where(used_BL, jnp.asarray(plan.text_slot_ML)[index_B], -1)
    return Sequences(
        ids_BL=jnp.where(used_BL, ids_BL, SPECIAL["pad"]),
        position_BL=position_BL,
        segment_BL=used_BL.astype(jnp.int32),
        prefix_B=jnp.full((batch,), plan.prefix_length, jnp.int32),
        target_BL=_next(jnp.where(is_output_BL, ids_BL, SPECIAL["pad"])),
        is_target_BL=_next(is_output_BL),
        allowed_BL2=_next(jnp.where(is_output_BL[..., None], jnp.asarray(plan.allowed_ML2)[index_B], 0)),
        text_slot_BL=slot_BL,
    )


def _next(values_BL: Array) -> Array:
    """The values one column to the left, zero in the last."""
    return jnp.concatenate([values_BL[:, 1:], jnp.zeros_like(values_BL[:, :1])], axis=1)


def _pool(plan, batch, codes, text_BT, source_B) -> Array:
    vocabulary = plan.vocabulary
    special_BU = jnp.broadcast_to(jnp.arange(256, dtype=jnp.int32)[None], (batch, 256))
    source_B = jnp.zeros((batch,), jnp.int32) if source_B is None else jnp.asarray(source_B, jnp.int32)
    parts = [special_BU, FAMILIES["source"][0] + jnp.maximum(source_B, 0)[:, None]]
    if text_BT is None:
        parts.append(jnp.full((batch, plan.text_slots), SPECIAL["text"], jnp.int32))
    else:
        if text_BT.shape != (batch, plan.text_slots):
            raise UserError(f"text {text_BT.shape}: expected {(batch, plan.text_slots)}, the text slots")
        parts.append(vocabulary.text(text_BT))
    for source in plan.needs:
        if source not in codes:
            raise UserError(f"{source!r} is missing: the tasks of these layouts need {', '.join(plan.needs)}")
        expected = (batch, *_shape(plan, source))
        if codes[source].shape != expected:
            raise UserError(f"{source!r} has codes of shape {codes[source].shape}: expected {expected}")
        to_ids = vocabulary.visual if SOURCES[source] == "visual" else vocabulary.audio
        parts.append(to_ids(codes[source]).reshape(batch, -1))
    return jnp.concatenate(parts, axis=1)


def _shape(plan: Plan, source: str) -> tuple[int, ...]:
    clip = plan.layouts[0].clip
    return clip.grid.shape if SOURCES[source] == "visual" else (clip.audio_frames, clip.audio_levels)


def _require_given(plan: Plan, source: str, frames: int) -> None:
    for own in plan.layouts:
        for span in own.prefix:
            if span.part is not None and span.part.source == source and frames < span.last:
                raise UserError(
                    f"task {own.task.name!r}: {frames} latent frames of {source!r} are given, expected "
                    f"{span.last}"
                )


def _parts(plan: Plan, own: Layout, ids_BL: Array) -> Parts:
    split = own.prefix_length
    return Parts(_side(plan, own.prefix, ids_BL[:, :split]), _side(plan, own.output, ids_BL[:, split:]))


def _side(plan: Plan, spans, ids_BL: Array) -> dict[str, Array]:
    found, start_S = {}, np.cumsum([0, *(span.length for span in spans)])
    for span, start in zip(spans, start_S, strict=False):
        if span.part is None:
            continue
        ids = ids_BL[:, start : start + span.length]
        if span.kind == "audio":
            found[span.part.source] = plan.vocabulary.audio_codes_of(ids)
        else:
            shape = (ids.shape[0], span.last - span.first, *plan.layouts[0].clip.grid.shape[1:])
            found[span.part.source] = plan.vocabulary.visual_codes_of(ids).reshape(shape)
    return found

"""Several short sequences in one row, so that images waste nothing beside videos (thesis 8.4.6).

A row holds the prefixes of its sequences, then their outputs, then padding; segments keep them apart. So one
mask of a prefix LM with segments serves rows of any mixture, and a batch of rows holds five images for each
video.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.clip import ClipShape
from magvit_jax.tokens.videopoet.sequences import Sequences
from magvit_jax.tokens.videopoet.vocabulary import SPECIAL


def images_per_video(clip: ClipShape) -> int:
    """How many images have as many tokens as a video of that shape: 5 for 17 frames (8.4.6)."""
    return clip.visual_tokens // clip.frame_tokens


def merge_rows(sequences: Sequences, per_row: int, *, prefix_length: int, text_slots: int) -> Sequences:
    """Packs every `per_row` sequences of one shape into a row, inside a jitted step: slices and reshapes.

    Args:
        sequences: B of them, of L columns, B a multiple of `per_row`.
        per_row: sequences a row, R.
        prefix_length: P, prefix columns of each (`Plan.prefix_length`).
        text_slots: T; the row's text embeddings are those of its sequences one after the other,
            [B / R, R * T, D].

    Returns:
        B / R rows of R * L columns, the R * P prefix columns first. The columns of every sequence keep their
        positions, and their segment is 1 to R.
    """
    batch = sequences.ids_BL.shape[0]
    if batch % per_row:
        raise UserError(f"{batch} sequences in rows of {per_row}: expected a multiple")
    rows = batch // per_row
    number_B1 = jnp.tile(jnp.arange(per_row, dtype=jnp.int32), rows)[:, None]
    slot_BL = sequences.text_slot_BL
    sequences = sequences._replace(
        segment_BL=jnp.where(sequences.segment_BL > 0, 1 + number_B1, 0),
        text_slot_BL=jnp.where(slot_BL >= 0, slot_BL + text_slots * number_B1, -1),
    )

    def rearrange(values):
        halves = (values[:, :prefix_length], values[:, prefix_length:])
        return jnp.concatenate([half.reshape(rows, -1, *values.shape[2:]) for half in halves], axis=1)

    merged = {name: rearrange(value) for name, value in sequences._asdict().items() if name != "prefix_B"}
    return Sequences(prefix_B=jnp.full((rows,), per_row * prefix_length, jnp.int32), **merged)


def stack_rows(*groups: Sequences) -> Sequences:
    """One batch of rows of different lengths, inside a jitted step; the shorter get unused columns.

    So rows of five images stand beside rows of one video. Their text embeddings need one number of rows too.
    """
    length = max(rows.ids_BL.shape[1] for rows in groups)

    def padded(name: str, values):
        if name == "prefix_B":
            return values
        room = [(0, 0), (0, length - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
        nothing = {"ids_BL": SPECIAL["pad"], "text_slot_BL": -1}.get(name, 0)
        return jnp.pad(values, room, constant_values=nothing)

    names = Sequences._fields
    return Sequences(*(jnp.concatenate([padded(n, getattr(rows, n)) for rows in groups]) for n in names))


def first_fit(lengths_N: Sequence[int], row_length: int) -> list[list[int]]:
    """Which sequences share a row: each goes into the first row with room, in the order in which they come.

    Returns:
        a list of positions in `lengths_N` for each row.

    Raises:
        UserError: a sequence is longer than a row.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for number, length in enumerate(lengths_N):
        if length > row_length:
            raise UserError(f"sequence of {length} tokens: rows have {row_length}")
        row = next((index for index, left in enumerate(room) if left >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_length)
        rows[row].append(number)
        room[row] -= length
    return rows


def pack(sequences: Sequences, rows: list[list[int]], row_length: int, text_slots: int) -> Sequences:
    """Packs sequences of any lengths on the host, leaving out their unused columns.

    Args:
        sequences: N of them; `used_lengths` is what `first_fit` takes.
        rows: the sequences of each row, by number.
        row_length: columns of a row.
        text_slots: T; the text embeddings of a row are those of its sequences one after the other, as of
            `merge_rows`.

    Returns:
        numpy arrays, one row for each of `rows`.
    """
    arrays = Sequences(*(np.asarray(value) for value in sequences))
    used_NL = arrays.segment_BL > 0
    output_NL = np.arange(used_NL.shape[1])[None] >= arrays.prefix_B[:, None]
    shapes = ((row_length,) * (value.ndim > 1) + value.shape[2:] for value in arrays)
    empty = (np.zeros((len(rows), *shape), value.dtype) for shape, value in zip(shapes, arrays, strict=True))
    packed = Sequences(*empty)
    packed.ids_BL[:], packed.text_slot_BL[:] = SPECIAL["pad"], -1
    for row, numbers in enumerate(rows):
        counts = [used_NL[n].sum() for n in numbers]
        number_C = np.repeat(np.arange(len(numbers), dtype=np.int32), counts)
        member_C = np.asarray(numbers)[number_C]
        column_C = np.concatenate([np.flatnonzero(used_NL[n]) for n in numbers])
        order_C = np.argsort(output_NL[member_C, column_C], kind="stable")
        if len(order_C) > row_length:
            raise UserError(f"row of {len(order_C)} tokens: rows have {row_length}")
        member_C, number_C, column_C = member_C[order_C], number_C[order_C], column_C[order_C]
        for name in ("ids_BL", "position_BL", "target_BL", "is_target_BL", "allowed_BL2"):
            getattr(packed, name)[row, : len(order_C)] = getattr(arrays, name)[member_C, column_C]
        slot_C = arrays.text_slot_BL[member_C, column_C]
        packed.text_slot_BL[row, : len(order_C)] = np.where(slot_C >= 0, slot_C + text_slots * number_C, -1)
        packed.segment_BL[row, : len(order_C)] = 1 + number_C
        packed.prefix_B[row] = np.sum(~output_NL[member_C, column_C])
    return packed


def used_lengths(sequences: Sequences) -> np.ndarray:
    """int [N], the columns that each sequence uses."""
    return np.sum(np.asarray(sequences.segment_BL) > 0, axis=1)

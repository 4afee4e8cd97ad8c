"""An mp4 that is written in parts: the same file, and none before it is whole."""

import numpy as np
import pytest

from magvit_jax.media.video_io import mp4_writer, read_video, write_mp4


def noise(frames, height=16, width=16):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def test_parts_make_the_same_video(tmp_path):
    video = noise(9, 15, 18)
    with mp4_writer(tmp_path / "parts.mp4", fps=12.5, scale=2) as write:
        for start in (0, 1, 6):
            write(video[start : {0: 1, 1: 6, 6: 9}[start]])
        assert not (tmp_path / "parts.mp4").exists()
    write_mp4(tmp_path / "one.mp4", video, fps=12.5, scale=2)
    np.testing.assert_array_equal(read_video(tmp_path / "parts.mp4"), read_video(tmp_path / "one.mp4"))


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", noise(2))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), mp4_writer(path) as write:
        write(noise(40))
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="expected frames of 16x16, got 18x16"), mp4_writer(path) as write:
        write(noise(1))
        write(noise(1, 18))
    with pytest.raises(ValueError, match="no frame was written"), mp4_writer(path):
        pass
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

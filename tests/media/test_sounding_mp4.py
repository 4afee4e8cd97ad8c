"""Video with its sound in one mp4, and wav: read back in sync, whole or not at all."""

import av
import numpy as np
import pytest

from magvit_jax.data.sound import read_sound
from magvit_jax.media.output import write_clip
from magvit_jax.media.sound_io import write_wav
from magvit_jax.media.video_io import mp4_writer, read_video, write_mp4


def frames(count=17, size=16):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def chirp(rate, seconds=2.12):
    """Silence for a second, then a tone that rises: it is like itself at no other place."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * (0.02 + 0.03 * time) * rate * time) * (time > 1)).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 24_000, 700])
def test_sound_and_video_come_back_in_sync(tmp_path, rate):
    """Also of a rate that AAC does not know. What an encoder puts before the first sample is not heard."""
    video, audio = frames(), chirp(rate)
    path = write_mp4(tmp_path / "a.mp4", video, 8.0, audio_S=audio, sample_rate=rate)
    found = read_sound(path, rate).audio_S[: audio.size]
    noise = np.sum((found - audio[: found.size]) ** 2)
    assert 10 * np.log10(np.sum(audio**2) / noise) > 20
    silent = write_mp4(tmp_path / "b.mp4", video, 8.0)
    np.testing.assert_array_equal(read_video(path), read_video(silent))
    with av.open(str(path)) as container:
        kinds = {stream.type: float(stream.duration * stream.time_base) for stream in container.streams}
    assert kinds["video"] == pytest.approx(17 / 8) and kinds["audio"] == pytest.approx(2.12, abs=0.01)


def test_parts_make_the_same_sound(tmp_path):
    video, audio = frames(), chirp(16_000)
    with mp4_writer(tmp_path / "parts.mp4", 8.0, sample_rate=16_000) as write:
        for first in range(0, 17, 5):
            write(video[first : first + 5], audio[first * 2000 : (first + 5) * 2000])
    whole = write_mp4(tmp_path / "whole.mp4", video, 8.0, audio_S=audio, sample_rate=16_000)
    found, expected = (read_sound(path, 16_000).audio_S for path in (tmp_path / "parts.mp4", whole))
    np.testing.assert_array_equal(found, expected)


def test_what_cannot_be_written_leaves_no_file(tmp_path):
    for audio, rate, message in (
        (chirp(16_000), None, "expected a sample rate with the sound"),
        (chirp(16_000), 0, "expected a sample rate of 1 to 96000 Hz, got 0"),
        (chirp(16_000), 192_000, "got 192000"),
        (chirp(16_000)[None], 16_000, r"expected finite float samples \[S\], got float32 \(1, "),
        (np.zeros(100, np.int16), 16_000, "got int16"),
        (np.full(100, np.nan, np.float32), 16_000, "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            write_mp4(tmp_path / "a.mp4", frames(2), audio_S=audio, sample_rate=rate)
    assert not list(tmp_path.iterdir())


def test_wav_and_clips(tmp_path):
    audio = chirp(16_000)
    path = write_wav(tmp_path / "a.wav", 2.5 * audio, 16_000)
    np.testing.assert_allclose(read_sound(path, 16_000).audio_S, np.clip(2.5 * audio, -1, 1), atol=1e-4)
    made = write_clip(tmp_path / "clip", frames(), 8.0, audio, 16_000)
    assert made == tmp_path / "clip.mp4" and read_sound(made, 16_000).audio_S.any()
    assert write_clip(tmp_path / "image", frames(1), 8.0) == tmp_path / "image.png"

"""Sound of files: samples, channels, rates, and files that have none."""

import wave

import av
import numpy as np
import pytest
from scipy.io import wavfile
from sounds import tone, write_wav

from magvit_jax.data.sound import read_channels, read_sound, resample
from magvit_jax.errors import UserError


def test_a_wav_of_the_right_rate_comes_as_it_is(tmp_path):
    audio = tone(440, 16_000)
    sound = read_sound(write_wav(tmp_path / "a.wav", audio[:, None], 16_000), 16_000)
    assert sound.audio_S.dtype == np.float32 and sound.note == ""
    np.testing.assert_allclose(sound.audio_S, audio, atol=1e-4)


def test_channels_are_averaged_and_rates_converted_and_both_said(tmp_path):
    left, right = tone(440, 48_000), tone(1000, 48_000)
    path = write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), 48_000)
    sound = read_sound(path, 16_000)
    assert sound.note == "48000 Hz resampled to 16000 Hz, 2 channels averaged"
    expected = (tone(440, 16_000) + tone(1000, 16_000)) / 2
    assert sound.audio_S.shape == expected.shape
    np.testing.assert_allclose(sound.audio_S[200:-200], expected[200:-200], atol=2e-3)


def test_resampling_lets_the_band_through_and_no_image():
    assert np.abs(resample(tone(8_400, 32_000), 32_000, 16_000)[300:-300]).max() < 5e-5
    passed = resample(tone(7_000, 32_000), 32_000, 16_000)[300:-300]
    np.testing.assert_allclose(passed, tone(7_000, 16_000)[300:-300], atol=1e-3)
    with pytest.raises(UserError, match="1 or more"):
        resample(np.ones(9), 0, 16_000)


@pytest.mark.parametrize("codec, suffix", [("mp3", "mp3"), ("aac", "mp4")])
def test_compressed_sound_and_sound_of_videos(tmp_path, codec, suffix):
    path = tmp_path / f"a.{suffix}"
    rate, audio = 16_000, tone(440, 16_000, 1.0).astype(np.float32)
    with av.open(str(path), "w") as container:
        if suffix == "mp4":
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if suffix == "mp4":
            picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
            container.mux(video.encode(None))
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(audio[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        fifo.write(frame)
        size = stream.codec_context.frame_size or 1024
        for part in fifo.read_many(size, partial=True):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    sound = read_sound(path, rate)
    assert abs(sound.audio_S.size - rate) < 4096  # codecs add and cut off a few frames
    spectrum = np.abs(np.fft.rfft(sound.audio_S[:rate]))
    assert abs(spectrum.argmax() * rate / min(rate, sound.audio_S.size) - 440) < 3


def test_real_files(real_data):
    rates = {"test_24k.wav": 24_000, "test_48k.wav": 48_000, "test1_22050.wav": 22_050}
    for name, rate in rates.items():
        sound = read_sound(real_data / "audio" / name, 16_000)
        assert f"{rate} Hz resampled to 16000 Hz" in sound.note
        with wave.open(str(real_data / "audio" / name)) as file:
            assert sound.audio_S.size == -(-file.getnframes() * 16_000 // rate)
        assert 0.01 < np.abs(sound.audio_S).max() < 1.5


@pytest.mark.parametrize(
    "content, message", [(None, "no such file"), (b"", "not a readable"), (b"text" * 99, "not a readable")]
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"bad.wav.*{message}") as error:
        read_sound(path, 16_000)
    assert "\n" not in str(error.value)


def test_a_video_without_sound_says_so(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="silent.mp4: has no sound track"):
        read_sound(path, 16_000)


def test_channels_are_those_of_the_file(tmp_path):
    stereo_SC = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 2)).astype(np.float32)
    wavfile.write(tmp_path / "float.wav", 22_050, stereo_SC)
    found_CS, rate, start = read_channels(tmp_path / "float.wav")
    assert (rate, start) == (22_050, 0.0) and found_CS.dtype == np.float32
    np.testing.assert_array_equal(found_CS.T, stereo_SC)
    whole_SC = np.round(stereo_SC * 20000).astype(np.int16)
    wavfile.write(tmp_path / "int.wav", 22_050, whole_SC)
    np.testing.assert_allclose(read_channels(tmp_path / "int.wav")[0].T, whole_SC / 32768, atol=1e-7)

"""Videos with sound written on the fly, both of which tell the time. Not a test module."""

from fractions import Fraction

import av
import numpy as np

RATE = 8_000  # of their sound
FULL = 16.0  # seconds at which the sound would reach full scale


def counting(frames, size=(48, 64), step=4):
    """uint8 [T, H, W, 3]: frame k is plain and step * k bright."""
    levels = (step * np.arange(frames) % 240).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, *size, 3))


def ramp(first, last, rate=RATE):
    """Sound from `first` to `last` seconds whose value is its time in units of `FULL`."""
    return np.arange(round(first * rate), round(last * rate)) / rate / FULL


def write(path, frames, fps=25, audio=None, audio_at=0.0, rate=RATE, channels=1, size=(48, 64), step=4):
    """A video of counting frames; `audio` [S] begins at `audio_at` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"qp": "0"})
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        if audio is not None:
            sound = container.add_stream("pcm_s16le", rate=rate, layout="mono" if channels == 1 else "stereo")
        for picture in counting(frames, size, step):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            samples = np.repeat((audio * 32767).round().astype("<i2")[None, :, None], channels, axis=2)
            block = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", sound.layout.name)
            block.sample_rate, block.time_base, block.pts = rate, Fraction(1, rate), round(audio_at * rate)
            container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def seconds(audio_S):
    """The times that a ramp's samples tell."""
    return audio_S * FULL

"""Sounds written on the fly. Not a test module."""

import wave

import numpy as np


def write_wav(path, samples_SC, rate):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples_SC.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples_SC * 32767).round().astype("<i2").tobytes())
    return path


def tone(hertz, rate, seconds=0.5):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)

"""Mel bands: triangles over the frequencies of a Fourier transform, as matrices of NumPy."""

import functools

import numpy as np


@functools.lru_cache(maxsize=32)
def mel_filters(frequencies: int, bands: int, sample_rate: int) -> np.ndarray:
    """float32 [F, M]: triangles of height 1 whose corners are equally far apart on HTK's mel scale.

    From 0 to half the sample rate. Where windows are short, low bands lie between two frequencies and are empty.
    """
    highest = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, highest, bands + 2) / 2595.0) - 1.0)
    low_M, centre_M, high_M = corners[:-2], corners[1:-1], corners[2:]
    hertz_F1 = np.linspace(0.0, sample_rate / 2, frequencies)[:, None]
    rising_FM = (hertz_F1 - low_M) / (centre_M - low_M)
    falling_FM = (high_M - hertz_F1) / (high_M - centre_M)
    return np.maximum(np.minimum(rising_FM, falling_FM), 0.0).astype(np.float32)

"""Spectra of sound that have gradients: windowed Fourier transforms and mel bands."""

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.ops.mel import mel_filters
from magvit_jax.typing import Array


def stft(audio_BS: Array, window: int, hop: int) -> Array:
    """Fourier transforms of windows without padding: complex64 [B, T, F], T = 1 + (S - window) // hop.

    A periodic Hann window; F = window // 2 + 1 frequencies from 0 to half the sample rate.

    Raises:
      UserError: the sound is shorter than the window.
    """
    samples = audio_BS.shape[1]
    if samples < window:
        raise UserError(f"a sound of {samples} samples: its spectrum needs {window}, one window, or more")
    starts_T = np.arange(0, samples - window + 1, hop)
    frames_BTW = audio_BS.astype(jnp.float32)[:, starts_T[:, None] + np.arange(window)]
    hann_W = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window) / window)
    hann_W = jnp.asarray(hann_W.astype(np.float32))
    return jnp.fft.rfft(frames_BTW * jnp.broadcast_to(hann_W, frames_BTW.shape))


def mel_spectrum(audio_BS: Array, window: int, hop: int, bands: int, sample_rate: int) -> Array:
    """Magnitudes in mel bands, float32 [B, T, M], for windows whose squares sum to about one."""
    magnitudes_BTF = jnp.abs(stft(audio_BS, window, hop)) / np.sqrt(window).astype(np.float32)
    return magnitudes_BTF @ jnp.asarray(mel_filters(window // 2 + 1, bands, sample_rate))

"""How far a sound is from another: SI-SDR of samples and the distance of log spectra. NumPy in float64."""

from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.ops.mel import mel_filters

WINDOW, HOP = 512, 128  # 32 ms and 8 ms at 16 kHz
RANGE_DB = 80.0  # from the highest power of the reference down to what counts as silence


def si_sdr(reference, estimate) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019), higher is better.

    10 log10(|t|^2 / |e - t|^2), where t is the reference scaled to be nearest to the estimate e. Means are not taken
    off. No delay is allowed for: a shift by one sample counts as distortion.

    Args:
      reference, estimate: float [..., S], of one shape.

    Returns:
      float64 of the leading shape; infinite where the estimate is a multiple of the reference, minus infinity
      where it is silent or at right angles to it.

    Raises:
      UserError: different shapes, or a silent reference, for which there is no such ratio.
    """
    reference, estimate = _pair(reference, estimate)
    power = np.square(reference).sum(-1, keepdims=True)
    if (power == 0).any():
        raise UserError("si_sdr: a reference is silent; expected one that is not zero throughout")
    target = (reference * estimate).sum(-1, keepdims=True) / power * reference
    signal, noise = np.square(target).sum(-1), np.square(estimate - target).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(signal == 0, -np.inf, 10.0 * np.log10(signal / noise))


def mel_bands(sample_rate: int, bands: int = 40) -> np.ndarray:
    """float32 [257, bands]: what `log_spectral_distance` and its like take as `bands_FM`, HTK's mel bands.

    Two draws of one noise are 7.9 dB apart frequency by frequency, farther than each is from their mean (5.6 dB), so
    that nothing that sounds can be as near to a noise as its mean. Bands average over neighbours, which leaves more of
    what is heard: how loud each part of the spectrum is, and when.

    Args:
      sample_rate: Hz.
      bands: 1 or more. Above some 60 the lowest of them lie between two frequencies, and are empty.

    Raises:
      UserError: so many bands that one is empty.
    """
    filters_FM = mel_filters(WINDOW // 2 + 1, bands, sample_rate)
    if not (filters_FM.sum(0) > 0).all():
        raise UserError(f"mel_bands: {bands} bands at {sample_rate} Hz leave some empty; expected fewer")
    return filters_FM


def spectral_conventions(sample_rate: int) -> dict[str, dict[str, Any]]:
    """The four conventions that are reported, by the words that tell them apart: arguments of `log_spectral_distance`.

    By frequency or "of mel bands", over `RANGE_DB` or "within 40 dB" of the loudest.
    """
    bands = {"": {}, " of mel bands": dict(bands_FM=mel_bands(sample_rate))}
    ranges = {"": {}, " within 40 dB": dict(range_db=40.0)}
    return {which + within: by | over for which, by in bands.items() for within, over in ranges.items()}


def log_spectral_distance(
    reference, estimate, range_db: float = RANGE_DB, bands_FM: np.ndarray | None = None
) -> np.ndarray:
    """Distance of log power spectra in dB, lower is better: 0 for equal sounds.

    The root over frequencies of the mean squared difference in dB, averaged over windows. Convention: periodic
    Hann windows of 512 samples every 128, no padding; powers of both are raised to `range_db` below the highest of
    the reference, so that silence counts as silence.

    Args:
      reference, estimate: float [..., S], of one shape, S at least 512.
      range_db: dB, above 0. With 80 a noise 40 dB below a pure tone is farther from it than silence is, as most
        frequencies of a tone are empty; with 40 only what is within 40 dB of the loudest counts.
      bands_FM: weights of bands in place of single frequencies, [257, M], as of `mel_bands`.

    Returns:
      float64 of the leading shape.

    Raises:
      UserError: different shapes, sounds that are too short, a silent reference, or a range that is not above 0.
    """
    reference, estimate = _pair(reference, estimate)
    if reference.shape[-1] < WINDOW:
        raise UserError(f"log_spectral_distance: {reference.shape[-1]} samples; expected {WINDOW} or more")
    return _distance(_powers(reference, bands_FM), _powers(estimate, bands_FM), range_db)


def mean_spectrum(sounds, range_db: float = RANGE_DB, bands_FM: np.ndarray | None = None) -> np.ndarray:
    """The geometric mean of the power spectra of all windows of sounds, float64 [257], or [M] by bands.

    It is the one spectrum that is nearest to them by squared dB; see `mean_spectrum_distance`. Each sound's powers are
    raised to `range_db` below its highest.

    Args:
      sounds: float [N, S], none of them silent, S at least 512.
    """
    power = _powers(np.asarray(sounds, np.float64), bands_FM)
    return np.exp(np.log(np.maximum(power, _floor(power, range_db))).mean((0, 1)))


def mean_spectrum_distance(
    reference, spectrum_F: np.ndarray, range_db: float = RANGE_DB, bands_FM: np.ndarray | None = None
) -> np.ndarray:
    """As `log_spectral_distance`, from one power spectrum that stands for every window: what a constant noise reaches.

    Args:
      reference: float [..., S].
      spectrum_F: of `mean_spectrum`, for the same `range_db` and `bands_FM`.
    """
    power = _powers(np.asarray(reference, np.float64), bands_FM)
    return _distance(power, np.broadcast_to(spectrum_F, power.shape), range_db)


def _distance(power_a: np.ndarray, power_b: np.ndarray, range_db: float) -> np.ndarray:
    floor = _floor(power_a, range_db)
    difference = 10.0 * np.log10(np.maximum(power_a, floor) / np.maximum(power_b, floor))
    return np.sqrt(np.square(difference).mean(-1)).mean(-1)


def _floor(power: np.ndarray, range_db: float) -> np.ndarray:
    """`range_db` below the highest power of each sound, [..., 1, 1]."""
    if not range_db > 0:
        raise UserError(f"log_spectral_distance: range_db {range_db}; expected a number above 0")
    floor = power.max((-2, -1), keepdims=True) * 10.0 ** (-range_db / 10.0)
    if (floor == 0).any():
        raise UserError("log_spectral_distance: a reference is silent; expected one that is not zero throughout")
    return floor


def _pair(reference, estimate) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if a.shape != b.shape or not a.ndim or not a.size:
        raise UserError(f"sounds of shapes {list(a.shape)} and {list(b.shape)}: expected one shape [..., samples]")
    return a, b


def _powers(audio: np.ndarray, bands_FM: np.ndarray | None) -> np.ndarray:
    """Power of each window and frequency, [..., T, F], or band, [..., T, M]."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW, axis=-1)[..., ::HOP, :]
    powers = np.square(np.abs(np.fft.rfft(frames * hann)))
    return powers if bands_FM is None else powers @ bands_FM

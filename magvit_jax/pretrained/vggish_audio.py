"""What VGGish hears: sound as log-mel pictures of 96 frames of 10 ms and 64 bands.

Numbers are those of the network's authors: periodic Hann windows of 25 ms every 10 ms, magnitudes, triangles
on HTK's mel scale, log(x + 0.01). On the host in float64, as theirs.
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.signal

from magvit_jax.errors import UserError

SAMPLE_RATE = 16000
WINDOW, HOP, TRANSFORM = 400, 160, 512
BANDS = 64
LOWEST_HERTZ, HIGHEST_HERTZ = 125.0, 7500.0
LOG_OFFSET = 0.01
EXAMPLE_FRAMES = 96
#: The sinc that other rates are resampled by: zeros on a side, share of the band that passes, Kaiser window.
SINC_ZEROS, SINC_ROLLOFF, SINC_BETA = 64, 0.9475937167399596, 14.769656459379492
QUIETEST_PEAK = 0.1  # of FAD's loudness: 20 dB below full scale


class Framing(NamedTuple):
    """Where examples are cut out of a sound.

    Fields:
      hop: samples from an example's start to the next one's, a multiple of 160.
      window: samples that have to be there from an example's start, at least 15,600.
      normalize: whether the sound is made as loud as it can be first, see `normalize_peak`.
    """

    hop: int
    window: int
    normalize: bool


#: By name: the network's own, side by side; and that of FAD, a second each half second at full loudness.
FRAMINGS = {
    "vggish": Framing(hop=EXAMPLE_FRAMES * HOP, window=(EXAMPLE_FRAMES - 1) * HOP + WINDOW, normalize=False),
    "fad": Framing(hop=SAMPLE_RATE // 2, window=SAMPLE_RATE, normalize=True),
}


def log_mel_examples(audio, sample_rate: int, framing: str) -> np.ndarray:
    """Pictures for `VGGish`.

    Args:
      audio: [S] or [S, channels], int16 or float in [-1, 1]. Channels are averaged.
      sample_rate: in Hz. Other than 16,000 is resampled by a windowed sinc with the numbers of resampy's
        first "kaiser_best"; the authors' code resamples with resampy.
      framing: a name of `FRAMINGS`.

    Returns:
      float32 [N, 96, 64]; N = 1 + (samples - window) // hop.

    Raises:
      UserError: another shape, type or framing, a rate below 1, a number that is not finite, or a sound that
        is too short.
    """
    if framing not in FRAMINGS:
        raise UserError(f"framing {framing!r} is unknown; expected one of {', '.join(FRAMINGS)}")
    hop, window, normalize = FRAMINGS[framing]
    audio_S = resample(mono(audio), sample_rate)
    audio_S = normalize_peak(audio_S) if normalize else audio_S
    if audio_S.size < window:
        seconds, least = audio_S.size / SAMPLE_RATE, window / SAMPLE_RATE
        raise UserError(f"a sound of {seconds:.3f} s: VGGish needs {least:.3f} s or more")
    log_mel_TM = log_mel_spectrogram(audio_S)
    starts_N = np.arange(0, audio_S.size - window + 1, hop) // HOP
    frames_NT = starts_N[:, None] + np.arange(EXAMPLE_FRAMES)
    return log_mel_TM[frames_NT].astype(np.float32)


def mono(audio) -> np.ndarray:
    """float64 [S] in [-1, 1] of [S] or [S, channels]; UserError as in `log_mel_examples`."""
    audio = np.asarray(audio)
    if audio.ndim not in (1, 2) or 0 in audio.shape:
        raise UserError(f"a sound of shape {list(audio.shape)}: expected [samples] or [samples, channels]")
    if audio.dtype == np.int16:
        audio = audio / 32768.0
    elif audio.dtype.kind != "f":
        raise UserError(f"a sound of type {audio.dtype}: expected int16, or float in [-1, 1]")
    audio = audio.astype(np.float64)
    if not np.isfinite(audio).all():
        raise UserError("a sound holds NaN or infinity: expected finite samples")
    return audio if audio.ndim == 1 else audio.mean(axis=1)


def resample(audio_S: np.ndarray, sample_rate: int) -> np.ndarray:
    """The sound at 16 kHz. UserError where `sample_rate` is no positive whole number."""
    if sample_rate != int(sample_rate) or sample_rate < 1:
        raise UserError(f"sample rate {sample_rate}: expected a whole number of Hz, 1 or more")
    if sample_rate == SAMPLE_RATE:
        return audio_S
    common = math.gcd(SAMPLE_RATE, int(sample_rate))
    up, down = SAMPLE_RATE // common, int(sample_rate) // common
    widest = max(up, down)
    # SciPy's own filter lets images through at -50 dB, which the logarithm shows.
    size = 2 * SINC_ZEROS * widest + 1
    taps = scipy.signal.firwin(size, SINC_ROLLOFF / widest, window=("kaiser", SINC_BETA))
    return scipy.signal.resample_poly(audio_S, up, down, window=taps)


def normalize_peak(audio_S: np.ndarray) -> np.ndarray:
    """The sound over its highest sample, or over 0.1 where that is more: what FAD's authors do first."""
    return audio_S / max(QUIETEST_PEAK, audio_S.max())


def log_mel_spectrogram(audio_S: np.ndarray) -> np.ndarray:
    """float64 [T, 64] of a sound of 16 kHz; T = 1 + (S - 400) // 160, without padding."""
    window_W = scipy.signal.get_window("hann", WINDOW, fftbins=True)
    return np.log(magnitudes(audio_S, window_W, HOP, TRANSFORM) @ mel_filters() + LOG_OFFSET)


def magnitudes(audio_S: np.ndarray, window_W: np.ndarray, hop: int, transform: int) -> np.ndarray:
    """float64 [T, transform // 2 + 1]: the spectrum of every window, which zeros fill up to `transform`."""
    frames_TW = np.lib.stride_tricks.sliding_window_view(audio_S, window_W.size)[::hop]
    return np.abs(np.fft.rfft(frames_TW * window_W, transform))


def mel_filters() -> np.ndarray:
    """float64 [257, 64]: the weight of every frequency in every band.

    Bands are triangles over the mel scale, and their centres are equally far apart on it.
    """
    mel_F = hertz_to_mel(np.linspace(0.0, SAMPLE_RATE / 2, TRANSFORM // 2 + 1))
    corners = np.linspace(hertz_to_mel(LOWEST_HERTZ), hertz_to_mel(HIGHEST_HERTZ), BANDS + 2)
    return triangles(mel_F, corners)


def triangles(place_F: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """float64 [F, M]: triangles of height 1 at places, each from one of the M + 2 corners to the next but one."""
    low_M, centre_M, high_M = corners[:-2], corners[1:-1], corners[2:]
    rising_FM = (place_F[:, None] - low_M) / (centre_M - low_M)
    falling_FM = (high_M - place_F[:, None]) / (high_M - centre_M)
    return np.maximum(np.minimum(rising_FM, falling_FM), 0.0)


def hertz_to_mel(hertz):
    """HTK's mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

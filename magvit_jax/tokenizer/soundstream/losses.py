"""What SoundStream's generator loses besides the adversary's verdict (Zeghidour et al. 2021, III-E)."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from magvit_jax.tokenizer.soundstream.spectra import mel_spectrum
from magvit_jax.typing import Array

BANDS = 64
FLOOR = 1e-5  # of a band before its logarithm; also keeps the slope of a root finite
WINDOWS = (64, 128, 256, 512, 1024, 2048)  # published


def spectral_distance(
    audio_BS: Array, output_BS: Array, windows: Sequence[int], sample_rate: int, floor: float = FLOOR
) -> Array:
    """Distance of mel spectra of several window lengths, float32 []: the paper's equations 4 and 5.

    For each window of s samples, moved by s / 4: the sum over 64 bands of the absolute difference, plus
    sqrt(s / 2) times the root of the sum of squared differences of the logarithms. The paper sums over windows of
    time and lengths; here both are means, so that the value does not grow with the sound.

    Args:
      audio_BS, output_BS: sounds and reconstructions.
      windows: samples, multiples of 4; published: `WINDOWS`.
      sample_rate: in Hz.
      floor: bands below count as this much, where logarithms are taken; a full-scale tone is about sqrt(s) / 4. The
        paper has none. Where most bands are all but empty, a higher one lets those be heard that are not.

    Raises:
      UserError: sounds shorter than the longest window.
    """
    at_windows = (_at_window(audio_BS, output_BS, window, sample_rate, floor) for window in windows)
    return sum(at_windows) / len(windows)


def _at_window(audio_BS: Array, output_BS: Array, window: int, sample_rate: int, floor: float) -> Array:
    def mel(x: Array) -> Array:
        return mel_spectrum(x, window, window // 4, BANDS, sample_rate)

    real_BTM, fake_BTM = mel(audio_BS), mel(output_BS)
    linear_BT = jnp.abs(real_BTM - fake_BTM).sum(-1)
    log_BTM = jnp.log(jnp.maximum(real_BTM, floor)) - jnp.log(jnp.maximum(fake_BTM, floor))
    # The floor keeps the slope of the root finite where the spectra are equal.
    log_BT = jnp.sqrt(jnp.square(log_BTM).sum(-1) + FLOOR**2)
    return linear_BT.mean() + float(np.sqrt(window / 2)) * log_BT.mean()


def feature_matching(real: Sequence[Sequence[Array]], fake: Sequence[Sequence[Array]]) -> Array:
    """Mean absolute difference of the discriminator's features, averaged over layers and scales (equation 3).

    Args:
      real, fake: features by scale and layer, of sounds and of their reconstructions.
    """
    layers = [
        jnp.abs(a - b).mean()
        for scale_a, scale_b in zip(real, fake, strict=True)
        for a, b in zip(scale_a, scale_b, strict=True)
    ]
    return sum(layers) / len(layers)

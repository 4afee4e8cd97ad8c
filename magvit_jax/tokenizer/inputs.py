"""What users hand to a tokenizer: checked, and named where it is wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.typing import Array


def as_video(video: Any) -> Array:
    """Checks user pixels and makes them float32 in [0, 1], [B, T, H, W, 3]; see `Tokenizer.encode`."""
    if not hasattr(video, "ndim"):
        video = np.asarray(video)
    if video.ndim not in (4, 5) or video.shape[-1] != 3:
        raise UserError(
            f"video of shape {list(video.shape)}; expected [B, T, H, W, 3], or [B, H, W, 3] for images"
        )
    if video.dtype == np.uint8:
        pixels = jnp.asarray(video).astype(jnp.float32) / 255.0
    elif jnp.issubdtype(video.dtype, jnp.floating):
        pixels = jnp.asarray(video).astype(jnp.float32)
        _require_unit_range(pixels)
    else:
        raise UserError(f"video of dtype {video.dtype}; expected uint8 in [0, 255] or float in [0, 1]")
    return pixels if video.ndim == 5 else pixels[:, None]


def _require_unit_range(pixels: Array) -> None:
    if isinstance(pixels, jax.core.Tracer) or not pixels.size:
        return  # inside somebody's jit there are no values to look at
    low, high = float(pixels.min()), float(pixels.max())
    nan = bool(jnp.isnan(pixels).any())  # which XLA's minimum and maximum may pass over
    if nan or not (low >= 0.0 and high <= 1.0):
        found = "NaN" if nan else f"{low:g} to {high:g}"
        raise UserError(f"video of float pixels: {found}; expected 0 to 1")


def as_ids(ids: Any, codebook_size: int) -> Array:
    """Checks user ids and makes them int32 in [0, codebook_size), [B, t, h, w]."""
    ids = jnp.asarray(ids)
    if ids.ndim != 4 or not jnp.issubdtype(ids.dtype, jnp.integer):
        raise UserError(f"ids: {ids.dtype} {list(ids.shape)}; expected integers [B, t, h, w]")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < codebook_size:
        raise UserError(f"ids: {int(ids.min())} to {int(ids.max())}; expected 0 to {codebook_size - 1}")
    return ids.astype(jnp.int32)


LOUDEST = 2.0  # samples that resampling or an mp3 decoder brings above 1 are taken; whole numbers of 16 bits are not


def as_sound(audio: Any) -> Array:
    """Checks user samples and makes them float32 [B, S]; see `SoundTokenizer.encode`."""
    if not hasattr(audio, "ndim"):
        audio = np.asarray(audio)
    if audio.ndim != 2 or not audio.shape[1] or not jnp.issubdtype(audio.dtype, jnp.floating):
        raise UserError(f"sound: {audio.dtype} {list(audio.shape)}; expected floats [B, S] in [-1, 1], S above 0")
    samples = jnp.asarray(audio).astype(jnp.float32)
    if not isinstance(samples, jax.core.Tracer) and samples.size:
        loudest = np.nan if jnp.isnan(samples).any() else float(jnp.abs(samples).max())
        if not loudest <= LOUDEST:
            raise UserError(f"sound: samples as large as {loudest:g}; expected -1 to 1")
    return samples


def as_sound_ids(ids: Any, levels: int, codes: int) -> Array:
    """Checks user ids of sound and makes them int32 in [0, codes), [B, f, Q] with at most `levels` levels."""
    ids = jnp.asarray(ids)
    if ids.ndim != 3 or not jnp.issubdtype(ids.dtype, jnp.integer) or not 1 <= ids.shape[2] <= levels:
        raise UserError(f"ids of sound: {ids.dtype} {list(ids.shape)}; expected integers [B, f, 1 to {levels} levels]")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < codes:
        raise UserError(f"ids of sound: {int(ids.min())} to {int(ids.max())}; expected 0 to {codes - 1}")
    return ids.astype(jnp.int32)

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
    if not (low >= 0.0 and high <= 1.0):
        found = "NaN" if np.isnan(low) else f"{low:g} to {high:g}"
        raise UserError(f"video of float pixels: {found}; expected 0 to 1")


def as_ids(ids: Any, codebook_size: int) -> Array:
    """Checks user ids and makes them int32 in [0, codebook_size), [B, t, h, w]."""
    ids = jnp.asarray(ids)
    if ids.ndim != 4 or not jnp.issubdtype(ids.dtype, jnp.integer):
        raise UserError(f"ids: {ids.dtype} {list(ids.shape)}; expected integers [B, t, h, w]")
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < codebook_size:
        raise UserError(f"ids: {int(ids.min())} to {int(ids.max())}; expected 0 to {codebook_size - 1}")
    return ids.astype(jnp.int32)

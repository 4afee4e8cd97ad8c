"""Video of any length: a frame-prediction window slides over its own output, in the memory of one window."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp

from magvit_jax.typing import Array

#: (last frames [B, g, H, W, 3], number of the window from 0) -> the window's clip [B, T, H, W, 3], T > g
Predict = Callable[[Array, int], Array]


def slide(predict: Predict, video_BTHWC: Array, given: int, frames: int | None) -> Iterator[Array]:
    """New frames after a video, window by window: each is predicted from the `given` last frames there are.

    Nothing else of the past is kept. What a window makes of its given frames is thrown away.

    Args:
      predict: one window.
      video_BTHWC: float pixels, at least `given` frames.
      given: g, the frames that a window sees.
      frames: how many to make; None never ends.

    Yields:
      float32 [B, n, H, W, 3], n = T - g but for the last.
    """
    tail_BTHWC, made, window = video_BTHWC[:, -given:], 0, 0
    while frames is None or made < frames:
        new_BTHWC = predict(tail_BTHWC, window)[:, given:]
        tail_BTHWC = jnp.concatenate([tail_BTHWC, new_BTHWC], axis=1)[:, -given:]
        wanted = new_BTHWC.shape[1] if frames is None else min(new_BTHWC.shape[1], frames - made)
        made, window = made + wanted, window + 1
        yield new_BTHWC[:, :wanted]

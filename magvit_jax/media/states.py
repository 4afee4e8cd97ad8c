"""A picture of decoding step by step, like Fig. 6.3: a row a step, its tokens by kind beside the decoded
frames."""

from collections.abc import Sequence

import numpy as np

from magvit_jax.media.grid import BACKGROUND, draw_label, grid, stack
from magvit_jax.media.pixels import check_video, colour, upscale

CONDITION, MASK, NEW, KEPT = range(4)
NAMES = ("condition", "[MASK]", "newly decoded", "kept")
COLOURS = ("#f59e0b", "#e2e8f0", "#2563eb", "#93c5fd")  # told apart without seeing colour, by their lightness
_INKS = ("#1f2937", "#1f2937", "#ffffff", "#1f2937")
_SIDE = 96  # pixels of a map of tokens, about
_GAP = 4
_LABEL_WIDTH = _LEGEND_WIDTH = 112


def states_picture(kinds_Kthw: np.ndarray, video_KTHWC: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """All steps in one still picture, under a legend.

    Args:
        kinds_Kthw: integers [K, t, h, w]: CONDITION, MASK, NEW or KEPT for every token after each of K steps.
        video_KTHWC: uint8 [K, T, H, W, 3], some frames of the clip as decoded after each step.
        labels: K words.

    Returns:
        uint8 [H', W', 3].
    """
    return stack([_legend(), *_rows(kinds_Kthw, video_KTHWC, labels)], padding=_GAP)


def states_clip(kinds_Kthw: np.ndarray, video_KTHWC: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """A step a frame, under a legend: uint8 [K, H', W', 3]. Arguments as of `states_picture`."""
    rows = _rows(kinds_Kthw, video_KTHWC, labels)
    return np.stack([stack([_legend(), row], padding=_GAP) for row in rows])


def _rows(kinds_Kthw: np.ndarray, video_KTHWC: np.ndarray, labels: Sequence[str]) -> list[np.ndarray]:
    kinds_Kthw = np.asarray(kinds_Kthw)
    if kinds_Kthw.ndim != 4 or not len(kinds_Kthw) == len(video_KTHWC) == len(labels):
        raise ValueError(
            f"expected kinds [K,t,h,w], K videos and K labels, got {list(kinds_Kthw.shape)}, "
            f"{len(video_KTHWC)} and {len(labels)}"
        )
    if kinds_Kthw.min() < 0 or kinds_Kthw.max() >= len(NAMES):
        raise ValueError(
            f"expected kinds 0 to {len(NAMES) - 1}, got {kinds_Kthw.min()} to {kinds_Kthw.max()}"
        )
    cell = max(3, round(_SIDE / max(kinds_Kthw.shape[2:])))
    side = cell * max(kinds_Kthw.shape[2:])
    rows = []
    for kinds_thw, video_THWC, label in zip(kinds_Kthw, video_KTHWC, labels, strict=True):
        scale = max(1, round(side / max(check_video(video_THWC).shape[1:3])))
        maps = [_tokens(kinds_hw, cell) for kinds_hw in kinds_thw]
        frames = list(upscale(video_THWC, scale))
        parts = [
            draw_label(label, _LABEL_WIDTH),
            grid(maps, len(maps), _GAP)[0],
            grid(frames, len(frames), _GAP)[0],
        ]
        rows.append(_beside(parts))
    return rows


def _tokens(kinds_hw: np.ndarray, cell: int) -> np.ndarray:
    """A square of `cell` pixels for each token, parted by a thin line."""
    palette = np.stack([colour(value) for value in COLOURS])
    map_HWC = upscale(palette[kinds_hw], cell)
    map_HWC[cell - 1 :: cell] = colour(BACKGROUND)
    map_HWC[:, cell - 1 :: cell] = colour(BACKGROUND)
    return map_HWC


def _legend() -> np.ndarray:
    words = [
        draw_label(name, _LEGEND_WIDTH, ink, value)
        for name, ink, value in zip(NAMES, _INKS, COLOURS, strict=True)
    ]
    return grid(words, len(words), _GAP)[0]


def _beside(images: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of any heights in a row, flush with the top."""
    return stack([image.swapaxes(0, 1) for image in images], padding=_GAP).swapaxes(0, 1)

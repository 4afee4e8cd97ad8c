"""Clips written the way every command writes them: mp4 and gif, side by side, and a still grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from magvit_jax.media.grid import comparison_rows, filmstrip, side_by_side, stack
from magvit_jax.media.pixels import viewing_scale
from magvit_jax.media.video_io import write_gif, write_mp4, write_png

SHOWN = 8  # examples in a picture: more cannot be told apart
STEP_RATE = 2.0  # decoding steps a second


def write_clip(
    stem: Path,
    video_THWC: np.ndarray,
    fps: float,
    audio_S: np.ndarray | None = None,
    sample_rate: int | None = None,
) -> Path:
    """`stem`.mp4, with its sound where there is one, and `stem`.gif, small clips enlarged so that players show them
    at a size one can see; `stem`.png of a clip of one frame, an image, as it is. Returns the mp4 or the png."""
    if len(video_THWC) == 1:
        return write_png(_named(stem, ".png"), video_THWC[0])
    scale = viewing_scale(*video_THWC.shape[1:3])
    write_gif(_named(stem, ".gif"), video_THWC, fps, scale)
    sound = dict(audio_S=audio_S, sample_rate=sample_rate)
    return write_mp4(_named(stem, ".mp4"), video_THWC, fps, scale, **sound)


def write_beside(stem: Path, clips: Mapping[str, np.ndarray], fps: float) -> None:
    """Clips of one example beside one another under their names: `stem`.mp4 and `stem`.gif, or of images `stem`.png."""
    height, width = next(iter(clips.values())).shape[1:3]
    beside = side_by_side(clips, viewing_scale(height, width))
    if len(beside) == 1:
        write_png(_named(stem, ".png"), beside[0])
        return
    write_mp4(_named(stem, ".mp4"), beside, fps)
    write_gif(_named(stem, ".gif"), beside, fps)


def write_states(stem: Path, picture_HWC: np.ndarray, steps_KHWC: np.ndarray) -> None:
    """The steps of a decoding: `stem`.png with all of them, and `stem`.gif step by step."""
    write_png(_named(stem, ".png"), picture_HWC)
    write_gif(_named(stem, ".gif"), steps_KHWC, STEP_RATE)


def write_grid(path: Path, clips: Sequence[Mapping[str, np.ndarray]], given: int = 0) -> None:
    """One picture: the frames of the first examples, a row for each name of each example."""
    height, width = next(iter(clips[0].values())).shape[1:3]
    scale = viewing_scale(height, width, target=64)
    strips = [filmstrip(video, 12, given, scale) for example in clips[:SHOWN] for video in example.values()]
    write_png(path, stack(strips, padding=2))


def write_comparison(stem: Path, videos: Mapping[str, np.ndarray], fps: float = 8.0) -> None:
    """Batches of clips by name, [N, T, H, W, 3]: `stem`.gif moving and `stem`.png still."""
    count = min(SHOWN, min(len(video) for video in videos.values()))
    rows = [{name: video[i] for name, video in videos.items()} for i in range(count)]
    height, width = next(iter(rows[0].values())).shape[1:3]
    moving = comparison_rows(rows, viewing_scale(height, width, target=96))
    write_gif(_named(stem, ".gif"), moving, fps)
    write_grid(_named(stem, ".png"), rows)


def _named(stem: Path, end: str) -> Path:
    return stem.with_name(stem.name + end)

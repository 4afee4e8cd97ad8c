"""`fd_small`: the Frechet distance on the features of a small network that travels in this package.

It is not FVD and not FID, and no number of it can be held against theirs. It compares within itself only: the
same network (`SmallFeatures.fingerprint`), as many clips, of as many frames. What it is for: seeing without
anyone's weights whether blur, noise or a wrong order of frames grew or shrank.

The network is a `ClipClassifier` that tells the motions of the embedded digits apart, in random colours; its
features are the penultimate layer, 64 channels in [-1, 1] averaged over time and space.
`tools/train_fd_small.py` trains it, and its bundle `assets/fd_small/` says how. It sees 32x32 pixels, so it
is blind to finer detail.
"""

import dataclasses
import functools
import json
import os
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.classifier import ClipClassifier, in_batches, unit_float
from magvit_jax.typing import Array, PyTree

NAME = "fd_small"
BUNDLE = Path(__file__).parent / "assets" / NAME
BATCH = 64


class SmallFeatures:
    """The network of `fd_small`: clips to features.

    Attributes:
      fingerprint: identifies architecture and weights; part of every result.
      size: (height, width) that frames are resized to.
    """

    def __init__(self, model: ClipClassifier, params: PyTree, size: tuple[int, int], fingerprint: str):
        self.model, self.params, self.size, self.fingerprint = model, params, size, fingerprint
        self._features = jax.jit(self._of_batch)

    @classmethod
    def load(cls, path: str | os.PathLike = BUNDLE) -> "SmallFeatures":
        """The shipped network, or one that `tools/train_fd_small.py` wrote. UserError where there is none."""
        path = Path(path)
        try:
            config = json.loads((path / "config.json").read_text())
            params = load_file(path / "params.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"{path}: no bundle of {NAME}: {error}") from error
        if config.get("name") != NAME:
            raise UserError(f"{path}: a bundle of {config.get('name')!r}; expected {NAME!r}")
        fields = {
            key: tuple(value) if isinstance(value, list) else value for key, value in config["model"].items()
        }
        size = config["clip"]["height"], config["clip"]["width"]
        return cls(ClipClassifier(**fields), unflatten_dict(params, sep="/"), size, config["fingerprint"])

    def __call__(self, video) -> np.ndarray:
        """Features of clips.

        Frames are resized to the network's 32x32, see `resize`. Clips may have any number of frames: those
        before the first count as grey, and features are means over the clip, so only clips of the same length
        compare. Every frame counts: the first is repeated in front until there are 1, 9, 17, ... of them. The network
        was trained on 9 frames.

        Args:
          video: [N, T, H, W, 3], uint8 in [0, 255] or float in [0, 1]; N, T, H and W at least 1.

        Returns:
          float32 [N, 64], in [-1, 1].

        Raises:
          UserError: another shape, type or range, or NaN.
        """
        return in_batches(lambda x: self._features(self.params, x), _checked(video), BATCH)

    def _of_batch(self, params: PyTree, video_BTHWC: Array) -> Array:
        small_BTHWC = resize(unit_float(video_BTHWC), self.size)
        return self.model.apply({"params": params}, small_BTHWC, head=False)


def resize(video_BTHWC: Array, size: tuple[int, int]) -> Array:
    """Frames of another (height, width), bilinearly.

    Half-pixel centres, antialiased where a side gets smaller (the triangle is as wide as the factor), borders
    renormalised. Each side goes by itself: the whole frame is kept, and one of other proportions is squeezed.
    """
    shape = (*video_BTHWC.shape[:2], *size, video_BTHWC.shape[-1])
    return jax.image.resize(video_BTHWC, shape, "linear", antialias=True)


@dataclasses.dataclass(frozen=True)
class FdSmall:
    """A measured `fd_small`.

    Attributes:
      value: the distance, at least 0; less is nearer.
      low, high: how far `value` would vary over other clips: a centred interval, see `metrics.bootstrap`.
      confidence: of the interval.
      clips: in each of the two sets; the value falls as they grow, so compare at equal numbers only.
      frames: of each clip.
    """

    value: float
    low: float
    high: float
    confidence: float
    clips: int
    frames: int


def fd_small(video_a, video_b) -> float:
    """Distance between two sets of clips under the shipped network.

    Args:
      video_a, video_b: [N, T, H, W, 3], uint8 in [0, 255] or float in [0, 1]; the same T, each its own N of
        at least 2, H and W. About as many clips as features (64) or more; fewer are legal and say little.

    Raises:
      UserError: another shape, type or range, NaN, one clip only, or clips of different lengths.
    """
    video_a, video_b = np.asarray(video_a), np.asarray(video_b)
    frames = [video.shape[1] for video in (video_a, video_b) if video.ndim == 5]
    if len(set(frames)) > 1:
        raise UserError(f"{NAME} of clips of {frames[0]} and {frames[1]} frames: expected as many in both")
    network = shipped()
    return metrics.frechet_distance(network(video_a), network(video_b))


def measure_fd_small(
    features_a_NF: np.ndarray,
    features_b_NF: np.ndarray,
    *,
    frames: int,
    paired: bool,
    confidence: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> FdSmall:
    """The distance between two sets of `SmallFeatures`, with its interval.

    Args:
      frames: of the clips that the features are of.
      paired: row i of both sets is of one clip and what a model made of it, so both are drawn together.
    """
    interval = metrics.bootstrap(
        metrics.frechet_distance,
        features_a_NF,
        features_b_NF,
        paired=paired,
        method="centred",
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    clips = min(len(features_a_NF), len(features_b_NF))
    low, high = max(interval.low, 0.0), interval.high
    return FdSmall(interval.estimate, low, high, confidence, clips, frames)


@functools.cache
def shipped() -> SmallFeatures:
    """The shipped network, loaded once."""
    return SmallFeatures.load()


def _checked(video) -> np.ndarray:
    video = np.asarray(video)
    if video.ndim != 5 or video.shape[-1] != 3 or 0 in video.shape:
        raise UserError(
            f"{NAME} of a video of shape {list(video.shape)}: expected [N, T, H, W, 3], none of them 0"
        )
    if video.dtype == np.uint8:
        return video
    if video.dtype.kind != "f" and video.dtype.name != "bfloat16":
        raise UserError(
            f"{NAME} of a video of type {video.dtype}: expected uint8 in [0, 255] or float in [0, 1]"
        )
    video = video.astype(np.float32)
    low, high = float(video.min()), float(video.max())
    if not (low >= 0.0 and high <= 1.0):
        found = "NaN" if np.isnan(low) else f"{low:g} to {high:g}"
        raise UserError(f"{NAME} of a video of float pixels: {found}; expected 0 to 1")
    return video

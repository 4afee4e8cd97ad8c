"""The perceptual loss: how far a frozen network sees two videos apart (thesis 3.2.1, 3.3.1)."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from magvit_jax.typing import Array, PyTree

Features = Callable[[PyTree, Array], Array | Sequence[Array]]


@dataclasses.dataclass(frozen=True)
class FrozenNetwork:
    """A network whose features are compared and which never learns.

    Attributes:
      features: (params, float pixels around [0, 1] [N, T, H, W, 3]) -> one array of features or several, each [N, ...].
      params: of the network.
      size: (height, width) that it takes; frames of another size are resized.
      clips: whether it sees whole clips. Else it is an image network, and every frame is an N of its own, with T = 1.
    """

    features: Features
    params: PyTree
    size: tuple[int, int]
    clips: bool = False


def perceptual_distance(network: FrozenNetwork, video_BTHWC: Array, output_BTHWC: Array) -> Array:
    """Mean squared distance of the features of two videos, float32 []; the mean over the arrays of features.

    Nothing but `output` gets a gradient.

    Args:
      video_BTHWC: the original, float pixels in [0, 1].
      output_BTHWC: its reconstruction, not clipped.
    """
    wanted, got = (_features(network, x) for x in (jax.lax.stop_gradient(video_BTHWC), output_BTHWC))
    distances = [
        jnp.square(a.astype(jnp.float32) - jax.lax.stop_gradient(b).astype(jnp.float32)).mean()
        for a, b in zip(got, wanted, strict=True)
    ]
    return sum(distances) / len(distances)


def _features(network: FrozenNetwork, video_BTHWC: Array) -> list[Array]:
    if not network.clips:
        video_BTHWC = video_BTHWC.reshape(-1, 1, *video_BTHWC.shape[2:])
    params = jax.lax.stop_gradient(network.params)
    features = network.features(params, resize(video_BTHWC, network.size))
    return list(features) if isinstance(features, (list, tuple)) else [features]


def resize(video_BTHWC: Array, size: tuple[int, int]) -> Array:
    """Frames of another (height, width), bilinear with half-pixel centres, antialiased where they get smaller."""
    shape = (*video_BTHWC.shape[:2], *size, video_BTHWC.shape[-1])
    return video_BTHWC if shape == video_BTHWC.shape else jax.image.resize(video_BTHWC, shape, "linear")

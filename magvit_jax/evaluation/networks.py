"""Which frozen network each metric takes, and what is taken from it."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import Protocol
from magvit_jax.metrics.lpips import lpips_distance
from magvit_jax.pretrained import MissingWeights, load
from magvit_jax.pretrained.c3d import CLIP as C3D_CLIP
from magvit_jax.typing import Array, PyTree

#: By metric: its network where the protocol names no other.
USUAL: Mapping[str, str] = {
    "fvd": "i3d",
    "video_is": "c3d_ucf101",
    "fid": "inception",
    "is": "inception",
    "lpips": "lpips_vgg",
    "clipsim": "clip_vit_b16",
    "fad": "vggish",
}


@dataclasses.dataclass(frozen=True)
class MetricNetwork:
    """A frozen network as metrics use it; see `streams.Network`.

    Attributes:
      name, fingerprint, params: of the network.
      function: (params, *inputs) -> features by name, pure.
      prepare: on the host, before the devices: what inputs are made of.
      texts: texts to features [N, F], of networks that read.
    """

    name: str
    fingerprint: str
    params: PyTree
    function: Callable[..., Mapping[str, Array]]
    prepare: Callable[..., tuple[np.ndarray, ...]] = lambda *inputs: inputs
    texts: Callable[[list[str]], Array] | None = None

    def apply(self, params: PyTree, *inputs: Array) -> Mapping[str, Array]:
        """See `streams.Network`."""
        return self.function(params, *inputs)


def load_networks(
    metrics: Iterable[str], protocol: Protocol, weights_dir: str | os.PathLike | None
) -> tuple[dict[str, MetricNetwork], dict[str, str]]:
    """({network: it}, {metric: why it is left out}) of all metrics that need one.

    A metric whose weights are absent is left out with the line that says which file is missing and where it goes.

    Raises:
      UserError: weights that are there and damaged, or not the network's.
    """
    found: dict[str, MetricNetwork] = {}
    missing: dict[str, str] = {}
    for metric in metrics:
        if metric not in USUAL:
            continue
        name = protocol.network(metric, USUAL[metric])
        try:
            if name not in found:
                found[name] = ADAPTERS[name](name, weights_dir)
        except MissingWeights as error:
            missing[metric] = str(error)
    return found, missing


def _clips(name: str, weights_dir: Any) -> MetricNetwork:
    """A network of clips as it is."""
    network = load(name, weights_dir)
    return MetricNetwork(name, network.fingerprint, network.params, network.apply)


def _c3d(name: str, weights_dir: Any) -> MetricNetwork:
    """C3D sees 16 frames: the first of a longer clip."""
    network, frames = load(name, weights_dir), C3D_CLIP[0]

    def function(params: PyTree, video_BTHWC: Array) -> Mapping[str, Array]:
        if video_BTHWC.shape[1] < frames:
            raise UserError(f"video_is: clips of {video_BTHWC.shape[1]} frames; C3D takes {frames}")
        return network.apply(params, video_BTHWC[:, :frames])

    return MetricNetwork(name, network.fingerprint, network.params, function)


def _first_frames(name: str, weights_dir: Any) -> MetricNetwork:
    """A network of pictures on the first frame of every clip, as Tab. 5.7a: so samples are independent."""
    network = load(name, weights_dir)

    def function(params: PyTree, video_BTHWC: Array) -> Mapping[str, Array]:
        return network.apply(params, video_BTHWC[:, 0])

    return MetricNetwork(name, network.fingerprint, network.params, function)


def _lpips(name: str, weights_dir: Any) -> MetricNetwork:
    """LPIPS of every frame of two clips, averaged over the clip."""
    network = load(name, weights_dir)

    def function(params: PyTree, a_BTHWC: Array, b_BTHWC: Array) -> Mapping[str, Array]:
        def of_frames(pair: tuple[Array, Array]) -> Array:
            a, b = (network.apply(params, frames_BHWC) for frames_BHWC in pair)
            return lpips_distance(a["maps"], b["maps"], a["heads"])

        # A frame of every clip at a time: feature maps of whole clips would fill the memory.
        distance_TB = jax.lax.map(of_frames, tuple(jnp.moveaxis(x, 1, 0) for x in (a_BTHWC, b_BTHWC)))
        return {"distance": distance_TB.mean(axis=0)}

    return MetricNetwork(name, network.fingerprint, network.params, function)


def _clip(name: str, weights_dir: Any) -> MetricNetwork:
    """CLIP's image features of every frame."""
    from magvit_jax.pretrained.encoders import ClipEncoder  # only this metric needs a tokenizer

    encoder = ClipEncoder.load(name, weights_dir)
    images = encoder.images

    def function(params: PyTree, video_BTHWC: Array) -> Mapping[str, Array]:
        features_TBF = jax.lax.map(lambda x_BHWC: images.apply(params, x_BHWC), jnp.moveaxis(video_BTHWC, 1, 0))
        return {"frames": jnp.moveaxis(features_TBF, 0, 1)}

    return MetricNetwork(
        name,
        images.fingerprint,
        images.params,
        function,
        texts=lambda texts: encoder.encode_texts(texts, truncate=True),
    )


#: By network: how metrics load it.
ADAPTERS: Mapping[str, Callable[[str, Any], MetricNetwork]] = {
    "i3d": _clips,
    "c3d_ucf101": _c3d,
    "inception": _first_frames,
    "lpips_vgg": _lpips,
    "lpips_alex": _lpips,
    "clip_vit_b16": _clip,
    "clip_vit_b32": _clip,
}

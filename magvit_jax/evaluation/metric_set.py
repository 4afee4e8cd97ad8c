"""Several metrics of several sets of made clips against one set of real ones, fed batch by batch."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax.sharding import Mesh

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.measured import (
    Measured,
    measure_frechet,
    measure_inception,
    measure_mean,
    network_mark,
)
from magvit_jax.evaluation.networks import USUAL, MetricNetwork
from magvit_jax.evaluation.protocols import Protocol
from magvit_jax.evaluation.streams import BATCH, FeatureStream, PlacedNetwork, Seconds


@dataclasses.dataclass(frozen=True)
class _Distribution:
    """A metric of all clips together: the features that it takes, and whether real clips are needed."""

    features: str
    against_real: bool


#: Frechet distances and scores of classifiers. IS is without the last layer's bias, as in its authors' code and ADM.
DISTRIBUTIONS: Mapping[str, _Distribution] = {
    "fvd": _Distribution("logits", True),
    "fid": _Distribution("pooled", True),
    "is": _Distribution("logits_unbiased", False),
    "video_is": _Distribution("logits", False),
}
#: Metrics of a real clip and the one that stands for it, and whether more is better.
PIXELS: Mapping[str, Callable[..., np.ndarray]] = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "ms_ssim": metrics.ms_ssim,
}
#: Every metric that a `MetricSet` knows.
NAMES = (*PIXELS, "lpips", *DISTRIBUTIONS, "clipsim")


class MetricSet:
    """Takes real and made clips, uint8 or float in [0, 1], [B, T, H, W, 3]; floats are rounded to uint8 first, so
    that a clip counts the same from memory and from a lossless file."""

    def __init__(
        self,
        names: Sequence[str],
        protocol: Protocol,
        networks: Mapping[str, MetricNetwork],
        seconds: Seconds,
        *,
        mesh: Mesh | None = None,
        batch: int = BATCH,
        resamples: int | None = None,
    ):
        """Metrics out of `NAMES`; `networks` by name, one for each metric that takes one, see `load_networks`.

        Args:
          resamples: of the intervals of Frechet distances, see `measure_frechet`; 0 for none.
        """
        if unknown := [name for name in names if name not in NAMES]:
            raise UserError(f"metric {unknown[0]!r} is unknown; expected some of {', '.join(NAMES)}")
        self.names, self.protocol, self.seconds = tuple(names), protocol, seconds
        self._networks, self._resamples = networks, resamples
        self._placed = {name: PlacedNetwork(network, mesh, batch) for name, network in networks.items()}
        self._streams: dict[tuple[str, str], FeatureStream] = {}
        self._kept: dict[tuple[str, str, str], list[np.ndarray]] = {}
        self._pixels: dict[tuple[str, str], list[np.ndarray]] = {}
        self._texts: dict[str, list[str]] = {}
        self._groups: dict[str, bool] = {}

    def add_real(self, video_BTHWC: np.ndarray) -> None:
        """More real clips."""
        for name in self._of_distributions(against_real=True):
            self._stream("", name).push(_bytes(video_BTHWC))

    def add_made(self, group: str, video_BTHWC: np.ndarray, *, paired: bool, fold: int = 0, texts=()) -> None:
        """More made clips of a group, such as "reconstruction".

        Args:
          paired: made clip i is of real clip i.
          texts: what each clip was asked to show, for CLIPSIM.
        """
        self._groups[group] = paired
        video_BTHWC, part = _bytes(video_BTHWC), f"{group}/{fold}"
        for name in self._of_distributions(against_real=False):
            self._stream(part, name).push(video_BTHWC)
        if "clipsim" in self.names and len(texts):
            name = self._network("clipsim")
            with self.seconds.time("features"):
                prepared = self._networks[name].prepare(video_BTHWC)
            self._texts.setdefault(group, []).extend(texts)
            self._stream(group, name).push(*prepared)

    def add_pairs(self, group: str, real_BTHWC: np.ndarray, made_BTHWC: np.ndarray) -> None:
        """Frames to be compared one by one, of real clips and those that stand for them.

        Where a protocol says best of several, all clips of one condition follow each other. PSNR, SSIM and MS-SSIM
        are then the best one's, LPIPS the mean.
        """
        self._groups.setdefault(group, True)
        real_BTHWC, made_BTHWC = _bytes(real_BTHWC), _bytes(made_BTHWC)
        for name in self.names:
            if name in PIXELS:
                with self.seconds.time("statistics"):
                    self._pixels.setdefault((group, name), []).append(PIXELS[name](real_BTHWC, made_BTHWC))
        if "lpips" in self.names:
            self._stream(group, self._network("lpips")).push(real_BTHWC, made_BTHWC)

    def results(self, warning: str = "") -> dict[str, list[Measured]]:
        """Everything measured so far, by group; call it once, at the end. `warning` goes into every result."""
        for stream in self._streams.values():
            stream.finish()
        with self.seconds.time("statistics"):
            found = {
                group: [m for name in self.names for m in self._measure(group, paired, name, warning)]
                for group, paired in self._groups.items()
            }
        return {group: measured for group, measured in found.items() if measured}

    def _measure(self, group: str, paired: bool, name: str, warning: str) -> list[Measured]:
        if name in PIXELS:
            values = self._pixels.get((group, name), [])
            if values and self.protocol.best_of > 1:
                values = [np.concatenate(values).reshape(-1, self.protocol.best_of)]
            return self._mean(name, values, "higher", warning=warning)
        network = self._network(name)
        mark = network_mark(self._networks[network])
        if name == "lpips":
            values = self._kept.get((group, network, "distance"), [])
            return self._mean(name, values, "lower", network=mark, warning=warning)
        if name == "clipsim":
            return self._clipsim(group, network, mark, warning)
        return self._distribution(group, paired, name, network, mark, warning)

    def _distribution(self, group: str, paired: bool, name: str, network: str, mark: str, warning: str):
        kind = DISTRIBUTIONS[name]
        wanted = network, kind.features
        folds = sorted(key for key in self._kept if key[0].startswith(f"{group}/") and key[1:] == wanted)
        made = [np.concatenate(self._kept[key]) for key in folds]
        if not made:
            return []
        if not kind.against_real:
            probabilities = [metrics.softmax(logits_NV) for logits_NV in made]
            return [measure_inception(name, self.protocol, probabilities, network=mark, warning=warning)]
        real = self._kept.get(("", network, kind.features), [])
        if not real:
            return []
        return [
            measure_frechet(
                name,
                self.protocol,
                np.concatenate(real),
                made,
                network=mark,
                paired=paired,
                resamples=self._resamples,
                warning=warning,
            )
        ]

    def _clipsim(self, group: str, network: str, mark: str, warning: str) -> list[Measured]:
        kept = self._kept.get((group, network, "frames"), [])
        if not kept:
            return []
        texts = self._texts[group]
        different = sorted(set(texts))
        features_VF = np.asarray(self._networks[network].texts(different))
        texts_NF = features_VF[[different.index(text) for text in texts]]
        values_N = metrics.clip_similarity(np.concatenate(kept), texts_NF)
        return self._mean("clipsim", [values_N], "higher", network=mark, warning=warning)

    def _mean(self, name: str, values: list[np.ndarray], better: str, **more) -> list[Measured]:
        if not values:
            return []
        values_N = np.concatenate(values)
        return [measure_mean(name, self.protocol, values_N, better=better, **more)]

    def _of_distributions(self, against_real: bool) -> list[str]:
        """Networks of the distribution metrics, each once; for real clips only those that are compared with."""
        wanted = [n for n in self.names if n in DISTRIBUTIONS and (DISTRIBUTIONS[n].against_real or not against_real)]
        return list(dict.fromkeys(self._network(name) for name in wanted))

    def _network(self, metric: str) -> str:
        return self.protocol.network(metric, USUAL[metric])

    def _stream(self, part: str, network: str) -> FeatureStream:
        """The stream of one part of the clips through one network; what comes out of it is kept."""
        key = part, network
        if key not in self._streams:
            wanted = {kind.features for name, kind in DISTRIBUTIONS.items() if name in self.names}
            wanted |= {"distance", "frames"}

            def take(outputs: Mapping[str, np.ndarray]) -> None:
                for name in wanted & set(outputs):
                    self._kept.setdefault((*key, name), []).append(outputs[name])

            self._streams[key] = FeatureStream(self._placed[network], take, self.seconds)
        return self._streams[key]


def _bytes(video_BTHWC: np.ndarray) -> np.ndarray:
    video_BTHWC = np.asarray(video_BTHWC)
    if video_BTHWC.dtype == np.uint8:
        return video_BTHWC
    return np.clip(np.round(video_BTHWC.astype(np.float32) * 255), 0, 255).astype(np.uint8)

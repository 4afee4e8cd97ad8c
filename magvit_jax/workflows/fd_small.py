"""`fd_small` of a model: what it makes of clips, and what it generates, against the real clips."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.small_features import NAME, FdSmall, measure_fd_small, shipped
from magvit_jax.media.tables import Result

NOTE = (
    "Frechet distance on a small network of this package; it compares only with itself, not with FVD or FID"
)


class FdSmallOfModel:
    """Distances of several sets of made clips from the same real ones.

    Attributes:
      features: clips to features, see `SmallFeatures`.
    """

    def __init__(self, batches: Sequence[Mapping[str, np.ndarray]]):
        """`batches` of the real clips, {"video": uint8 [B, T, H, W, 3]}. UserError for fewer than two."""
        self.features = shipped()
        self._real_NF = np.concatenate([self.features(batch["video"]) for batch in batches])
        self._still_NF = np.concatenate(
            [self.features(metrics.mean_frame(batch["video"])) for batch in batches]
        )
        self._frames = batches[0]["video"].shape[1]
        self._results: dict[str, tuple[FdSmall, float, str]] = {}
        if len(self._real_NF) < 2:
            raise UserError(f"metric {NAME}: 1 clip; expected 2 or more")

    def add(
        self,
        name: str,
        made: Sequence[np.ndarray],
        baseline: Sequence[np.ndarray] | None = None,
        baseline_name: str = "clip's mean frame",
        *,
        paired: bool,
    ) -> None:
        """Measures a set by the features of its batches.

        Args:
          made: features of the clips; `paired`: clip i was made of real clip i.
          baseline: features of the trivial method's clips; each real clip's mean frame by default.
        """
        result = measure_fd_small(self._real_NF, np.concatenate(made), frames=self._frames, paired=paired)
        trivial_NF = self._still_NF if baseline is None else np.concatenate(baseline)
        self._results[name] = result, metrics.frechet_distance(self._real_NF, trivial_NF), baseline_name

    def values(self) -> dict[str, Any]:
        """For JSON, under the protocol's name."""
        sets = {
            name: dataclasses.asdict(result) | {"baseline": trivial, "baseline_name": trivial_name}
            for name, (result, trivial, trivial_name) in self._results.items()
        }
        return {"protocol": NAME, "network": self.features.fingerprint, "note": NOTE} | sets

    def rows(self) -> list[Result]:
        """Rows of a table, each interval beside what it is of."""
        return [
            Result(
                f"{NAME} of {name.replace('_', ' ')}, {result.clips} clips "
                f"({result.confidence:.0%}: {result.low:.3f} to {result.high:.3f})",
                result.value,
                baseline=trivial,
                better="lower",
                digits=3,
                baseline_name=trivial_name,
            )
            for name, (result, trivial, trivial_name) in self._results.items()
        ]

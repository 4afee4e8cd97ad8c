"""What a protocol fixes, as frozen data: two numbers compare only where all of it is the same."""

import dataclasses
import json
from typing import Any, Literal

Placement = Literal["first", "centre", "spread", "all", "random", "given"]
Crops = Literal["centre", "three", "random", "given"]


@dataclasses.dataclass(frozen=True)
class RealSet:
    """Which real clips are compared with.

    Attributes:
      dataset: whose they are, as people write it.
      split: "train", "test" or "evaluation", as the data set's own files divide it.
      videos: how many videos the source says there are; None where it says nothing.
      placement: where in time the windows lie: the "first" frames, the "centre", `windows` of them "spread"
        evenly from the first frame to the last, "all" that there are, one a frame, or drawn at "random".
        "given" are clips that are cut already.
      windows: of each video; 0 with "all", where the videos' length decides.
      crops: the "centre" square; "three" squares at the start, middle and end of the longer side; "random".
      clips: in the whole set; None for every window and crop of every video.
    """

    dataset: str
    split: str
    videos: int | None
    placement: Placement
    windows: int
    crops: Crops
    clips: int | None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a number was measured. Its name goes into every result.

    Attributes:
      name: what `--protocol` takes.
      metrics: names of the metrics that are measured so.
      real: the real clips.
      frames: of a clip, at every `stride`-th frame of its file; 0 for those of the model, as is 0 below.
      stride: see above.
      made_size: side in pixels that clips are made at.
      size: side in pixels that real and made clips have when they are measured.
      resize: filter from `made_size` to `size`, after cropping the central square.
      samples: clips made for one value; None for one of each real clip.
      folds: how many such values; the result is their mean, its spread their standard deviation.
      reconstructs: each made clip is a real one once more, and stands for it.
      given_frames: real frames that a clip is made from; 0 where nothing or a class or a text is given.
      best_of: clips made from each condition, of which the best counts.
      networks: networks that the metrics take where it is not the usual one.
      source: where in the thesis or in which paper this is written.
      note: what the source leaves open, and what is done here.
    """

    name: str
    metrics: tuple[str, ...]
    real: RealSet
    frames: int
    made_size: int
    size: int
    samples: int | None
    folds: int
    source: str
    stride: int = 1
    resize: Literal["none", "bilinear", "bicubic"] = "none"
    reconstructs: bool = False
    given_frames: int = 0
    best_of: int = 1
    networks: tuple[tuple[str, str], ...] = ()
    note: str = ""

    def network(self, metric: str, usual: str) -> str:
        """The network that a metric takes."""
        return dict(self.networks).get(metric, usual)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

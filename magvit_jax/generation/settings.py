"""How a masked transformer is decoded, and the published settings by name (thesis 5.4, 6.5.6)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.sampling.guidance import guidance_table


@dataclasses.dataclass(frozen=True)
class Decoding:
    """Settings of `sampling.parallel.decode` and `sampling.guidance.guidance_table`, which document them."""

    steps: int
    schedule: str
    temperature: float
    sampling_temperature: float
    guidance_scale: float | Sequence[float]
    guidance_schedule: str = "constant"
    guidance_power: float = 1.0
    confidence: str = "log_probability"
    top_k: int | None = None

    @property
    def guided(self) -> bool:
        """Whether a step needs the unconditional branch."""
        return bool(np.any(self.guidance_scale))

    def guidance_table(self) -> np.ndarray:
        """The guidance scale of each step, float64 [steps]. UserError for settings that cannot be."""
        return guidance_table(self.guidance_scale, self.steps, self.guidance_schedule, self.guidance_power)

    def unguided(self) -> "Decoding":
        """The same for a condition without a class, where both branches would see the same."""
        return dataclasses.replace(self, guidance_scale=0.0, guidance_schedule="constant", guidance_power=1.0)


_MAGVIT = Decoding(steps=12, schedule="cosine", temperature=4.5, sampling_temperature=1.0, guidance_scale=0.0)
_IMAGENET = dataclasses.replace(_MAGVIT, steps=64)  # the schedule is not published; cosine as everywhere else
_GUIDED = dict(temperature=15.0, guidance_scale=25.0, guidance_schedule="power_cosine", guidance_power=4.0)

#: Published settings by name. Thesis 6.5.6 for MAGVIT; 5.4.2, Tab. 5.1 to 5.3 for MAGVIT-v2, whose guided
#: images use MDT's schedule with MDT's own power.
DECODINGS: Mapping[str, Decoding] = {
    "magvit": _MAGVIT,
    "magvit_bair": dataclasses.replace(_MAGVIT, schedule="exp", temperature=400.0),
    "magvit_kinetics600": dataclasses.replace(_MAGVIT, schedule="uniform", temperature=7.5),
    "magvit2_kinetics600": dataclasses.replace(_MAGVIT, temperature=32.0),
    "magvit2_kinetics600_24": dataclasses.replace(_MAGVIT, temperature=32.0, steps=24),
    "magvit2_imagenet512_12": dataclasses.replace(_MAGVIT, temperature=30.0),
    "magvit2_imagenet512": dataclasses.replace(_IMAGENET, temperature=30.0),
    "magvit2_imagenet256": dataclasses.replace(_IMAGENET, temperature=15.0),
    "magvit2_imagenet_guided": dataclasses.replace(_IMAGENET, **_GUIDED),
}


def choose(own: Any, name: str | None, changes: Mapping[str, Any]) -> Any:
    """A model's own settings, or those of that name, with some of them changed.

    Args:
      own: what the model was trained to be decoded with, a `Decoding`; or another dataclass of settings, of a
        model that is not decoded in parallel.
      name: out of `DECODINGS`; None keeps `own`.
      changes: fields to change.

    Raises:
      UserError: an unknown name or field, or guidance that cannot be.
    """
    if name is not None and name not in DECODINGS:
        raise UserError(f"decoding {name!r} is unknown; expected one of {', '.join(DECODINGS)}")
    if name is not None and not isinstance(own, Decoding):
        raise UserError(f"decoding {name!r} is of parallel decoding; this model decodes token by token")
    known = {field.name for field in dataclasses.fields(own)}
    for field in changes:
        if field not in known:
            raise UserError(
                f"decoding setting {field!r} is unknown; expected one of {', '.join(sorted(known))}"
            )
    scale = changes.get("guidance_scale")
    if scale is not None and not isinstance(scale, (int, float)):
        changes = dict(changes, guidance_scale=tuple(float(s) for s in scale))  # hashable, for jit
    chosen = dataclasses.replace(own if name is None else DECODINGS[name], **changes)
    if isinstance(chosen, Decoding):
        chosen.guidance_table()  # said here also of a clip without a class, whose guidance is never used
    return chosen

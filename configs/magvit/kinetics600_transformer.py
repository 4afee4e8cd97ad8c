"""MAGVIT transformer for Kinetics-600: prediction of 11 frames of 128x128 from 5 (thesis ch. 6, FP).

Paper: Tab. 6.3: FVD 24.5 with b (87M parameters) and 9.9 with l (306M), measured at 64x64. Variants: b, the
default, and l. 12 steps, uniform schedule, temperature 7.5. The condition is the two latent frames that hold
a given frame; three of the second's four are not given.

Data: Kinetics-600 as a folder of videos, one sub-folder a class below train/ and val/; TFDS has no Kinetics.
The tokenizer is magvit/kinetics600 of the same variant.

Cost: 270,000 steps of 256 clips (b), 60 hours, or 540,000 (l), 56 hours, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/kinetics600_transformer:b --config.tokenizer=runs/kinetics600_b \
        --config.data.path=VIDEOS --workdir=runs/kinetics600_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, kinetics600

EPOCHS = {"b": 180, "l": 360}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "kinetics600_transformer",
        variant,
        tasks=_tasks.mixture({"frame_prediction": 1.0}, decoding=_decoding.KINETICS600, frames=5),
        epochs=EPOCHS,
        videos=kinetics600.VIDEOS,
    )

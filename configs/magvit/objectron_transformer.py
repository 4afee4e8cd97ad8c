"""MAGVIT transformer for Objectron: interpolation of 14 frames of 128x128 between two (thesis ch. 6, FI).

Paper: Tab. 6.7: FVD 26.7 with l (306M parameters); b (87M) is not reported. Variants: b, the default, and l.
12 steps, cosine, temperature 4.5.

Data: Objectron as a folder of videos below train/ and val/; TFDS does not have it. The tokenizer is
magvit/objectron of the same variant.

Cost: 56,250 steps of 256 clips (b), 13 hours, or 112,500 (l), 12 hours, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/objectron_transformer:b --config.tokenizer=runs/objectron_b \
        --config.data.path=VIDEOS --workdir=runs/objectron_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, objectron

EPOCHS = {"b": 1000, "l": 2000}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "objectron_transformer",
        variant,
        tasks=_tasks.mixture({"frame_interpolation": 1.0}, decoding=_decoding.DEFAULT),
        epochs=EPOCHS,
        videos=objectron.VIDEOS,
    )

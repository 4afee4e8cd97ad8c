"""MAGVIT transformer for Something-Something-V2: ten tasks with one model (thesis ch. 6, MT).

Paper: Tab. 6.6: FVD over the ten tasks of 43.4 with b (87M parameters) and 27.3 with l (306M). Variants: b,
the default, and l. The tasks are drawn alike often; 12 steps, cosine, temperature 4.5.

Data: Something-Something-V2 as a folder of videos, one sub-folder for each of the 174 actions below train/
and val/; TFDS does not have it. The tokenizer is magvit/ssv2 of the same variant.

Cost: 475,312 steps of 256 clips (b), 4.4 days, or 950,625 (l), 4.1 days, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/ssv2_transformer:b --config.tokenizer=runs/ssv2_b --config.data.path=VIDEOS \
        --workdir=runs/ssv2_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, ssv2

EPOCHS = {"b": 720, "l": 1440}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "ssv2_transformer",
        variant,
        tasks=_tasks.mixture(_tasks.TEN, decoding=_decoding.DEFAULT),
        epochs=EPOCHS,
        videos=ssv2.VIDEOS,
    )

"""MAGVIT transformer for BAIR robot pushing: eight tasks with one model (thesis ch. 6, MT).

Paper: Tab. 6.5: debiased FVD over the eight tasks of 32.8 with b (87M parameters) and 22.8 with l (306M).
Variants: b, the default, and l. The tasks are all but the two that have a class, drawn alike often; 12 steps,
exponential schedule, temperature 400.

Data and tokenizer: as in magvit/bair_transformer.py.

Cost: 202,800 steps of 256 clips (b), 45 hours, or 270,400 (l), 28 hours, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/bair_mt_transformer:b --config.tokenizer=runs/bair_b \
        --config.data.path=VIDEOS --workdir=runs/bair_mt_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, bair

EPOCHS = {"b": 1200, "l": 1600}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "bair_mt_transformer",
        variant,
        tasks=_tasks.mixture(_tasks.EIGHT, decoding=_decoding.BAIR),
        epochs=EPOCHS,
        videos=bair.VIDEOS,
        pixels=64,
    )

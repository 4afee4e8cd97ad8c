"""MAGVIT transformer for UCF-101: class-conditional generation of 16 frames of 128x128 (thesis ch. 6, CG).

Paper: Tab. 6.2: FVD 159 and IS 83.55 with b (87M parameters), 76 and 89.27 with l (306M). Variants: b, the
default, and l. 12 steps, cosine, temperature 4.5.

Data: UCF-101 as a folder of videos, one sub-folder a class below train/ and val/, or by TFDS:
`--config.data.source=tfds --config.data.path=ucf101/ucf101_1`. The tokenizer is magvit/ucf101 of the same
variant, trained on the same clips.

Cost: 74,507 steps of 256 clips, 17 hours (b) or 8 hours (l) at the thesis's 1.24 steps/s on 16 TPU-v2 chips
(b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/ucf101_transformer:b --config.tokenizer=runs/ucf101_b \
        --config.data.path=VIDEOS --workdir=runs/ucf101_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, ucf101

EPOCHS = {"b": 2000, "l": 2000}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "ucf101_transformer",
        variant,
        tasks=_tasks.mixture({"class_conditional": 1.0}, decoding=_decoding.DEFAULT),
        epochs=EPOCHS,
        videos=ucf101.VIDEOS,
    )

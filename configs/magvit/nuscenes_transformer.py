"""MAGVIT transformer for nuScenes: prediction of 15 frames of 128x128 from one (thesis ch. 6, FP).

Paper: Tab. 6.7: FVD 29.3 with b (87M parameters) and 20.6 with l (306M). Variants: b, the default, and l. 12
steps, cosine, temperature 4.5.

Data: the front camera's videos, 32 frames each, as a folder of videos below train/ and val/; TFDS does not
have it. A training clip is a window of 16 frames that begins anywhere in its video. The tokenizer is
magvit/nuscenes of the same variant.

Cost: 54,000 steps of 256 clips (b), 12 hours, or 216,000 (l), 22 hours, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/nuscenes_transformer:b --config.tokenizer=runs/nuscenes_b \
        --config.data.path=VIDEOS --workdir=runs/nuscenes_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, nuscenes

EPOCHS = {"b": 2560, "l": 10240}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "nuscenes_transformer",
        variant,
        tasks=_tasks.mixture({"frame_prediction": 1.0}, decoding=_decoding.DEFAULT),
        epochs=EPOCHS,
        videos=nuscenes.VIDEOS,
    )

"""MAGVIT 3D-VQ for nuScenes: 16 frames of 128x128 to 4x16x16 tokens of 1,024 codes (thesis ch. 3).

Paper: epochs of Tab. 3.1; it is the tokenizer behind frame prediction in Tab. 6.7, and its own fidelity is
not reported. Variants: b, the default, and l.

Data: the front camera's videos, 32 frames each (6.5.6), as a folder of videos, as in magvit/ucf101.py.

Inflation, the perceptual network and precision: as magvit/ucf101.py says.

Cost: b, 128 clips a step: 54,000 steps, 37 hours at the thesis's 0.41 steps/s on 16 TPU-v2 chips. l, 256
clips a step: 108,000 steps, 54 hours at its 0.56 steps/s on 32 TPU-v4 chips. Not measured here;
magvit/ucf101.py counts what a clip takes.

    magvit train --config=magvit/nuscenes:b --config.data.path=VIDEOS --config.init_from=runs/imagenet_b \
        --workdir=runs/nuscenes_b
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"b": 1280, "l": 5120}  # Tab. 3.1
VIDEOS = 5_400  # 6.5.6
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _base.video_config("nuscenes", variant, epochs=EPOCHS, videos=VIDEOS)

"""MAGVIT 3D-VQ for Kinetics-600: 16 frames of 128x128 to 4x16x16 tokens of 1,024 codes (thesis ch. 3).

Paper: epochs of Tab. 3.1; it is the tokenizer behind Tab. 6.3 (frame prediction: FVD 24.5 with b, 9.9 with
l), and its own fidelity is not reported. Variants: b, the default, and l.

Data: Kinetics-600 as a folder of videos, as in magvit/ucf101.py.

Inflation, the perceptual network and precision: as magvit/ucf101.py says.

Cost: b, 128 clips a step: 135,000 steps, 4 days at the thesis's 0.41 steps/s on 16 TPU-v2 chips. l, 256 clips
a step: 270,000 steps, 6 days at its 0.56 steps/s on 32 TPU-v4 chips. Not measured here; magvit/ucf101.py
counts what a clip takes.

    magvit train --config=magvit/kinetics600:b --config.data.path=VIDEOS --config.init_from=runs/imagenet_b \
        --workdir=runs/kinetics600_b
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"b": 45, "l": 180}  # Tab. 3.1
VIDEOS = 384_000  # 6.5.6
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _base.video_config("kinetics600", variant, epochs=EPOCHS, videos=VIDEOS)

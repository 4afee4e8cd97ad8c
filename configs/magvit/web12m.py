"""MAGVIT 3D-VQ for videos of the web: 16 frames of 128x128 to 4x16x16 tokens of 1,024 codes (thesis ch. 3).

Paper: epochs of Tab. 3.1; it is the tokenizer behind the eight tasks of Tab. 6.7, and its own fidelity is not
reported. Variants: b, the default, and l.

Data: the authors' 12 million videos are not public; any folder of videos, as in magvit/ucf101.py.

Inflation, the perceptual network and precision: as magvit/ucf101.py says.

Cost: b, 128 clips a step: 468,750 steps, 13 days at the thesis's 0.41 steps/s on 16 TPU-v2 chips. l, 256
clips a step: 937,500 steps, 19 days at its 0.56 steps/s on 32 TPU-v4 chips. Not measured here;
magvit/ucf101.py counts what a clip takes.

    magvit train --config=magvit/web12m:b --config.data.path=VIDEOS --config.init_from=runs/imagenet_b \
        --workdir=runs/web12m_b
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"b": 5, "l": 20}  # Tab. 3.1
VIDEOS = 12_000_000  # about 12M in 6.5.6
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _base.video_config("web12m", variant, epochs=EPOCHS, videos=VIDEOS)

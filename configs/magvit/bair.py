"""MAGVIT 3D-VQ for BAIR robot pushing: 16 frames of 64x64 to 4x16x16 tokens of 1,024 codes (thesis ch. 3).

Paper: epochs of Tab. 3.1; it is the tokenizer behind Tab. 6.3 and 6.5, and its own fidelity is not reported.
Variants: b, the default, and l. One level fewer than at 128x128: multipliers (1, 2, 4), the discriminator's
(2, 4, 4, 4).

Data: BAIR as a folder of videos of 30 frames, as in magvit/ucf101.py.

Inflation, the perceptual network and precision: as magvit/ucf101.py says.

Cost: 135,200 steps of 128 clips (b) or 256 (l). Counted from the shapes of the layers, a clip takes 0.34
TFLOP (b) or 1.36 (l) of convolutions forward, and 0.03 or 0.13 in the discriminator. Time and memory are not
measured.

    magvit train --config=magvit/bair:b --config.data.path=VIDEOS --config.init_from=runs/imagenet_b_64 \
        --workdir=runs/bair_b
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"b": 400, "l": 800}  # Tab. 3.1
VIDEOS = 43_264  # 43K in 6.5.6
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _base.video_config("bair", variant, epochs=EPOCHS, videos=VIDEOS, pixels=64)

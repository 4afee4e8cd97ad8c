"""The large MAGVIT 3D-VQ on YouTube-8M, for videos of any length and size (thesis 3.3.3, Fig. 3.3 and 3.4).

Paper: pictures, no numbers. Trained on 16 frames of 128x128 without labels, it tokenizes 240x432 videos of
any length (4,096 frames, for example) to N/4 x 30 x 54 tokens: a compression by 614.4. Variant: l (158M
parameters), the only one. `magvit reconstruct --height=240 --width=432` does that, in independent windows of
16 frames.

Not published: how long it was trained; here as many epochs as Web12M's L model, of the 8 million videos that
the dataset's paper counts. Nor whether it was inflated: 3.2.1 inflates "on small datasets", so here it starts
from scratch; `--config.init_from=runs/imagenet_l --config.inflation.method=central` inflates the tokenizer.

Data: the dataset's videos, whose features alone are distributed, as a folder of videos, as in
magvit/ucf101.py, which has the notes on the perceptual network and precision too.

Cost: 625,000 steps of 256 clips, 13 days at the thesis's 0.56 steps/s on 32 TPU-v4 chips. Not measured here;
magvit/ucf101.py counts what a clip takes.

    magvit train --config=magvit/youtube8m --config.data.path=VIDEOS --workdir=runs/youtube8m
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"l": 20}
VARIANTS = tuple(EPOCHS)
VIDEOS = 8_000_000


def get_config(variant: str = "l") -> ConfigDict:
    config = _base.video_config("youtube8m", variant, epochs=EPOCHS, videos=VIDEOS)
    config.inflation.update(method="", discriminator=False)
    return config

"""MAGVIT transformer for BAIR robot pushing: prediction of 15 frames of 64x64 from one (thesis ch. 6, FP).

Paper: Tab. 6.3 and 6.4: FVD 76, debiased 47, with b (87M parameters); 62, debiased 31, PSNR 19.3 and SSIM
0.787 with l (306M). Variants: b, the default, and l. 12 steps, exponential schedule, temperature 400. The
rows of Tab. 6.8 and 6.9 that this one is compared with are ablations/masking and ablations/decoding.

Data: BAIR as a folder of videos of 30 frames, or by TFDS: `--config.data.source=tfds
--config.data.path=bair_robot_pushing_small --config.data.tfds.feature=image_main`. The tokenizer is
magvit/bair of the same variant.

Cost: 67,600 steps of 256 clips (b), 15 hours, or 135,200 (l), 14 hours, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here.

    magvit train --config=magvit/bair_transformer:b --config.tokenizer=runs/bair_b --config.data.path=VIDEOS \
        --workdir=runs/bair_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, bair

EPOCHS = {"b": 400, "l": 800}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "bair_transformer",
        variant,
        tasks=_tasks.mixture({"frame_prediction": 1.0}, decoding=_decoding.BAIR),
        epochs=EPOCHS,
        videos=bair.VIDEOS,
        pixels=64,
    )

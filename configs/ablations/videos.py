"""Tab. 5.7c: from MAGVIT to MAGVIT-v2 on video, UCF-101 (thesis 5.3.2, 5.4.5). Every row keeps the changes of
those above it.

Variant         Row of the table             What changes                                    FVD     LPIPS
magvit          MAGVIT                       3D-VQ of ch. 3, L, with 1,024 codes             24.55   0.0988
lfq             + LFQ & large vocabulary     LFQ of 2^18 codes, and causal                   16.12   0.0694
resampling      + up/downsampler             strided convolution down, depth-to-space up     15.37   0.0678
late_temporal   + late temporal downsample   time is halved in the last levels               11.11   0.0653
deeper          + deeper model               4 residual blocks in place of 2                 8.90    0.0542
blur_pooling    + 3D blur pooling            in the discriminator; the default               8.62    0.0537

The table does not say from which row on the model is causal. Here the first row is MAGVIT as it is (16
frames, not causal) and the others are causal (17 frames). Adaptive normalisation is no row of this table, so
it is off; `--config.model.adaptive_norm=pooled` is the published model. Base channels 128 throughout.

Data: UCF-101 as a folder of videos, as in magvit2/video_tokenizer.py.

Initialization: FVD 24.55 is about that of MAGVIT inflated from ImageNet (25 in Tab. 3.2, from scratch 45). So
start the first row from magvit/imagenet:l with inflation `central`, and the others with `last` from the row
of ablations/images.py that has the same blocks and resampling: large_vocabulary, resampling, resampling,
deeper, deeper.

Cost: batch 256, 2,000 epochs (Tab. 3.1, L) of 9,537 videos = 74,507 steps; the thesis does not say how long
these were trained. A forward pass of one clip is 4.5, 4.4, 4.5, 5.7, 9.9 and 9.9 TFLOP in the order above,
counted from the traced program; about four times that with the backward pass and recomputation makes a step
4.6 to 10 PFLOP, the discriminator left out. Time and memory are not measured.

    magvit train --config=ablations/videos:deeper --config.data.path=UCF101 \
        --config.init_from=runs/deeper_images --config.inflation.method=last --workdir=runs/deeper
"""

from ml_collections import ConfigDict

from .._length import train_for
from ..magvit2 import video_tokenizer
from . import architectures

EPOCHS, BATCH = 2000, 256

ROWS = {
    "magvit": {},
    "lfq": dict(
        strides=((2, 2, 2), (2, 2, 2), (1, 2, 2)),
        downsampler="average",
        upsampler="nearest",
        stem_bias=False,
        blocks=2,
        mid_blocks=2,
        adaptive_norm="none",
    ),
    "resampling": dict(downsampler="strided", upsampler="depth_to_space", stem_bias=True),
    "late_temporal": dict(strides=((1, 2, 2), (2, 2, 2), (2, 2, 2))),
    "deeper": dict(blocks=4, mid_blocks=4),
    "blur_pooling": {},
}
VARIANTS = tuple(ROWS)


def get_config(variant: str = "blur_pooling") -> ConfigDict:
    config = video_tokenizer.get_config()
    config.name = f"ablation_videos_{variant}"
    train_for(config, EPOCHS, architectures.VIDEOS, BATCH)
    config.discriminator.pooling = "blur" if variant == "blur_pooling" else "average"
    if variant == "magvit":
        config.data.frames = 16
        config.model = ConfigDict(architectures.MODELS["magvit"])
        config.model.base_channels = 128
        config.model.quantizer = ConfigDict(dict(name="vq", size=1024, width=256))
        config.loss.codebook = 1.0
        return config
    for row in VARIANTS[: VARIANTS.index(variant) + 1]:
        config.model.update(ROWS[row])
    return config

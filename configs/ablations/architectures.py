"""Tab. 5.7a: causal architectures on UCF-101 (thesis 5.3.2, Fig. 5.2, 5.4.5).

Variant         Row of the table           Parameters, published   here      FID     FVD
magvit          MAGVIT                     39M                     38.61M    n/a     107.15
cvivit          C-ViViT                    90M                     89.54M    28.02   437.54
cvivit_magvit   C-ViViT + MAGVIT           67M                     67.40M    13.52   316.70
causal_cnn      MAGVIT-v2: Causal 3D CNN   58M                     56.45M    7.06    96.33    (the default)

FID is of first frames; MAGVIT has no first frame of its own, and it is not causal.

What the rows were counted at is not published. These settings come nearest together: base channels 64, 2
blocks, and LFQ of 2^18 codes in every row (with the VQ of ch. 3 the first row has 40.58M). The transformers
are those of public reproductions of Phenaki: width 512, 8 heads, 4 temporal layers in the encoder and 4 in
the decoder, here with a plain MLP of 2048; but 10 spatial layers instead of 4, with which C-ViViT would have
51.7M. See docs/fidelity.md for other settings.

Data: UCF-101 as a folder of videos, as in magvit2/video_tokenizer.py; 17 frames of 128x128, MAGVIT 16.

Cost: batch 128, 500 epochs (Tab. 3.1, B) of 9,537 videos = 37,253 steps; the thesis does not say how long
these were trained. A forward pass of one clip is 1.1, 0.24, 1.4 and 1.4 TFLOP in the order above, counted
from the traced program; about four times that with the backward pass and recomputation makes a step 0.57,
0.12, 0.72 and 0.73 PFLOP, the discriminator left out. Time and memory are not measured.

    magvit train --config=ablations/architectures:cvivit --config.data.path=UCF101 --workdir=runs/cvivit

What is not named here is as in magvit2/video_tokenizer.py.
"""

from ml_collections import ConfigDict

from .._length import train_for
from ..magvit2 import video_tokenizer

EPOCHS, BATCH = 500, 128
VIDEOS = 9_537  # UCF-101, the first of its training splits

QUANTIZER = dict(name="lfq", bits=18, entropy_groups=1)
RUN = dict(quantizer=QUANTIZER, remat=True, dtype="bfloat16")
CNN = dict(base_channels=64, channel_multipliers=(1, 2, 2, 4), blocks=2, mid_blocks=2, norm_groups=32)
MAGVIT = dict(**CNN, temporal_downsample=(True, True, False), padding="reflect")
TRANSFORMER = dict(width=512, heads=8, mlp_dim=2048, temporal_layers=4)

MODELS = {
    "magvit": dict(architecture="magvit", **MAGVIT, dims=3, statistics="clip", **RUN),
    "cvivit": dict(
        architecture="cvivit", clip=(17, 128, 128), patch=(4, 8, 8), **TRANSFORMER, spatial_layers=10, **RUN
    ),
    "cvivit_magvit": dict(architecture="cvivit_magvit", frames=17, **MAGVIT, **TRANSFORMER, **RUN),
}
VARIANTS = (*MODELS, "causal_cnn")


def get_config(variant: str = "causal_cnn") -> ConfigDict:
    config = video_tokenizer.get_config()
    if variant == "causal_cnn":
        config.model.update(CNN)
    else:
        config.model = ConfigDict(MODELS[variant])
    config.name = f"ablation_architectures_{variant}"
    config.data.frames = 16 if variant == "magvit" else 17
    config.discriminator.base_channels = 64
    train_for(config, EPOCHS, VIDEOS, BATCH)
    return config

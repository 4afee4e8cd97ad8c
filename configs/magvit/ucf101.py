"""MAGVIT 3D-VQ for UCF-101: 16 frames of 128x128 to 4x16x16 tokens of 1,024 codes (thesis ch. 3, Fig. 3.1).

Paper: reconstruction of the training set, Tab. 3.2 and 3.3. Variants: b (41M parameters; FVD 58, IS 87.0),
the default, and l (158M; FVD 25, IS 88.9, PSNR 22.0, SSIM 0.701, LPIPS 0.099). That is with central
inflation; average inflation is `--config.inflation.method=average` (FVD 103 and 35), and from scratch,
`--config.inflation.method=`, it was 127 and 45.

Inflation: needs the workdir of magvit/imagenet of the same variant, whose discriminator is inflated too. Of a
bundle, which holds none, only the tokenizer is: `--config.inflation.discriminator=False`.

Data: UCF-101 as a folder of videos, one sub-folder a class below train/ and val/ (or without those two; then
`data.held_out` of the files are kept for testing). Any folder of videos works.

Cost: b, 128 clips a step: 37,253 steps, 25 hours at the thesis's 0.41 steps/s on 16 TPU-v2 chips. l, 256
clips a step: 74,507 steps, 37 hours at its 0.56 steps/s on 32 TPU-v4 chips. Not measured here. Counted from
the shapes of the layers, a clip takes 1.12 TFLOP (b) or 4.45 (l) of convolutions forward, and 0.13 or 0.52 in
the discriminator; in training, roughly three times the first (four with the recomputation of l) and ten times
the second.

    magvit train --config=magvit/ucf101:b --config.data.path=VIDEOS --config.init_from=runs/imagenet_b \
        --workdir=runs/ucf101_b

The perceptual loss needs a ResNet-50, whose weights are not here yet: training says so and stops. To train
without it: `--config.perceptual.weight=0`; do not expect the paper's numbers then. Everything is float32, as
the authors had it; `--config.model.dtype=bfloat16` changes the convolutions.
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS = {"b": 500, "l": 2000}  # Tab. 3.1
VIDEOS = 9_537  # the first of UCF-101's training splits; 9.5K in 6.5.6
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _base.video_config("ucf101", variant, epochs=EPOCHS, videos=VIDEOS)

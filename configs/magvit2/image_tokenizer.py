"""MAGVIT-v2 image tokenizers: ImageNet to tokens of 2^18 codes (thesis 5.4.1, 5.4.2, Tab. 5.2, 5.3, 5.7b).

Variants, by how many pixels a token spans in height and width:
    8x   128x128 to 16x16 tokens; what the video tokenizer is inflated from, and the last row of Tab. 5.7b
    16x  256x256 to 16x16 tokens, for generation at 256x256 (Tab. 5.3); the default
    32x  trained on 256x256 too, 8x8 tokens; 512x512 is 16x16 tokens, for generation at 512x512 (Tab. 5.2)

An image is a clip of one frame. The networks are the video tokenizer's with convolutions of extent 1 in time:
on one frame the other two slices would only meet padding. The thesis states the multipliers of 8x; those of
16x are Open-MAGVIT2's, which has no 32x: there one more level repeats the last multiplier.

Paper: Tab. 5.7b, 8x: FID 1.15, LPIPS 0.0685 on ImageNet 128x128. The fidelity of 16x and 32x is not reported,
only that of the images that are generated with them.

Data: ImageNet as a folder of images, one sub-folder a class below train/ and val/ (or without those two; then
`data.held_out` of the files are kept for testing). Any folder of images works.

Cost: batch 256, 270 epochs of 1,281,167 images = 1,351,230 steps. A forward pass of one image is 0.25 (8x) or
0.58 TFLOP (16x, 32x), counted from the traced program; about four times that with the backward pass and
recomputation makes a step 0.26 or 0.60 PFLOP, the run 3.4e20 or 8.1e20 FLOP, the discriminator left out. Time
and memory are not measured. 112.0M, 115.1M and 164.7M parameters.

    magvit train --config=magvit2/image_tokenizer:16x --config.data.path=IMAGES --workdir=runs/image_tokenizer

What is not named here is as in magvit2/video_tokenizer.py, whose notes on the perceptual network and on
precision hold too.
"""

from ml_collections import ConfigDict

from .._length import train_for
from . import video_tokenizer

EPOCHS, IMAGES, BATCH = 270, 1_281_167, 256

# Pixels a side, and channel multipliers; each level but the last halves height and width.
SIZES = {
    "8x": (128, (1, 2, 2, 4)),
    "16x": (256, (1, 1, 2, 2, 4)),
    "32x": (256, (1, 1, 2, 2, 4, 4)),
}
VARIANTS = tuple(SIZES)


def get_config(variant: str = "16x") -> ConfigDict:
    pixels, multipliers = SIZES[variant]
    config = video_tokenizer.get_config()
    config.name = f"magvit2_image_tokenizer_{variant}"
    config.data.update(source="image_folder", frames=1, height=pixels, width=pixels, flip=True)
    config.model.update(
        channel_multipliers=multipliers, strides=((1, 2, 2),) * (len(multipliers) - 1), time_kernel=1
    )
    config.discriminator.dims = 2
    train_for(config, EPOCHS, IMAGES, BATCH)
    return config

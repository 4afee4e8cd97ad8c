"""MAGVIT 2D-VQ on ImageNet, which the 3D-VQ models are inflated from: an image of 128x128 to 16x16 tokens of
1,024 codes (thesis 3.2.1, 3.3.1).

Variants: b, the default, and l at 128x128; b_64 and l_64 at 64x64, for BAIR. "A 2D-VQ trained on ImageNet
with this setup": the architecture, discriminator and losses of the 3D-VQ model, with 2D convolutions and no
halving of time. Its own fidelity is not reported (the 2D-VQ of Tab. 3.2 is MaskGIT's, another model).

Not published: how long it was trained; here 270 epochs of batch 256 and flipped images, as MAGVIT-v2's
(5.4.2).

Data: ImageNet as a folder of images, one sub-folder a class below train/ and val/ (or without those two; then
`data.held_out` of the files are kept for testing). Any folder of images works.

Cost: 1,351,230 steps of 256 images. Counted from the shapes of the layers, an image of 128x128 takes 36 GFLOP
(b) or 141 (l) of convolutions forward, and 6 or 23 in the discriminator. 13.8M parameters (b) and 53.1M (l).
Time and memory are not measured.

    magvit train --config=magvit/imagenet:b --config.data.path=IMAGES --workdir=runs/imagenet_b

The perceptual network and precision: as magvit/ucf101.py says.
"""

from ml_collections import ConfigDict

from . import _base

EPOCHS, IMAGES, BATCH = 270, 1_281_167, 256
VARIANTS = {"b": ("b", 128), "l": ("l", 128), "b_64": ("b", 64), "l_64": ("l", 64)}


def get_config(variant: str = "b") -> ConfigDict:
    size, pixels = VARIANTS[variant]
    config = _base.image_config(
        "imagenet", size, epochs=EPOCHS, images=IMAGES, batch_size=BATCH, pixels=pixels
    )
    config.name = f"magvit_imagenet_{variant}"
    return config

"""Tab. 5.7d: the entropy penalty of LFQ, on CIFAR10 with 2^8 codes (thesis Eq. 5.5, 5.4.5).

Variant   Entropy loss   L1      L2      Utilization   Entropy
without                  0.174   0.052   0.219         3.12
with      yes            0.147   0.039   1.000         7.18      (the default)

The thesis gives no other setting of this table. Here: MAGVIT-v2's image tokenizer of 8x at base 64 with 2
blocks, 32x32 pixels to 4x4 tokens, without adversary and perceptual loss, 100 epochs. Of what is logged,
`codebook_use` is the utilization, and log2 of `codebook_perplexity` the entropy: the table's must be bits,
because 2^8 codes have no more than 5.5 nats.

Data: CIFAR10 as a folder of images, as in magvit2/image_tokenizer.py.

Cost: batch 256, 100 epochs of 50,000 images = 19,531 steps. A forward pass of one image is 2.2 GFLOP, counted
from the traced program; a step about 2.3 TFLOP, the run 4.5e16 FLOP. Time is not measured.

    magvit train --config=ablations/entropy:without --config.data.path=CIFAR10 --workdir=runs/without
"""

from ml_collections import ConfigDict

from .._length import train_for
from ..magvit2 import image_tokenizer

EPOCHS, IMAGES, BATCH = 100, 50_000, 256
ENTROPY_WEIGHTS = {"without": 0.0, "with": 0.1}
VARIANTS = tuple(ENTROPY_WEIGHTS)


def get_config(variant: str = "with") -> ConfigDict:
    weight = ENTROPY_WEIGHTS[variant]
    config = image_tokenizer.get_config("8x")
    config.name = f"ablation_entropy_{variant}"
    config.data.update(height=32, width=32)
    config.model.update(base_channels=64, blocks=2, mid_blocks=2)
    config.model.quantizer.bits = 8
    config.loss.entropy = weight
    config.adversarial.weight = config.perceptual.weight = 0.0
    train_for(config, EPOCHS, IMAGES, BATCH)
    return config

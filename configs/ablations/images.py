"""Tab. 5.7b: from MAGVIT to MAGVIT-v2 on images, ImageNet 128x128 (thesis 5.3.2, 5.4.5). Every row keeps the
changes of those above it.

Variant            Row of the table           What changes                                    FID    LPIPS
magvit             MAGVIT                     2D-VQ of ch. 3 with 1,024 codes                 2.65   0.1292
lfq                + LFQ                      the same number of codes, 2^10                  2.48   0.1182
large_vocabulary   + large vocabulary         2^18 codes                                      1.34   0.0821
resampling         + up/downsampler           strided convolution down, depth-to-space up     1.21   0.0790
deeper             + deeper model             4 residual blocks in place of 2                 1.20   0.0686
adaptive_norm      + adaptive normalization   the codes steer the decoder; the default, and   1.15   0.0685
                                              the same as magvit2/image_tokenizer:8x

The first row is the 2D-VQ built of MAGVIT-v2's parts, with the zero padding of the public configs, so that
nothing else changes between it and the second. Base channels 128 throughout.

Data and cost: ImageNet and 270 epochs, as in magvit2/image_tokenizer.py; the thesis does not say how long
these were trained. A forward pass of one image is 0.14 TFLOP, 0.25 in the last two rows, counted from the
traced program.

    magvit train --config=ablations/images:lfq --config.data.path=IMAGES --workdir=runs/lfq
"""

from ml_collections import ConfigDict

from ..magvit2 import image_tokenizer

LFQ = dict(name="lfq", entropy_groups=1)
ROWS = {
    "magvit": dict(
        quantizer=dict(name="vq", size=1024, width=256),
        downsampler="average",
        upsampler="nearest",
        stem_bias=False,
        blocks=2,
        mid_blocks=2,
        adaptive_norm="none",
    ),
    "lfq": dict(quantizer=dict(**LFQ, bits=10)),
    "large_vocabulary": dict(quantizer=dict(**LFQ, bits=18)),
    "resampling": dict(downsampler="strided", upsampler="depth_to_space", stem_bias=True),
    "deeper": dict(blocks=4, mid_blocks=4),
    "adaptive_norm": dict(adaptive_norm="pooled"),
}
VARIANTS = tuple(ROWS)


def get_config(variant: str = "adaptive_norm") -> ConfigDict:
    config = image_tokenizer.get_config("8x")
    config.name = f"ablation_images_{variant}"
    for row in VARIANTS[: VARIANTS.index(variant) + 1]:
        for field, value in ROWS[row].items():
            config.model[field] = ConfigDict(value) if field == "quantizer" else value
    config.loss.codebook = 1.0 if variant == "magvit" else 0.0
    return config

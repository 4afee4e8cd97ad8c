"""Masked image transformer on MAGVIT-v2 tokens: class-conditional ImageNet (thesis 5.4.2, Tab. 5.2, 5.3).

Variant         Pixels    Decoding                                             FID    IS
256             256x256   guided: scale 25, temperature 15; the default        1.78   319.4
256_unguided    256x256   temperature 15                                       3.65   200.5
512             512x512   guided: scale 25, temperature 15                     1.91   324.3
512_unguided    512x512   temperature 30                                       3.07   213.1

All in 64 steps; 512_unguided has FID 4.61 and IS 192.4 in 12
(`--config.tasks.class_conditional.decoding.steps=12`). Two variants of a size are the same training,
differently decoded; `magvit generate` can change that too. An image is 16x16 tokens of 2^18 codes, predicted
in two factors of 2^9, and the transformer is l (307M parameters). The guidance grows over the steps as in
MDT. The labels of 10% of the examples are dropped.

Data: ImageNet as a folder of images, one sub-folder a class below train/ and val/, or by TFDS:
`--config.data.source=tfds --config.data.path=imagenet2012 --config.data.tfds.test_split=validation`. The
tokenizer is magvit2/image_tokenizer:16x for 256x256 and :32x for 512x512.

Cost: batch 1024, 1,080 epochs of 1,281,167 images = 1,351,230 steps of 1,024 x 258 tokens. By 6 FLOP a
parameter and token, a step is 0.49 PFLOP, less attention scores and recomputation; the frozen encoder's part
of the 0.58 TFLOP that magvit2/image_tokenizer.py counts for an image of 256x256 comes on top of that. Time
and memory are not measured.

    magvit train --config=magvit2/masked_image:256 --config.tokenizer=runs/image_tokenizer_16x \
        --config.data.path=IMAGES --workdir=runs/masked_image_256

Not published: the power of the guidance schedule, here MDT's 4, and the mask schedule of decoding, here
cosine. Training images are flipped, and "80-100% of an image" cropped at random "while keeping the aspect
ratio": here a square whose side is 80 to 100% of the image's shorter one.
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from .._transformer import masked_config
from . import image_tokenizer

EPOCHS, BATCH = 1080, 1024

#: By variant: pixels a side, and how it is decoded.
VARIANTS = {
    "256": (256, _decoding.GUIDED),
    "256_unguided": (256, _decoding.UNGUIDED[256]),
    "512": (512, _decoding.GUIDED),
    "512_unguided": (512, _decoding.UNGUIDED[512]),
}


def get_config(variant: str = "256") -> ConfigDict:
    pixels, decoding = VARIANTS[variant]
    config = masked_config(
        f"magvit2_masked_image_{variant}",
        "l",
        data=dict(frames=1, height=pixels, width=pixels, batch_size=BATCH),
        tasks=_tasks.mixture({"class_conditional": 1.0}, decoding=decoding),
        factors=2,
        dtype="bfloat16",
        class_dropout=0.1,
        epochs=EPOCHS,
        examples=image_tokenizer.IMAGES,
    )
    config.data.update(source="image_folder", flip=True, smallest_crop=0.8)
    return config

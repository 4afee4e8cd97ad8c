"""Masked video transformer on MAGVIT-v2 tokens: class-conditional generation on UCF-101 (thesis 5.4.2).

Paper: Tab. 5.1: FVD 58 in 24 steps with l (307M parameters). Variants: b, l (the default), h. Cosine
schedule, temperature 32. The tokenizer is magvit2/video_tokenizer.

Not published: how long it was trained, here the 2,000 epochs of MAGVIT's (Tab. 6.10), "following [242]"; nor
on what its tokenizer was, here Kinetics-600.

Data: UCF-101 as in magvit/ucf101_transformer.py, in clips of 17 frames.

Cost: 74,507 steps of 256 x 1,282 tokens, each as in magvit2/masked_video.py. Time and memory are not
measured.

    magvit train --config=magvit2/masked_video_ucf101 --config.tokenizer=runs/video_tokenizer \
        --config.data.path=VIDEOS --workdir=runs/masked_video_ucf101
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from .._transformer import SIZES, masked_config
from ..magvit import ucf101

EPOCHS, BATCH = 2000, 256
VARIANTS = tuple(SIZES)


def get_config(variant: str = "l") -> ConfigDict:
    return masked_config(
        f"magvit2_masked_video_ucf101_{variant}",
        variant,
        data=dict(frames=17, height=128, width=128, batch_size=BATCH),
        tasks=_tasks.mixture({"class_conditional": 1.0}, decoding=dict(_decoding.MAGVIT2, steps=24)),
        factors=2,
        dtype="bfloat16",
        class_dropout=0.0,
        epochs=EPOCHS,
        examples=ucf101.VIDEOS,
    )

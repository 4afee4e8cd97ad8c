"""Masked video transformer on MAGVIT-v2 tokens: Kinetics-600 frame prediction from 5 frames (thesis 5.4.2,
ch. 6).

Paper: Tab. 5.1 (transformer L on these tokens: FVD 5.2 in 12 steps, 4.3 in 24), sizes of Tab. 6.1. Variants:
b (87M parameters), l (the default, 305M), h (634M). Tokens are predicted in two factors of 2^9 (5.3.2). The
FVD needs the tokenizer trained with all of its losses, and a metric with a pretrained network; both come
later.

Data: as in magvit2/video_tokenizer.py. 17 frames become 5x16x16 tokens; the 5 given frames are the first
2x16x16 of them.

Cost: batch 256, 360 epochs of 384,000 videos = 540,000 steps of 256 x 1,282 tokens. By 6 FLOP a parameter and
token, a step is 0.17 (b), 0.60 (l), 1.25 (h) PFLOP, less attention scores and recomputation; clips are
tokenized in the step, which adds 1.14 PFLOP of the frozen encoder. Time and memory are not measured. For its
1,026 tokens a clip the thesis reports 1.24 steps/s on 16 TPU-v2 chips (b) and 2.70 steps/s on 32 TPU-v4 chips
(l).

    magvit train --config=magvit2/masked_video:l --config.tokenizer=runs/video_tokenizer \
        --config.data.path=VIDEOS --workdir=runs/masked_video

The compute dtype is bfloat16, of matrix products and hidden states; parameters, optimizer, norms, softmax and
logits are float32. `--config.model.dtype=float32` is the authors' choice.
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from .._transformer import SIZES, masked_config

EPOCHS, BATCH = 360, 256
TRAINING_CLIPS = 384_000  # Kinetics-600 as the thesis counts it (6.5.6)
VARIANTS = tuple(SIZES)


def get_config(variant: str = "l") -> ConfigDict:
    return masked_config(
        f"magvit2_masked_video_{variant}",
        variant,
        data=dict(frames=17, height=128, width=128, batch_size=BATCH),
        tasks=_tasks.mixture({"frame_prediction": 1.0}, decoding=_decoding.MAGVIT2, frames=5),
        factors=2,
        dtype="bfloat16",
        class_dropout=0.0,
        epochs=EPOCHS,
        examples=TRAINING_CLIPS,
    )

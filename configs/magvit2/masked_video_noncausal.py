"""Masked video transformer on non-causal LFQ tokens: the baseline of thesis Tab. 5.1, Kinetics-600 frame
prediction.

Paper: FVD 11.6 in 12 steps with l (307M parameters); 5.2 with the causal tokenizer of magvit2/masked_video.
Variants: b, l (the default), h. The 5 given frames lie in 2 of 4 latent frames, the second of which holds
three frames that are not given: its tokens are refined, where the causal tokenizer's are exact.

The tokenizer is magvit2/noncausal_tokenizer. Data and the rest are as in magvit2/masked_video.py, in clips of
16 frames.

Cost: 540,000 steps of 256 x 1,026 tokens; clips are tokenized twice in a step, as they are and padded. Time
and memory are not measured.

    magvit train --config=magvit2/masked_video_noncausal --config.tokenizer=runs/noncausal_tokenizer \
        --config.data.path=VIDEOS --workdir=runs/masked_video_noncausal
"""

from ml_collections import ConfigDict

from . import masked_video

VARIANTS = masked_video.VARIANTS


def get_config(variant: str = "l") -> ConfigDict:
    config = masked_video.get_config(variant)
    config.name = f"magvit2_masked_video_noncausal_{variant}"
    config.data.frames = 16
    return config

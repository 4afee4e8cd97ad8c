"""The tokenizer of the non-causal LFQ baseline (thesis Tab. 5.1): 16 frames of 128x128 to 4x16x16 tokens of
2^18 codes.

Paper: the table says of it "MLM + LFQ, non-causal baseline", and nothing else does. Here it is MAGVIT's 3D
CNN (ch. 3, L: base channels 128, 2 blocks) with MAGVIT-v2's quantizer, losses and length of training, from
scratch: of what MAGVIT-v2 changes, what makes it causal and what came with that is missing. Its own fidelity
is not reported.

Data: as in magvit2/video_tokenizer.py, in clips of 16 frames.

Cost: 285,000 steps of 256 clips. A forward pass of one clip is 4.5 TFLOP, as in magvit/ucf101:l. Time and
memory are not measured.

    magvit train --config=magvit2/noncausal_tokenizer --config.data.path=VIDEOS \
        --workdir=runs/noncausal_tokenizer

What is not named here is as in magvit2/video_tokenizer.py.
"""

from ml_collections import ConfigDict

from ..ablations import architectures
from . import video_tokenizer


def get_config() -> ConfigDict:
    config = video_tokenizer.get_config()
    config.name = "magvit2_noncausal_tokenizer"
    config.data.frames = 16
    config.model = ConfigDict(dict(architectures.MODELS["magvit"], base_channels=128))
    return config

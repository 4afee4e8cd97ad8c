"""MAGVIT-v2 video tokenizer: 17 frames of 128x128 to 5x16x16 tokens of 2^18 codes (thesis 5.3, 5.4.1, Fig.
5.4).

Paper: reconstruction on UCF-101, Tab. 5.7a (causal 3D CNN: FID 7.06 on first frames, FVD 96.33) and Tab.
5.7c. Losses as published: reconstruction, commitment, annealed entropy, adversarial (non-saturating, 0.1,
against a 3D StyleGAN discriminator with blur pooling), R1 (10), LeCam (0.001) and perceptual (0.1). The last
needs ResNet-50's weights (docs/pretrained.md); without them training says so and stops. To train without it:
`--config.perceptual.weight=0`; do not expect the paper's FID and FVD then, nor without starting from an image
tokenizer, as the paper does (5.4.2): `--config.init_from=runs/image_tokenizer --config.inflation.method=last`
after magvit2/image_tokenizer:8x.

Data: Kinetics-600 as a folder of videos, one sub-folder a class below train/ and val/ (or without those two;
then `data.held_out` of the files are kept for testing). Any folder of videos works.

Cost: batch 256, 190 epochs of 384,000 videos = 285,000 steps. Counted from the shapes of the layers, a clip
takes 10.7 TFLOP of convolutions forward and about four times that with the backward pass and recomputation; a
step 11 PFLOP, the run 3.1e21 FLOP (8,600 hours of a device that sustains 100 TFLOP/s). Time and memory are
not measured. 370.5M parameters.

    magvit train --config=magvit2/video_tokenizer --config.data.path=VIDEOS --workdir=runs/video_tokenizer

The compute dtype is bfloat16, of the convolutions only, the last of which round latents and pixels to it:
parameters, their average, the optimizer, normalisation and losses are float32.
`--config.model.dtype=float32` is the authors' choice. docs/sharding.md says how to lay the run out.
"""

from ml_collections import ConfigDict

from .. import _data, _training
from .._adversary import ADVERSARY
from .._optimizer import ADAM

TRAINING_CLIPS = 384_000  # Kinetics-600 as the thesis counts it (6.5.6)
BATCH = 256
STEPS = 190 * TRAINING_CLIPS // BATCH

#: Of both players.
OPTIMIZER = dict(ADAM, warmup_steps=TRAINING_CLIPS // BATCH)


def get_config() -> ConfigDict:
    return ConfigDict(
        dict(
            name="magvit2_video_tokenizer",
            system="video_tokenizer",
            seed=0,
            init_from="",
            inflation=dict(method="", discriminator=False),
            data=dict(
                _data.FILES,
                frames=17,
                height=128,
                width=128,
                batch_size=BATCH,
                eval_batch_size=256,
                seed=0,
            ),
            model=dict(
                architecture="magvit2",
                base_channels=128,
                channel_multipliers=(1, 2, 2, 4),
                strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)),
                blocks=4,
                mid_blocks=4,
                quantizer=dict(name="lfq", bits=18, entropy_groups=1),
                patch=1,
                adaptive_norm="pooled",
                norm_groups=32,
                statistics="frame",
                downsampler="strided",
                upsampler="depth_to_space",
                kept_frame="last",
                time_kernel=3,
                stem_bias=True,
                remat=True,
                dtype="bfloat16",
            ),
            loss=dict(
                reconstruction=5.0,
                commitment=0.25,
                codebook=0.0,
                entropy=0.1,
                entropy_annealing_factor=3.0,
                entropy_annealing_steps=2000,
                entropy_temperature=0.01,
            ),
            discriminator=dict(
                base_channels=128,
                channel_multipliers=(2, 4, 4, 4, 4),
                pooling="blur",
                dims=3,
                remat=True,
                dtype="bfloat16",
            ),
            adversarial=dict(ADVERSARY, optimizer=dict(OPTIMIZER)),
            perceptual=dict(weight=0.1, network="resnet50", path=""),
            optimizer=dict(OPTIMIZER),
            training=dict(_training.LONG, steps=STEPS, ema_decay=0.999),
            **_training.LAYOUT,
        )
    )

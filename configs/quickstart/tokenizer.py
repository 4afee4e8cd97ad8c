"""Quickstart, stage 1: a small causal LFQ tokenizer (thesis 5.3) that two CPU cores train in minutes.

9 frames of 32x32 become 3x8x8 tokens: a 4x4 patch, time halved twice. Expected on the embedded data: see
docs/benchmarks.md. Variants: smoke (seconds, to see that all works), small (the default), full.

    magvit train --config=quickstart/tokenizer --workdir=runs/tokenizer
"""

from ml_collections import ConfigDict

from .. import _training
from .._adversary import ADVERSARY
from .._optimizer import ADAM
from . import _base

STEPS = {"smoke": 16, "small": 800, "full": 2000}
VARIANTS = tuple(STEPS)


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    warmup_steps = min(50, steps // 10)
    return ConfigDict(
        dict(
            name=f"quickstart_tokenizer_{variant}",
            system="video_tokenizer",
            seed=0,
            init_from="",
            inflation=dict(method="", discriminator=False),
            data=dict(_base.clips(variant), batch_size=8, seed=0),
            model=dict(
                architecture="magvit2",
                base_channels=32,
                channel_multipliers=(1, 2, 2),
                strides=((2, 1, 1), (2, 1, 1)),
                blocks=1,
                mid_blocks=1,
                quantizer=dict(name="lfq", bits=10, entropy_groups=1),
                patch=4,
                adaptive_norm="pooled",
                norm_groups=8,
                statistics="frame",
                downsampler="strided",
                upsampler="depth_to_space",
                kept_frame="last",
                time_kernel=3,
                stem_bias=True,
                remat=False,
                dtype="float32",
            ),
            loss=dict(
                reconstruction=20.0,
                commitment=0.05,
                codebook=0.0,
                entropy=0.005,
                entropy_annealing_factor=3.0,
                entropy_annealing_steps=min(200, steps // 2),
                entropy_temperature=0.01,
            ),
            discriminator=dict(
                base_channels=16,
                channel_multipliers=(2, 4, 4),
                pooling="blur",
                dims=3,
                remat=False,
                dtype="float32",
            ),
            adversarial=dict(
                ADVERSARY,
                weight=0.0,
                optimizer=dict(ADAM, learning_rate=2e-4, warmup_steps=warmup_steps, final_fraction=0.02),
            ),
            perceptual=dict(weight=0.0, network="none", path=""),
            optimizer=dict(
                ADAM,
                learning_rate=2e-3,
                warmup_steps=warmup_steps,
                final_fraction=0.02,
                b1=0.9,
                clip_norm=1.0,
            ),
            training=_base.training(variant, steps=steps, samples=3),
            **_training.LAYOUT,
        )
    )

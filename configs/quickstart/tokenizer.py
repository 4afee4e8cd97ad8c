"""Quickstart, stage 1: a small causal LFQ tokenizer (thesis 5.3) that two CPU cores train in minutes.

9 frames of 32x32 become 3x8x8 tokens: a 4x4 patch, time halved twice. Expected on the embedded data: see
docs/benchmarks.md. Variants: smoke (seconds, to see that all works), small (the default), full.

    magvit train --config=quickstart/tokenizer --workdir=runs/tokenizer
"""

from ml_collections import ConfigDict

STEPS = {"smoke": 16, "small": 800, "full": 2000}


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    return ConfigDict(
        dict(
            name=f"quickstart_tokenizer_{variant}",
            system="video_tokenizer",
            seed=0,
            init_from="",
            inflation=dict(method="", discriminator=False),
            data=dict(
                source="embedded",
                path="",
                frames=9,
                height=32,
                width=32,
                stride=1,
                flip=False,
                random_crop=False,
                batch_size=8,
                eval_batch_size=64,
                eval_clips=256 if variant != "smoke" else 64,
                size=8192,
                seed=0,
                held_out=0.15,
                workers=0,
                cache_mb=1024,
                tfds=dict(data_dir="", train_split="train", test_split="test", feature=""),
            ),
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
                weight=0.0,
                loss="non_saturating",
                r1_cost=10.0,
                r1_every=1,
                lecam_weight=0.001,
                lecam_decay=0.999,
                start_step=0,
                ema_decay=0.0,
                optimizer=dict(
                    name="adam",
                    learning_rate=2e-4,
                    warmup_steps=min(50, steps // 10),
                    schedule="cosine",
                    final_fraction=0.02,
                    b1=0.0,
                    b2=0.99,
                    eps=1e-8,
                    weight_decay=0.0,
                    decay_kernels_only=True,
                    clip_norm=0.0,
                ),
            ),
            perceptual=dict(weight=0.0, network="none", path=""),
            optimizer=dict(
                name="adam",
                learning_rate=2e-3,
                warmup_steps=min(50, steps // 10),
                schedule="cosine",
                final_fraction=0.02,
                b1=0.9,
                b2=0.99,
                eps=1e-8,
                weight_decay=0.0,
                decay_kernels_only=True,
                clip_norm=1.0,
            ),
            training=dict(
                steps=steps,
                microbatches=1,
                ema_decay=0.99,
                log_every=20,
                eval_every=0,
                sample_every=steps if variant == "smoke" else steps // 3,
                checkpoint_every=steps if variant == "smoke" else steps // 4,
                checkpoint_keep=2,
                max_nonfinite=10,
                tensorboard=False,
                rng_impl="threefry2x32",
            ),
            mesh=dict(data=-1, fsdp=1, tensor=1, sequence=1),
            sharding_rules=(),
        )
    )

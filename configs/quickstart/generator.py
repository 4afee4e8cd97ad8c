"""Quickstart, stage 2: a small masked video transformer (thesis ch. 6) on the tokens of stage 1.

It learns frame prediction from 5 frames and class-conditional generation. Tokens are factorised into two heads
(5.3.2). Variants: smoke, small (the default), full.

    magvit train --config=quickstart/generator --config.tokenizer=runs/tokenizer --workdir=runs/generator
"""

from ml_collections import ConfigDict

STEPS = {"smoke": 8, "small": 420, "full": 1500}


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    return ConfigDict(
        dict(
            name=f"quickstart_generator_{variant}",
            system="masked_video",
            seed=0,
            init_from="",
            tokenizer="",
            data=dict(
                source="embedded",
                path="",
                frames=9,
                height=32,
                width=32,
                stride=1,
                flip=False,
                random_crop=False,
                batch_size=16,
                eval_batch_size=64,
                eval_clips=256 if variant != "smoke" else 64,
                size=8192,
                seed=1,
                held_out=0.15,
                workers=0,
                cache_mb=1024,
                tfds=dict(data_dir="", train_split="train", test_split="test", feature=""),
            ),
            model=dict(
                factors=2,
                width=192,
                layers=6 if variant != "smoke" else 2,
                heads=3,
                mlp_dim=768,
                dropout=0.0,
                attention_dropout=0.0,
                norm="pre",
                scan_layers=False,
                remat=False,
                dtype="float32",
            ),
            tasks=dict(
                frame_prediction=dict(
                    weight=2.0,
                    settings=dict(frames=5),
                    decoding=dict(
                        steps=2,
                        schedule="cosine",
                        temperature=0.0,
                        sampling_temperature=0.0,
                        guidance_scale=0.0,
                    ),
                ),
                class_conditional=dict(
                    weight=1.0,
                    settings=dict(),
                    decoding=dict(
                        steps=12,
                        schedule="cosine",
                        temperature=2.0,
                        sampling_temperature=0.9,
                        guidance_scale=0.0,
                    ),
                ),
            ),
            masking=dict(schedule="cosine", ratio_per="example", class_dropout=0.1),
            loss=dict(
                label_smoothing=1e-4,
                part_weights=dict(refine=0.1, mask=1.0, reconstruct=0.1),
            ),
            optimizer=dict(
                name="adamw",
                learning_rate=1e-3,
                warmup_steps=min(60, steps // 10),
                schedule="cosine",
                final_fraction=0.02,
                b1=0.9,
                b2=0.96,
                eps=1e-8,
                weight_decay=0.045,
                decay_kernels_only=True,
                clip_norm=1.0,
            ),
            training=dict(
                steps=steps,
                microbatches=1,
                ema_decay=0.99,
                log_every=20,
                eval_every=0,
                sample_every=steps if variant == "smoke" else steps // 2,
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

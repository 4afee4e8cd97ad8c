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

TRAINING_CLIPS = 384_000  # Kinetics-600 as the thesis counts it (6.5.6)
BATCH = 256
STEPS = 360 * TRAINING_CLIPS // BATCH

SIZES = {
    "b": dict(width=768, layers=12, heads=12, mlp_dim=3072),
    "l": dict(width=1024, layers=24, heads=16, mlp_dim=4096),
    "h": dict(width=1280, layers=32, heads=16, mlp_dim=5120),
}


def get_config(variant: str = "l") -> ConfigDict:
    return ConfigDict(
        dict(
            name=f"magvit2_masked_video_{variant}",
            system="masked_video",
            seed=0,
            init_from="",
            tokenizer="",
            data=dict(
                source="video_folder",
                path="",
                frames=17,
                height=128,
                width=128,
                stride=1,
                flip=False,
                random_crop=True,
                batch_size=BATCH,
                eval_batch_size=256,
                eval_clips=1024,
                size=1,
                seed=1,
                held_out=0.05,
                workers=8,
                cache_mb=0,
                tfds=dict(data_dir="", train_split="train", test_split="test", feature=""),
            ),
            model=dict(
                factors=2,
                **SIZES[variant],
                dropout=0.1,
                attention_dropout=0.1,
                norm="post",
                scan_layers=True,
                remat=True,
                dtype="bfloat16",
            ),
            tasks=dict(
                frame_prediction=dict(
                    weight=1.0,
                    settings=dict(frames=5),
                    decoding=dict(
                        steps=12,
                        schedule="cosine",
                        temperature=32.0,
                        sampling_temperature=1.0,
                        guidance_scale=0.0,
                    ),
                ),
            ),
            masking=dict(schedule="cosine", ratio_per="example", class_dropout=0.0),
            loss=dict(
                label_smoothing=1e-4,
                part_weights=dict(refine=1.0, mask=1.0, reconstruct=1.0),
            ),
            optimizer=dict(
                name="adamw",
                learning_rate=1e-4,
                warmup_steps=5000,
                schedule="cosine",
                final_fraction=0.0,
                b1=0.9,
                b2=0.96,
                eps=1e-8,
                weight_decay=0.045,
                decay_kernels_only=True,
                clip_norm=1.0,
            ),
            training=dict(
                steps=STEPS,
                microbatches=1,
                ema_decay=0.0,
                log_every=100,
                eval_every=5000,
                sample_every=5000,
                checkpoint_every=1000,
                checkpoint_keep=3,
                max_nonfinite=10,
                tensorboard=False,
                rng_impl="threefry2x32",
            ),
            mesh=dict(data=-1, fsdp=1, tensor=1, sequence=1),
            sharding_rules=(),
        )
    )

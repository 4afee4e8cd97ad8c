"""MAGVIT-v2 video tokenizer: 17 frames of 128x128 to 5x16x16 tokens of 2^18 codes (thesis 5.3, 5.4.1, Fig.
5.4).

Paper: reconstruction on UCF-101, Tab. 5.7a (causal 3D CNN: FID 7.06 on first frames, FVD 96.33) and Tab.
5.7c. Losses as published: reconstruction, commitment, annealed entropy, adversarial (non-saturating, 0.1,
against a 3D StyleGAN discriminator with blur pooling), R1 (10), LeCam (0.001) and perceptual (0.1). The last
needs a ResNet-50, whose weights are not here yet: training says so and stops. To train without it:
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

TRAINING_CLIPS = 384_000  # Kinetics-600 as the thesis counts it (6.5.6)
BATCH = 256
STEPS = 190 * TRAINING_CLIPS // BATCH

#: Of both players.
OPTIMIZER = dict(
    name="adam",
    learning_rate=1e-4,
    warmup_steps=TRAINING_CLIPS // BATCH,
    schedule="cosine",
    final_fraction=0.0,
    b1=0.0,
    b2=0.99,
    eps=1e-8,
    weight_decay=0.0,
    decay_kernels_only=True,
    clip_norm=0.0,
)


def get_config() -> ConfigDict:
    return ConfigDict(
        dict(
            name="magvit2_video_tokenizer",
            system="video_tokenizer",
            seed=0,
            init_from="",
            inflation=dict(method="", discriminator=False),
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
                seed=0,
                held_out=0.05,
                workers=8,
                cache_mb=0,
                tfds=dict(data_dir="", train_split="train", test_split="test", feature=""),
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
            adversarial=dict(
                weight=0.1,
                loss="non_saturating",
                r1_cost=10.0,
                r1_every=1,
                lecam_weight=0.001,
                lecam_decay=0.999,
                start_step=0,
                ema_decay=0.0,
                optimizer=dict(OPTIMIZER),
            ),
            perceptual=dict(weight=0.1, network="resnet50", path=""),
            optimizer=dict(OPTIMIZER),
            training=dict(
                steps=STEPS,
                microbatches=1,
                ema_decay=0.999,
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

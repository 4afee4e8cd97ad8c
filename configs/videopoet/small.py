"""VideoPoet (thesis ch. 8) small enough for two CPU cores: 9 frames of 32x32 with their sound, and words as text.

Tokens are those of quickstart/tokenizer (3x8x8 of 1,024) and of soundstream/small (56 latents of 4 levels of 128); text
is the words of the captions. Variants: smoke (seconds); small (the default), every task but stylization on moving
digits that sound, with captions of their labels; clips, every task on a folder of videos with sound and a
captions.jsonl, where data.flow and data.depth name the videos of flow and depth; t2v, ssl, all: rows of Tab. 8.1 at
this size; finetune: text-to-video alone, from init_from.

Cost: smoke seconds; the others about 0.9 CPU seconds a step, so some 12 minutes of one core, after the tokenizers.

    magvit train --config=quickstart/tokenizer --workdir=runs/tokenizer
    magvit train --config=soundstream/small:embedded --workdir=runs/soundstream
    magvit train --config=videopoet/small --config.tokenizer=runs/tokenizer \\
        --config.sound_tokenizer=runs/soundstream --workdir=runs/videopoet
"""

from ml_collections import ConfigDict

from .. import _multimodal, _training
from .._optimizer import ADAMW
from . import _tasks

STEPS = {"smoke": 8, "small": 800, "clips": 800, "t2v": 800, "ssl": 800, "all": 800, "finetune": 200}
VARIANTS = tuple(STEPS)
#: By length: 210 to 270 tokens, two to a row; 390 to 450; and stylization, 610. Of silent clips the second paints.
BUCKETS = (
    dict(
        tasks=("unconditional", "text_to_image", "text_to_video", "image_to_video", "frame_prediction"),
        share=4,
        per_row=2,
    ),
    dict(
        tasks=("inpainting", "outpainting", "audio_to_video", "video_to_audio", "audio_video_continuation"),
        share=3,
        per_row=1,
    ),
    dict(tasks=("stylization",), share=1, per_row=1),
)
LATENTS = 56  # whole ones of 9 frames at 8 a second, at 50 a second


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    every = {name: weight for name, weight in _tasks.EVERY.items() if name != "stylization"}
    weights = {"clips": _tasks.EVERY, "finetune": dict(text_to_video=1.0)} | _tasks.TAB_8_1
    clips = _multimodal.EMBEDDED
    if variant == "clips":
        clips = dict(_multimodal.FILES, cache_mb=1024, workers=0)
    return ConfigDict(
        dict(
            name=f"videopoet_small_{variant}",
            system="multimodal_lm",
            seed=0,
            init_from="runs/videopoet" if variant == "finetune" else "",  # the model that is tuned
            tokenizer="",
            sound_tokenizer="",
            data=dict(
                clips,
                frames=9,
                height=32,
                width=32,
                samples=LATENTS * 320,
                batch_size=8,
                eval_batch_size=16,
                eval_clips=16 if variant == "smoke" else 128,
                seed=1,
            ),
            text=dict(_multimodal.WORDS),
            vocabulary=dict(sources=(), resolutions=((32, 32),), durations=(9,)),
            model=dict(
                width=160,
                layers=4,
                heads=5,
                kv_heads=5,
                head_width=32,
                mlp_dim=432,
                scan_layers=False,
                remat="none",
                dtype="float32",
            ),
            tasks=_tasks.mixture(weights.get(variant, every)),
            buckets=BUCKETS if variant == "clips" else (),
            conditions=dict(text_dropout=0.1, source_dropout=0.1),
            loss=dict(label_smoothing=0.0, chunk=1024),
            optimizer=dict(ADAMW, learning_rate=2e-3, warmup_steps=min(50, steps // 10), final_fraction=0.02),
            training=dict(
                _training.LONG,
                steps=steps,
                ema_decay=0.99,
                log_every=20,
                eval_every=0,
                sample_every=0,
                checkpoint_every=steps if variant == "smoke" else steps // 4,
                checkpoint_keep=2,
            ),
            **_training.LAYOUT,
        )
    )

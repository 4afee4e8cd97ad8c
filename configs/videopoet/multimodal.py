"""VideoPoet (thesis ch. 8): text, images, video and sound in one vocabulary of 298,624 ids, 300M, 1B and 8B parameters.

Paper: 300 thousand steps of 1,024 sequences at a learning rate of 1e-3 for each row of Tab. 8.1 with the 300M model
(8.4.2). The recipe of the larger models, and layers and widths of all, are not published (docs/fidelity.md).

Parameters without the embedding, and of the embedding, which is also the head:

Size   layers of width   without   embedding   in all
300m     24 of 1,024        310M        306M      617M
1b       20 of 2,048      1,032M        612M    1,644M
8b       40 of 4,096      8,104M      1,223M    9,327M

Variants: 300m, 1b (the default), 8b: every task of 8.3.3. 300m_t2v, 300m_t2v_i, 300m_ssl, 300m_no_t2i, 300m_all: the
rows of Tab. 8.1. 300m_finetune, 1b_finetune, 8b_finetune: text-to-video alone, from init_from (8.3.4).

Clips: 17 frames of 128x128 at 8 a second, 5x16x16 tokens of 2^18, with 106 x 320 samples of sound at 16 kHz, 4 x 106
tokens of 1,024. Texts: embeddings of T5 v1.1 XL of up to 64 tokens, made before: `magvit embed-text`. Where images are
trained their batches hold five for each video, in 90% of the first quarter of the steps and in 10% after it.

The sized variants divide a batch by length (`buckets`): 3 short sequences, 3 with sound, 2 of painting, or 1 of
stylization a row, 128, 128, 64 and 128 rows; so 84% of the rows' columns are used where one task a row would use 50%.
Each of these numbers has to divide by data x fsdp x microbatches. The rows of Tab. 8.1 keep one sequence a row.

Cost: a step is 18.6, 36.1 or 165.7 PFLOP (300m, 1b, 8b) with both tokenizers in it, as `magvit compile` counts;
docs/benchmarks.md has memory and the least time on a slice. Not trained.

    cat VIDEOS/captions.jsonl IMAGES/captions.jsonl > captions.jsonl
    magvit embed-text --captions=captions.jsonl --weights-dir=WEIGHTS --output=TEXTS
    magvit train --config=videopoet/multimodal:1b --config.tokenizer=runs/video_tokenizer \\
        --config.sound_tokenizer=runs/soundstream --config.data.path=VIDEOS --config.data.images.path=IMAGES \\
        --config.data.flow=FLOW --config.data.depth=DEPTH --config.text.t5=TEXTS --config.mesh.fsdp=16 \\
        --workdir=runs/videopoet
"""

from ml_collections import ConfigDict

from .. import _multimodal, _training
from .._optimizer import ADAMW
from . import _tasks
from .prefix_lm import SIZES

BATCH, STEPS = 1024, 300_000
SOUND_RATE, SAMPLES = 16_000, 106 * 320
ROWS = tuple(f"300m_{row}" for row in _tasks.TAB_8_1)
TUNED = tuple(f"{size}_finetune" for size in SIZES)
VARIANTS = (*SIZES, *ROWS, *TUNED)

#: By length, of clips of 17 frames: about 1,350 tokens, 1,780, 2,630 and 3,920. A silent clip among those of sound
#: becomes a video from its first frame.
BUCKETS = (
    dict(tasks=("unconditional", "text_to_image", "text_to_video", "frame_prediction"), share=6, per_row=3),
    dict(
        tasks=("image_to_video", "audio_to_video", "video_to_audio", "audio_video_continuation"), share=6, per_row=3
    ),
    dict(tasks=("inpainting", "outpainting"), share=2, per_row=2),
    dict(tasks=("stylization",), share=2, per_row=1),
)


def get_config(variant: str = "1b") -> ConfigDict:
    size, _, rest = variant.partition("_")
    tuned = rest == "finetune"
    weights = dict(text_to_video=1.0) if tuned else _tasks.TAB_8_1.get(rest, _tasks.EVERY)
    stages = dict(_multimodal.TWO_STAGES, source="image_folder", captions="file")
    images = stages if "text_to_image" in weights else _multimodal.NO_IMAGES
    rate = dict(learning_rate=1e-4, warmup_steps=1000) if tuned else dict(learning_rate=1e-3, warmup_steps=5000)
    return ConfigDict(
        dict(
            name=f"videopoet_{variant}",
            system="multimodal_lm",
            seed=0,
            init_from="runs/videopoet" if tuned else "",  # the model that is tuned
            tokenizer="",
            sound_tokenizer="",
            data=dict(
                _multimodal.FILES,
                frames=17,
                height=128,
                width=128,
                samples=SAMPLES,
                batch_size=BATCH,
                eval_batch_size=256,
                seed=1,
                images=dict(images),
            ),
            text=dict(_multimodal.T5_XL),
            vocabulary=dict(sources=(), resolutions=((128, 128), (224, 128)), durations=(17, 41)),
            model=dict(**SIZES[size], scan_layers=True, remat="full", dtype="bfloat16"),
            tasks=_tasks.mixture(weights),
            buckets=() if rest else BUCKETS,
            conditions=dict(text_dropout=0.1, source_dropout=0.1),
            loss=dict(label_smoothing=0.0, chunk=512),
            optimizer=dict(ADAMW, **rate),
            training=dict(_training.LONG, steps=30_000 if tuned else STEPS, ema_decay=0.0),
            **_training.LAYOUT,
        )
    )

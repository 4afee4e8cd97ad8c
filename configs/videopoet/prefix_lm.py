"""Prefix language models of 300M, 1B and 8B parameters on MAGVIT-v2 tokens (thesis ch. 8).

The backbone alone: unconditional generation and frame prediction from 5 frames, as one mixture. Text, audio, the
other tasks and their layout (8.3.3, Tab. 8.3) are not in it.

Paper: 300 thousand steps of 1,024 sequences at a learning rate of 1e-3 (8.4.2, of the 300M model); the others'
recipe is not published, and neither are layers and widths: docs/fidelity.md has what was chosen. Parameters are
counted without the embedding, which has another 262,144 x width.

Variant   width   layers   heads   MLP      parameters   embedding
300m      1,024   24       16      2,816    308M         269M
1b        2,048   20       16      5,632    1,028M       537M      (the default)
8b        4,096   40       32      11,008   8,095M       1,074M

Data: token shards that `magvit tokenize` made with the tokenizer, of clips of 17 frames at 128x128: 5x16x16 tokens. On
pixels, with the tokenizer in the step: --config.data.source=video_folder.

Cost: 1,024 x 1,282 tokens a step, 6 FLOP a parameter and token without attention: 2.4 (300m), 8.1 (1b), 64 (8b)
PFLOP, and for the full softmax over 2^18 codes 2.1, 4.2 and 8.5. `magvit compile` says what fits where. Not trained.

    magvit tokenize --model=runs/video_tokenizer --input=VIDEOS --output=TOKENS
    magvit train --config=videopoet/prefix_lm:1b --config.tokenizer=runs/video_tokenizer --config.data.path=TOKENS \\
        --config.mesh.fsdp=16 --workdir=runs/prefix_lm
"""

from ml_collections import ConfigDict

from .. import _data, _decoding, _tasks, _training
from .._optimizer import ADAMW

SIZES = {
    "300m": dict(width=1024, layers=24, heads=16, kv_heads=16, head_width=64, mlp_dim=2816),
    "1b": dict(width=2048, layers=20, heads=16, kv_heads=16, head_width=128, mlp_dim=5632),
    "8b": dict(width=4096, layers=40, heads=32, kv_heads=32, head_width=128, mlp_dim=11008),
}
VARIANTS = tuple(SIZES)
BATCH, STEPS = 1024, 300_000
TASKS = {"class_conditional": 1.0, "frame_prediction": 1.0}


def get_config(variant: str = "1b") -> ConfigDict:
    return ConfigDict(
        dict(
            name=f"videopoet_prefix_lm_{variant}",
            system="prefix_lm",
            seed=0,
            init_from="",
            tokenizer="",
            data=dict(
                _data.FILES,
                source="token_shards",
                frames=17,
                height=128,
                width=128,
                batch_size=BATCH,
                eval_batch_size=256,
                seed=1,
            ),
            model=dict(factors=1, **SIZES[variant], scan_layers=True, remat="full", dtype="bfloat16"),
            tasks=_tasks.mixture(TASKS, decoding=_decoding.TOKENWISE, frames=5),
            masking=dict(method="prefix", class_dropout=0.0),
            loss=dict(label_smoothing=0.0, chunk=640),
            optimizer=dict(ADAMW, learning_rate=1e-3, warmup_steps=5000),
            training=dict(_training.LONG, steps=STEPS, ema_decay=0.0),
            **_training.LAYOUT,
        )
    )

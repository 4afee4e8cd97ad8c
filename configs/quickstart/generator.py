"""Quickstart, stage 2: a small masked video transformer (thesis ch. 6) on the tokens of stage 1.

It learns frame prediction from 5 frames and class-conditional generation. Tokens are factorised into two
heads (5.3.2). Variants: smoke, small (the default), full.

    magvit train --config=quickstart/generator --config.tokenizer=runs/tokenizer --workdir=runs/generator
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks, _training
from .._optimizer import ADAMW
from . import _base

DECODING = dict(_decoding.DEFAULT, temperature=2.0, sampling_temperature=0.9)
STEPS = {"smoke": 8, "small": 420, "full": 1500}
VARIANTS = tuple(STEPS)


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    tasks = _tasks.mixture({"frame_prediction": 2.0, "class_conditional": 1.0}, decoding=DECODING, frames=5)
    tasks["frame_prediction"]["decoding"].update(steps=2, temperature=0.0, sampling_temperature=0.0)
    return ConfigDict(
        dict(
            name=f"quickstart_generator_{variant}",
            system="masked_video",
            seed=0,
            init_from="",
            tokenizer="",
            data=dict(_base.clips(variant), batch_size=16, seed=1),
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
                remat="none",
                dtype="float32",
            ),
            tasks=tasks,
            masking=dict(method="commit", schedule="cosine", ratio_per="example", class_dropout=0.1),
            loss=dict(
                label_smoothing=1e-4,
                part_weights=dict(refine=0.1, mask=1.0, reconstruct=0.1),
            ),
            optimizer=dict(ADAMW, learning_rate=1e-3, warmup_steps=min(60, steps // 10), final_fraction=0.02),
            training=_base.training(variant, steps=steps, samples=2),
            **_training.LAYOUT,
        )
    )

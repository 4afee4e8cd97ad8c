"""Masked transformers as published (thesis Tab. 6.1, 6.5.6): "the same learning recipe across all datasets,
with the only variation in the number of training epochs".

Where the thesis is silent: 5,000 steps of warm-up, no moving average and equal weights of the three parts of
the loss are those of the authors' code; docs/fidelity.md has the rest.
"""

from ml_collections import ConfigDict

from . import _data, _training
from ._optimizer import ADAMW

SIZES = {
    "b": dict(width=768, layers=12, heads=12, mlp_dim=3072),
    "l": dict(width=1024, layers=24, heads=16, mlp_dim=4096),
    "h": dict(width=1280, layers=32, heads=16, mlp_dim=5120),
}


def masked_config(
    name: str,
    size: str,
    *,
    data: dict,
    tasks: dict,
    factors: int,
    dtype: str,
    class_dropout: float,
    epochs: int,
    examples: int,
) -> ConfigDict:
    """A whole config.

    Args:
      size: "b", "l" or "h".
      data: the clips' `frames`, `height`, `width`, the `batch_size`, and what else `FILES` has not.
      factors: heads that a token is predicted by (5.3.2).
      examples: clips in an epoch.
    """
    return ConfigDict(
        dict(
            name=name,
            system="masked_video",
            seed=0,
            init_from="",
            tokenizer="",
            data=dict(_data.FILES, eval_batch_size=256, seed=1, **data),
            model=dict(
                factors=factors,
                **SIZES[size],
                dropout=0.1,
                attention_dropout=0.1,
                norm="post",
                scan_layers=True,
                remat="dots",
                dtype=dtype,
            ),
            tasks=tasks,
            masking=dict(
                method="commit", schedule="cosine", ratio_per="example", class_dropout=class_dropout
            ),
            loss=dict(
                label_smoothing=1e-4,
                part_weights=dict(refine=1.0, mask=1.0, reconstruct=1.0),
            ),
            optimizer=dict(ADAMW, warmup_steps=5000),
            training=dict(_training.LONG, steps=epochs * examples // data["batch_size"], ema_decay=0.0),
            **_training.LAYOUT,
        )
    )

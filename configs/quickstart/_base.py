"""What both stages of the quickstart share."""

from .. import _data, _training


def clips(scale: str) -> dict:
    """9 frames of 32x32; a config adds batch size and seed."""
    return dict(
        _data.EMBEDDED,
        frames=9,
        height=32,
        width=32,
        eval_batch_size=64,
        eval_clips=64 if scale == "smoke" else 256,
    )


def training(scale: str, *, steps: int, samples: int) -> dict:
    """Writes samples that many times, and checkpoints four times; once each at the smallest scale."""
    return dict(
        _training.LONG,
        steps=steps,
        ema_decay=0.99,
        log_every=20,
        eval_every=0,
        sample_every=steps if scale == "smoke" else steps // samples,
        checkpoint_every=steps if scale == "smoke" else steps // 4,
        checkpoint_keep=2,
    )

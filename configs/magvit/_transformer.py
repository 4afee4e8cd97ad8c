"""What all transformers on 3D-VQ tokens share (thesis 6.5.1, 6.5.6): clips of 16 frames, 4x16x16 tokens, one
head over the 1,024 codes, float32 as the authors had it, and batches of 256."""

from ml_collections import ConfigDict

from .._transformer import masked_config


def transformer_config(
    name: str, size: str, *, tasks: dict, epochs: dict[str, int], videos: int, pixels: int = 128
) -> ConfigDict:
    """
    Args:
      size: "b", "l" or "h" of Tab. 6.1.
      epochs: by size, Tab. 6.10; videos: in an epoch.
    """
    return masked_config(
        f"magvit_{name}_{size}",
        size,
        data=dict(frames=16, height=pixels, width=pixels, batch_size=256),
        tasks=tasks,
        factors=1,
        dtype="float32",
        class_dropout=0.0,
        epochs=epochs[size],
        examples=videos,
    )

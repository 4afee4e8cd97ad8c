"""CLIPSIM: how near pictures are to a text, from CLIP's features of both (Wu et al. 2021). NumPy, float64."""

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.metrics.feature_statistics import finite


def clip_similarity(frames_NTF, texts_NF) -> np.ndarray:
    """Cosine of every frame's features with those of its clip's text, averaged over the clip's frames.

    Papers print it as it is (0.30) or times 100 (30.0); here it is as it is.

    Args:
      frames_NTF: image features [N, T, F] of any length above 0.
      texts_NF: features of the text of each clip.

    Returns:
      float64 [N], in [-1, 1].

    Raises:
      UserError: shapes that do not fit, NaN, or features of length 0.
    """
    frames_NTF, texts_NF = finite(frames_NTF, "frames"), finite(texts_NF, "texts")
    if frames_NTF.ndim != 3 or texts_NF.shape != (len(frames_NTF), frames_NTF.shape[-1]):
        raise UserError(
            f"clip similarity of features {list(frames_NTF.shape)} and {list(texts_NF.shape)}: "
            "expected [N, T, F] and [N, F]"
        )
    cosine_NT = np.einsum("ntf,nf->nt", _unit(frames_NTF, "frames"), _unit(texts_NF, "texts"))
    return cosine_NT.mean(axis=1)


def _unit(features, name: str) -> np.ndarray:
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    if not (length > 0).all():
        raise UserError(f"clip similarity: {name} with features of length 0; expected all above 0")
    return features / length

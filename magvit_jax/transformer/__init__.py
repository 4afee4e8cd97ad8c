"""Video transformers: the masked (BERT) one and its loss, and the autoregressive baseline."""

from magvit_jax.transformer.autoregressive import AutoregressiveTransformer
from magvit_jax.transformer.loss import PartWeights, commit_loss, token_cross_entropy
from magvit_jax.transformer.masked import MaskedTransformer

__all__ = [
    "AutoregressiveTransformer",
    "MaskedTransformer",
    "PartWeights",
    "commit_loss",
    "token_cross_entropy",
]

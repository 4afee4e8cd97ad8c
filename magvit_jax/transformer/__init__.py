"""Video transformers: the masked (BERT) one and its loss, the autoregressive baseline, and the prefix LM."""

from magvit_jax.transformer.autoregressive import AutoregressiveTransformer
from magvit_jax.transformer.loss import PartWeights, chunked_scores, commit_loss, token_cross_entropy
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.transformer.prefix_lm import PrefixLanguageModel

__all__ = [
    "AutoregressiveTransformer",
    "MaskedTransformer",
    "PartWeights",
    "PrefixLanguageModel",
    "chunked_scores",
    "commit_loss",
    "token_cross_entropy",
]

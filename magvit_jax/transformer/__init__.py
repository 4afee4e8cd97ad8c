"""Transformers: the masked (BERT) one and its loss, the autoregressive baseline, prefix LMs of video and of all."""

from magvit_jax.transformer.autoregressive import AutoregressiveTransformer
from magvit_jax.transformer.loss import PartWeights, chunked_scores, commit_loss, token_cross_entropy
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.transformer.prefix_lm import PrefixLanguageModel

__all__ = [
    "AutoregressiveTransformer",
    "MaskedTransformer",
    "MultimodalTransformer",
    "PartWeights",
    "PrefixLanguageModel",
    "chunked_scores",
    "commit_loss",
    "token_cross_entropy",
]

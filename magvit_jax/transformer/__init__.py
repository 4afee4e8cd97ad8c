"""Video transformers: the masked (BERT) one and its loss."""

from magvit_jax.transformer.loss import PartWeights, commit_loss, token_cross_entropy
from magvit_jax.transformer.masked import MaskedTransformer

__all__ = ["MaskedTransformer", "PartWeights", "commit_loss", "token_cross_entropy"]

"""The prefix language model of ch. 8 on the tokens of one tokenizer: condition tokens in front, loss on the output."""

import functools
from typing import Any

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.systems import autoregressive_video
from magvit_jax.systems.autoregressive_video import build_decoding
from magvit_jax.systems.generator_base import KIND, Drawn, GeneratorSystem
from magvit_jax.transformer.embedding import tied_logits
from magvit_jax.transformer.loss import chunked_scores
from magvit_jax.transformer.prefix_lm import PrefixLanguageModel
from magvit_jax.typing import Array, PRNGKey, PyTree

__all__ = ["KIND", "PrefixVideo", "build", "build_decoding", "build_transformer"]


class PrefixVideo(GeneratorSystem):
    """Next-token cross-entropy on the visual tokens of the output; the prefix has no loss (8.3.3).

    Args:
        chunk: tokens of a device whose logits are held at a time.
    """

    def __init__(self, *, label_smoothing: float, chunk: int, **fields: Any):
        super().__init__(**fields)
        if chunk < 1:
            raise UserError(f"loss.chunk: {chunk}; expected 1 or more tokens")
        self.label_smoothing, self.chunk = label_smoothing, chunk

    def loss(self, params: PyTree, drawn: Drawn, dropout: PRNGKey | None) -> tuple[Array, dict[str, Array]]:
        apply = functools.partial(self.transformer.apply, {"params": params})
        ids_BL = jnp.concatenate([drawn.prefix_B2, drawn.target_BN[:, :-1]], axis=1)
        parts = TokenParts.of(*drawn.target_BN.shape)
        condition = drawn.before(self.transformer.condition_length)
        x_BND, head_S = apply(ids_BL, parts, condition, method="hidden")
        logits = functools.partial(tied_logits, dtype=self.transformer.dtype)
        loss_BN, correct_BN = chunked_scores(
            logits, head_S, x_BND, drawn.target_BN, parts, self.label_smoothing, self.chunk
        )
        loss = jnp.mean(loss_BN)
        return loss, {"loss": loss, "accuracy": jnp.mean(correct_BN)}


build_transformer = functools.partial(autoregressive_video.build_transformer, network=PrefixLanguageModel)
build = functools.partial(
    autoregressive_video.build,
    system=PrefixVideo,
    network=PrefixLanguageModel,
    loss_fields=("label_smoothing", "chunk"),
)

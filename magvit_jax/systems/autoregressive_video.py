"""The autoregressive baseline of Tab. 6.9 on the same tokens: condition tokens in front, next-token cross-entropy."""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.systems import generator_config
from magvit_jax.systems.generator_base import KIND, Drawn, GeneratorSystem
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.grid import latent_grid
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.autoregressive import AutoregressiveTransformer
from magvit_jax.transformer.loss import accuracy, token_cross_entropy
from magvit_jax.typing import Array, PRNGKey, PyTree

__all__ = ["KIND", "AutoregressiveVideo", "build", "build_decoding", "build_transformer"]


class AutoregressiveVideo(GeneratorSystem):
    """Every visual token predicted from those before it, from the prompt, the class and the condition tokens.

    All tokens count the same, also those inside the condition region: they are generated too.
    """

    def __init__(self, *, label_smoothing: float, **fields: Any):
        super().__init__(**fields)
        self.label_smoothing = label_smoothing

    def loss(self, params: PyTree, drawn: Drawn, dropout: PRNGKey | None) -> tuple[Array, dict[str, Array]]:
        ids_BL = jnp.concatenate([drawn.prefix_B2, drawn.target_BN[:, :-1]], axis=1)
        logits_BNFV = self.transformer.apply(
            {"params": params},
            ids_BL,
            dropout is None,
            drawn.before(self.transformer.condition_length),
            rngs=None if dropout is None else {"dropout": dropout},
        )
        loss = jnp.mean(token_cross_entropy(logits_BNFV, drawn.target_BN, self.label_smoothing))
        return loss, {"loss": loss, "accuracy": jnp.mean(accuracy(logits_BNFV, drawn.target_BN))}


build_decoding = functools.partial(generator_config.build_decoding, kind=TokenwiseDecoding)


def build_transformer(
    model: ConfigDict,
    masking: ConfigDict,
    vocabulary: Vocabulary,
    mixture: TaskMixture,
    network: type[nn.Module] = AutoregressiveTransformer,
) -> nn.Module:
    """The transformer of a `config.model`, with slots for the condition tokens of any of the tasks."""
    if masking.method != "prefix":
        raise UserError(
            f"masking.method: {masking.method!r}; an autoregressive model takes conditions by 'prefix' only"
        )
    return generator_config.build_network(network, model, vocabulary, mixture, slots=True)


def build(
    config: ConfigDict,
    tokenizer: Tokenizer,
    num_classes: int,
    system: type[GeneratorSystem] = AutoregressiveVideo,
    network: type[nn.Module] = AutoregressiveTransformer,
    loss_fields: tuple[str, ...] = ("label_smoothing",),
) -> GeneratorSystem:
    """The system of a whole training config, on a trained tokenizer.

    `config.masking` has method="prefix" and class_dropout, and nothing else: nothing is masked. A task's decoding has
    the fields of `TokenwiseDecoding`.

    Args:
        system, network: also of other models that predict the next token.
        loss_fields: what `config.loss` has; arguments of `system`.
    """
    for group, expected in (("masking", {"method", "class_dropout"}), ("loss", set(loss_fields))):
        if unread := sorted(set(config[group]) - expected):
            raise UserError(
                f"config.{group}.{unread[0]}: an autoregressive model has no use for it; expected "
                f"{' and '.join(sorted(expected))} only"
            )
    grid = latent_grid(tokenizer.model, (config.data.frames, config.data.height, config.data.width))
    vocabulary = generator_config.build_vocabulary(config.tasks, tokenizer.model.codebook_size, num_classes)
    mixture = generator_config.build_mixture(config.tasks, grid)
    return system(
        transformer=build_transformer(config.model, config.masking, vocabulary, mixture, network),
        **{name: config.loss[name] for name in loss_fields},
        **generator_config.common_fields(config, tokenizer, vocabulary, mixture, build_decoding),
    )

"""MAGVIT's masked video transformer on a frozen tokenizer (thesis ch. 6, 5.3.2): COMMIT training on a task mixture."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.systems.generator_base import KIND, Drawn, GeneratorSystem
from magvit_jax.systems.generator_config import (
    build_decoding,
    build_mixture,
    build_network,
    build_vocabulary,
    common_fields,
)
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.grid import latent_grid
from magvit_jax.tokens.masking import METHODS, RATIO_PER, corrupt
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.schedules import check_schedule
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.loss import PartWeights, commit_loss
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree

__all__ = ["KIND", "MaskedVideo", "build", "build_decoding", "build_transformer"]

PREFIX = "prefix"


class MaskedVideo(GeneratorSystem):
    """Masked token modelling: inputs by Eq. 6.2, loss by Eq. 6.3 and 6.4, decoding by Algorithm 1.

    With the method "latent" (Tab. 6.8, MaskGIT) tokens of the condition region are never masked while it learns, and
    those of the padded clip are kept as they are when it generates. With "prefix", the table's other baseline, those of
    the padded clip stand before the sequence (`tokens.prefix`), and inside it there is only [MASK].
    """

    def __init__(
        self,
        *,
        method: str,
        mask_schedule: str,
        mask_ratio_per: str,
        part_weights: PartWeights,
        label_smoothing: float,
        **fields: Any,
    ):
        _check(method, mask_schedule, mask_ratio_per, part_weights)
        super().__init__(needs_condition=method != "latent", keeps_condition=method == "latent", **fields)
        self._before = method == PREFIX
        self.corrupt = functools.partial(
            corrupt,
            mask_id=self.vocabulary.mask_id,
            schedule=mask_schedule,
            ratio_per=mask_ratio_per,
            method="commit" if self._before else method,
        )
        self.token_loss = functools.partial(
            commit_loss, weights=part_weights, label_smoothing=label_smoothing
        )

    def loss(self, params: PyTree, drawn: Drawn, dropout: PRNGKey | None) -> tuple[Array, dict[str, Array]]:
        region_BN = jnp.zeros_like(drawn.region_BN) if self._before else drawn.region_BN
        corrupted = self.corrupt(drawn.keys_B, drawn.target_BN, drawn.condition_BN, region_BN)
        ids_BL = jnp.concatenate([drawn.prefix_B2, corrupted.ids_BN], axis=1)
        rngs = None if dropout is None else {"dropout": dropout}
        logits = self.transformer.apply(
            {"params": params}, ids_BL, dropout is None, drawn.before(self.transformer.condition_length), rngs=rngs
        )
        return self.token_loss(logits, drawn.target_BN, corrupted)


def _check(method: str, schedule: str, ratio_per: str, weights: PartWeights) -> None:
    if method not in (*METHODS, PREFIX):
        raise UserError(f"masking.method: {method!r}; expected one of {', '.join((*METHODS, PREFIX))}")
    if ratio_per not in RATIO_PER:
        raise UserError(f"masking.ratio_per: {ratio_per!r}; expected one of {', '.join(RATIO_PER)}")
    check_schedule(schedule)
    values = dataclasses.asdict(weights)
    if min(values.values()) < 0 or not any(values.values()):
        raise UserError(f"loss.part_weights: {values}; expected all 0 or more, and one above 0")
    if method == PREFIX and weights.refine:
        raise UserError(
            f"loss.part_weights: {values}; with masking.method 'prefix' no condition token is inside the clip to be "
            "refined, expected refine=0"
        )
    if method == "latent" and (weights.refine or weights.reconstruct):
        raise UserError(
            f"loss.part_weights: {values}; masking.method 'latent' is learned from masked tokens alone (Eq. 6.1), "
            "expected refine=0 and reconstruct=0"
        )


def build_transformer(
    model: ConfigDict, masking: ConfigDict, vocabulary: Vocabulary, mixture: TaskMixture
) -> MaskedTransformer:
    """The transformer of a `config.model`, with slots for condition tokens where `config.masking` puts them before."""
    return build_network(MaskedTransformer, model, vocabulary, mixture, slots=masking.method == PREFIX)


def build(config: ConfigDict, tokenizer: Tokenizer, num_classes: int) -> MaskedVideo:
    """The system of a whole training config, on a trained tokenizer."""
    grid = latent_grid(tokenizer.model, (config.data.frames, config.data.height, config.data.width))
    vocabulary = build_vocabulary(config.tasks, tokenizer.model.codebook_size, num_classes)
    mixture = build_mixture(config.tasks, grid)
    return MaskedVideo(
        transformer=build_transformer(config.model, config.masking, vocabulary, mixture),
        method=config.masking.method,
        mask_schedule=config.masking.schedule,
        mask_ratio_per=config.masking.ratio_per,
        part_weights=PartWeights(**config.loss.part_weights),
        label_smoothing=config.loss.label_smoothing,
        **common_fields(config, tokenizer, vocabulary, mixture, build_decoding),
    )

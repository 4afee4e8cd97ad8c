"""What every generator system reads from a config in the same way: tasks, prompts, decoding, the network's fields."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.generation.settings import Decoding
from magvit_jax.systems.video_tokenizer import DTYPES
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.prefix import condition_length
from magvit_jax.tokens.tasks import build_task
from magvit_jax.tokens.vocabulary import PREFIX_LENGTH, Vocabulary
from magvit_jax.training.optimizers import make_optimizer
from magvit_jax.transformer.base import TokenTransformer


def active_tasks(config: ConfigDict) -> tuple[str, ...]:
    """Names of the tasks of a `config.tasks` that are trained, in alphabetical order. A weight of 0 leaves a task out.

    Raises:
        UserError: a weight below 0, or none above it.
    """
    for name in config:
        if not config[name].weight >= 0:
            raise UserError(f"tasks.{name}.weight is {config[name].weight}; expected 0 (left out) or more")
    names = tuple(sorted(name for name in config if config[name].weight > 0))
    if not names:
        raise UserError(
            f"tasks: none of {', '.join(sorted(config)) or 'none'} has a weight above 0; expected one"
        )
    return names


def build_vocabulary(config: ConfigDict, codes: int, num_classes: int) -> Vocabulary:
    """Of a `config.tasks`; every active task has its own prompt.

    Args:
        codes: size of the tokenizer's codebook.
    """
    return Vocabulary(codes=codes, num_classes=num_classes, tasks=active_tasks(config))


def build_mixture(config: ConfigDict, grid: LatentGrid) -> TaskMixture:
    """The active tasks of a `config.tasks`: {name: {weight, settings, decoding}}."""
    names = active_tasks(config)
    tasks = tuple(build_task(name, config[name].settings.to_dict()) for name in names)
    return TaskMixture(tasks=tasks, weights=tuple(config[name].weight for name in names), grid=grid)


def build_decoding(config: ConfigDict, kind: type = Decoding) -> dict[str, Any]:
    """How each active task of a `config.tasks` is decoded: settings of one type.

    Raises:
        UserError: settings that are not the type's.
    """
    expected = {field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING}
    for name in active_tasks(config):
        found = set(config[name].decoding)
        wrong = sorted((found - {field.name for field in dataclasses.fields(kind)}) | (expected - found))
        if wrong:
            raise UserError(
                f"tasks.{name}.decoding: {', '.join(wrong)} wrong or missing; expected {', '.join(sorted(expected))}"
            )
    return {name: kind(**config[name].decoding) for name in active_tasks(config)}


def build_network(
    network: type[TokenTransformer], config: ConfigDict, vocabulary: Vocabulary, mixture: TaskMixture, *, slots: bool
) -> TokenTransformer:
    """A transformer of the fields of a `config.model`; with `slots`, for the condition tokens of any of the tasks."""
    if config.dtype not in DTYPES:
        raise UserError(f"model.dtype: {config.dtype!r}; expected one of {', '.join(DTYPES)}")
    fields = {name: config[name] for name in config if name != "dtype"}
    return network(
        codes=vocabulary.codes,
        num_special=vocabulary.num_special,
        max_length=PREFIX_LENGTH + mixture.grid.num_tokens,
        condition_length=condition_length(mixture) if slots else 0,
        dtype=DTYPES[config.dtype],
        **fields,
    )


def common_fields(
    config: ConfigDict,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    mixture: TaskMixture,
    build_decoding: Callable[[ConfigDict], Mapping[str, Any]],
) -> dict[str, Any]:
    """The arguments of `GeneratorSystem` that every system takes from its config in the same way: all but the
    transformer and `needs_condition`. `build_decoding` reads how tasks are decoded."""
    return dict(
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        mixture=mixture,
        class_dropout=config.masking.class_dropout,
        decoding=build_decoding(config.tasks),
        optimizer=make_optimizer(config.optimizer, config.training.steps),
        ema_decay=config.training.ema_decay,
        seed=config.seed,
        from_ids=config.data.source == "token_shards",
    )

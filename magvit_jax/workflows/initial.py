"""What a new run starts from: the parameters of another model, inflated where that was an image model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from magvit_jax import bundles, systems
from magvit_jax.errors import UserError
from magvit_jax.systems import multimodal_lm
from magvit_jax.tokenizer.inflation import inflate
from magvit_jax.training.loading import load_state
from magvit_jax.training.workdir import CHECKPOINTS, load_config
from magvit_jax.typing import PyTree

NO_INFLATION = ConfigDict(dict(method="", discriminator=False))  # of configs that have no such group


def initial_params(config: ConfigDict, system: Any, extra: Mapping[str, Any] | None = None) -> dict[str, PyTree]:
    """Arguments of `system.warm_start` besides the state; none where the run starts from scratch.

    Reads `config.init_from`, a bundle or a workdir whose moving average is taken, and the group
    `config.inflation`:

      method: one of `tokenizer.inflation.METHODS`, or "" for a model of the same shapes.
      discriminator: whether the discriminator starts from the image model's too. Bundles hold none: then
        `init_from` has to be the workdir of its training.

    Args:
      extra: what the new run keeps beside its config: of a multimodal model "text_network", whose embeddings it reads.

    Raises:
      UserError: parameters that do not fit, another meaning of tokens or texts, or an inflation of nothing.
    """
    inflation = config.get("inflation", NO_INFLATION)
    if not config.init_from:
        if inflation.method:
            raise UserError(
                f"config.inflation.method: {inflation.method!r} without config.init_from; expected an image "
                "tokenizer there, or an empty method to start from scratch"
            )
        return {}
    name = f"config.init_from: {config.init_from}"
    bundle = bundles.read(config.init_from)
    if bundle.kind != system.kind:
        raise UserError(f"{name} holds a {bundle.kind}; expected a {system.kind}")
    if bundle.kind == multimodal_lm.KIND:
        _require_same_tokenizers(bundle, system, name)
        _require_same_meaning(bundle.config, config, extra or {}, name)
    params = bundle.params if bundle.kind == "tokenizer" else bundle.params["transformer"]
    if not inflation.method:
        bundles.require_same_params(params, system.abstract_params(), str(config.init_from))
        return dict(params=params)
    start = {}
    if inflation.discriminator and hasattr(system, "adversary"):
        start["discriminator"] = inflate(
            _discriminator_of(Path(config.init_from)),
            system.abstract_discriminator_params(),
            inflation.method,
            f"{name}, discriminator",
        )
    return dict(params=inflate(params, system.abstract_params(), inflation.method, name), **start)


def _require_same_tokenizers(bundle: bundles.Bundle, system: Any, name: str) -> None:
    """UserError unless the tokens are those that the model was trained on."""
    models = {bundles.WORKDIR_TOKENIZER: system.rows.tokenizer, bundles.SOUND_TOKENIZER: system.rows.sound}
    for field, model in models.items():
        known = bundle.config[field]["fingerprint"] if field in bundle.config else None
        found = None if model is None else model.fingerprint
        if found != known:
            raise UserError(f"{name} was trained with {field} {known} (a fingerprint); config.{field} is {found}")


def _require_same_meaning(
    known: Mapping[str, Any], config: ConfigDict, extra: Mapping[str, Any], name: str
) -> None:
    """UserError unless sources, sizes and texts mean what they meant in training; new names may follow the old."""
    for field, members in known["vocabulary"].items():
        old, new = (_plain(values) for values in (members, config.vocabulary[field]))
        if new[: len(old)] != old:
            raise UserError(f"{name} was trained with vocabulary.{field} {old}; expected these first, found {new}")
    old, new = (where.get("text_network") for where in (known["text"], extra))
    if old != new:
        raise UserError(f"{name} was trained on texts embedded by {old}; those of config.text.t5 are by {new}")


def _plain(values: Any) -> list:
    return [list(value) if isinstance(value, list | tuple) else value for value in values]


def _discriminator_of(workdir: Path) -> PyTree:
    """The discriminator's parameters at the newest checkpoint of a run."""
    expected = "expected the workdir of adversarial training, or config.inflation.discriminator=False"
    if not (workdir / CHECKPOINTS).is_dir():
        raise UserError(f"config.init_from: {workdir} is a bundle, which holds no discriminator; {expected}")
    system = systems.build(load_config(workdir))
    if not hasattr(system, "adversary"):
        raise UserError(f"config.init_from: {workdir} was trained without a discriminator; {expected}")
    return load_state(workdir, system).system.discriminator.eval_params

"""The tokenizers of thesis ch. 3 and 5, trained with or without an adversary (3.3.1, 5.4.1).

Reads every group of a config that says what a tokenizer is and how it learns; the systems are in `plain_tokenizer` and
`adversarial_tokenizer`. Shared by all experiments in `configs/magvit/`, `configs/magvit2/` and `configs/quickstart/`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from magvit_jax.errors import UserError
from magvit_jax.systems.adversarial_tokenizer import AdversarialTokenizer
from magvit_jax.systems.adversary import Adversary
from magvit_jax.systems.perceptual import Perceptual
from magvit_jax.systems.plain_tokenizer import KIND, VideoTokenizer
from magvit_jax.systems.tokenizer_loss import LossWeights, TokenizerLoss
from magvit_jax.tokenizer.cvivit import CViViT
from magvit_jax.tokenizer.cvivit_cnn import CViViTMagvit
from magvit_jax.tokenizer.discriminator import Discriminator
from magvit_jax.tokenizer.magvit import Magvit
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import QUANTIZERS, Quantizer
from magvit_jax.training.optimizers import make_optimizer

__all__ = ["ARCHITECTURES", "DTYPES", "KIND", "build", "build_model", "build_quantizer"]

#: Tokenizers by the name that a config's `model.architecture` gives.
ARCHITECTURES: Mapping[str, type[TokenizerModel]] = {
    "magvit": Magvit,
    "magvit2": MagvitV2,
    "cvivit": CViViT,
    "cvivit_magvit": CViViTMagvit,
}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_model(config: ConfigDict) -> TokenizerModel:
    """The tokenizer of a `config.model`."""
    if config.dtype not in DTYPES:
        raise UserError(f"model.dtype: {config.dtype!r}; expected one of {', '.join(DTYPES)}")
    architecture = _named(ARCHITECTURES, config.get("architecture"), "model.architecture")
    fields = {name: config[name] for name in config if name not in ("architecture", "dtype", "quantizer")}
    return architecture(**fields, quantizer=build_quantizer(config.quantizer), dtype=DTYPES[config.dtype])


def build_quantizer(config: ConfigDict) -> Quantizer:
    """The quantizer of a `config.model.quantizer`."""
    quantizer = _named(QUANTIZERS, config.get("name"), "model.quantizer.name")
    return quantizer(**{field: config[field] for field in config if field != "name"})


def _named(table: Mapping[str, Any], name: str | None, key: str) -> Any:
    if name not in table:
        raise UserError(f"{key}: {name!r}; expected one of {', '.join(table)}")
    return table[name]


def build_adversary(config: ConfigDict) -> Adversary:
    """The other player of a whole training config whose `adversarial.weight` is above 0."""
    fields = {name: config.adversarial[name] for name in config.adversarial if name != "optimizer"}
    network = {name: config.discriminator[name] for name in config.discriminator if name != "dtype"}
    return Adversary(
        discriminator=Discriminator(
            **network, dtype=_named(DTYPES, config.discriminator.dtype, "discriminator.dtype")
        ),
        optimizer=make_optimizer(config.adversarial.optimizer, config.training.steps),
        **fields,
    )


def build(config: ConfigDict) -> VideoTokenizer:
    """The system of a whole training config; with an adversary where `adversarial.weight` is not 0."""
    perceptual = Perceptual(config.perceptual.weight, config.perceptual.network, config.perceptual.path)
    fields = dict(
        model=build_model(config.model),
        loss=TokenizerLoss(LossWeights(**config.loss), perceptual),
        optimizer=make_optimizer(config.optimizer, config.training.steps),
        ema_decay=config.training.ema_decay,
        clip_shape=(config.data.frames, config.data.height, config.data.width),
        batch_size=config.data.batch_size // config.training.microbatches,
    )
    if not config.adversarial.weight:
        return VideoTokenizer(**fields)
    return AdversarialTokenizer(adversary=build_adversary(config), **fields)

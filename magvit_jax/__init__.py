"""magvit_jax: visual tokenizers and generative video transformers in JAX.

The public surface, loaded when first used:

    load_tokenizer(path), load_generator(path)   trained models, from a bundle or a training workdir
    load_sound_tokenizer(path)                   a trained tokenizer of sound, likewise
    ops, metrics                                 kernels and formulas
    UserError                                    what a user's mistake raises
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from magvit_jax import metrics, ops
    from magvit_jax.bundles import load_generator, load_sound_tokenizer, load_tokenizer
    from magvit_jax.errors import UserError

_HOMES = {
    "load_tokenizer": "magvit_jax.bundles",
    "load_generator": "magvit_jax.bundles",
    "load_sound_tokenizer": "magvit_jax.bundles",
    "UserError": "magvit_jax.errors",
    "ops": "",
    "metrics": "",
}

__all__ = ["UserError", "load_generator", "load_sound_tokenizer", "load_tokenizer", "metrics", "ops"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    return (
        getattr(importlib.import_module(home), name)
        if home
        else importlib.import_module(f"{__name__}.{name}")
    )

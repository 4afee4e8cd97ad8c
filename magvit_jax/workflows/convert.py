"""Checkpoints of other people's tokenizers as bundles."""

import dataclasses
import os
from collections.abc import Mapping
from types import ModuleType

from magvit_jax import bundles
from magvit_jax.converters import open_magvit2
from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.converters.open_magvit2 import Converted
from magvit_jax.errors import UserError

#: By the name that --source gives; each has `from_tensors`.
SOURCES: Mapping[str, ModuleType] = {"open-magvit2": open_magvit2}


def convert(
    source: str, checkpoint: str | os.PathLike, output: str | os.PathLike, weights: str | None = None
) -> tuple[bundles.Bundle, Converted]:
    """Writes the tokenizer of a checkpoint as a bundle, which `load_tokenizer` reads.

    Args:
      source: whose checkpoint it is: "open-magvit2".
      checkpoint: .ckpt, .pt, .pth (with the extra `torch`) or .safetensors.
      output: folder of the bundle.
      weights: "ema" or "raw"; by default the moving average where the checkpoint has one.

    Returns:
      The bundle, and what was found in the checkpoint.

    Raises:
      UserError: an unreadable or unsafe file, or one that is no such checkpoint: it names the first key that does
        not fit.
    """
    if source not in SOURCES:
        raise UserError(f"source {source!r} is unknown; expected one of {', '.join(SOURCES)}")
    converted = SOURCES[source].from_tensors(read_tensors(checkpoint), os.fspath(checkpoint), weights)
    described = {
        "format_version": bundles.FORMAT_VERSION,
        "kind": "tokenizer",
        "name": source,
        "step": 0,  # of training here: none
        "model": converted.model,
        "clip": dataclasses.asdict(converted.clip),
        "class_names": [],
    }
    described["fingerprint"] = bundles.fingerprint(described, converted.params)
    bundle = bundles.Bundle(described, converted.params)
    bundles.write(bundle, output)
    return bundle, converted

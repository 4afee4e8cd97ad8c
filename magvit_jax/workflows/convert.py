"""Checkpoints of other people's tokenizers as bundles."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from magvit_jax import bundles
from magvit_jax.converters import dac, open_magvit2
from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.errors import UserError

SOURCES = ("open-magvit2", "dac")


def convert(
    source: str, checkpoint: str | os.PathLike, output: str | os.PathLike, weights: str | None = None
) -> tuple[bundles.Bundle, open_magvit2.Converted | dac.Converted]:
    """Writes the tokenizer of a checkpoint as a bundle, which `load_tokenizer` or `load_sound_tokenizer` reads.

    Args:
      source: whose checkpoint it is: "open-magvit2", or "dac", the Descript audio codec at 16 kHz.
      checkpoint: .ckpt, .pt, .pth (with the extra `torch`) or .safetensors.
      output: folder of the bundle.
      weights: "ema" or "raw", of open-magvit2; by default the moving average where the checkpoint has one.

    Returns:
      The bundle, and what was found in the checkpoint.

    Raises:
      UserError: an unreadable or unsafe file, or one that is no such checkpoint: it names the first key that does
        not fit.
    """
    if source not in SOURCES:
        raise UserError(f"source {source!r} is unknown; expected one of {', '.join(SOURCES)}")
    read = _dac if source == "dac" else _open_magvit2
    converted, particular = read(checkpoint, weights)
    described = {
        "format_version": bundles.FORMAT_VERSION,
        "name": source,
        "step": 0,  # of training here: none
        "model": converted.model,
        "class_names": [],
        **particular,
    }
    described["fingerprint"] = bundles.fingerprint(described, converted.params)
    bundle = bundles.Bundle(described, converted.params)
    bundles.write(bundle, output)
    return bundle, converted


def _open_magvit2(
    checkpoint: str | os.PathLike, weights: str | None
) -> tuple[open_magvit2.Converted, dict[str, Any]]:
    converted = open_magvit2.from_tensors(read_tensors(checkpoint), os.fspath(checkpoint), weights)
    return converted, {"kind": "tokenizer", "clip": dataclasses.asdict(converted.clip)}


def _dac(checkpoint: str | os.PathLike, weights: str | None) -> tuple[dac.Converted, dict[str, Any]]:
    if weights is not None:
        raise UserError(f"weights: {weights!r}; the codec's checkpoint has only one set, leave it out")
    if not Path(checkpoint).is_file():
        raise UserError(f"{checkpoint}: no such file; expected the codec's {dac.FILE}, to be had from {dac.URL}")
    converted = dac.from_tensors(read_tensors(checkpoint), os.fspath(checkpoint))
    return converted, {"kind": bundles.SOUND_TOKENIZER, "codec": "dac", "sample_rate": dac.SAMPLE_RATE}

"""Trained models as files for others: bundles, or weights under the names of a public PyTorch model."""

import os
from pathlib import Path

from ml_collections import ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import save_file

from magvit_jax import bundles
from magvit_jax.converters import open_magvit2
from magvit_jax.converters.checkpoint import SAFETENSORS_SUFFIX
from magvit_jax.errors import UserError
from magvit_jax.media.atomic import replacing
from magvit_jax.systems import video_tokenizer

FORMATS = ("bundle", "torch-safetensors")


def export(workdir: str | os.PathLike, output: str | os.PathLike, format: str = "bundle") -> bundles.Bundle:
    """Writes the model of a training workdir, or of a bundle.

    Args:
      workdir: folder of the run or bundle; the moving average is taken where one is kept.
      output: "bundle": a folder. "torch-safetensors": a file that ends in .safetensors, with a MAGVIT-v2
        tokenizer's weights under Open-MAGVIT2's keys and in PyTorch's layout.
      format: one of `FORMATS`.

    Raises:
      UserError: nothing to export, a model that the format cannot hold (it names the field), or an output that
        cannot be written.
    """
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown; expected one of {', '.join(FORMATS)}")
    is_bundle = (Path(workdir) / bundles.PARAMS).is_file()
    bundle = bundles.read(workdir) if is_bundle else bundles.from_workdir(workdir)
    if format == "bundle":
        bundles.write(bundle, output)
    else:
        _write_torch_safetensors(bundle, workdir, Path(output))
    return bundle


def _write_torch_safetensors(bundle: bundles.Bundle, workdir: str | os.PathLike, output: Path) -> None:
    if bundle.kind != "tokenizer":
        raise UserError(f"{workdir}: holds a {bundle.kind}; torch-safetensors takes a tokenizer")
    if output.suffix != SAFETENSORS_SUFFIX:
        raise UserError(
            f"{output}: torch-safetensors is one file; its name has to end in {SAFETENSORS_SUFFIX}"
        )
    model = video_tokenizer.build_model(ConfigDict(bundle.config["model"]))
    try:
        tensors = open_magvit2.to_tensors(model, bundle.params)
    except UserError as error:
        raise UserError(f"{workdir}: {error}") from error
    try:
        with replacing(output) as partial:
            save_file(tensors, partial, metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{output}: cannot be written: {getattr(error, 'strerror', None) or error}"
        ) from error

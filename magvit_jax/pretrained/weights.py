"""Bundles of frozen networks: where they are, and reading and writing them.

A bundle is one .safetensors file in the folder of weights. Its header names the network and holds a
fingerprint of its arrays, so that another network's file and a damaged one are refused.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from magvit_jax.errors import UserError
from magvit_jax.pretrained.row import Network

#: The environment variable that names the folder of weights where no argument does.
ENVIRONMENT = "MAGVIT_WEIGHTS"
FORMAT_VERSION = "1"
#: The array, uint8, that holds the vocabulary file of a network that reads.
VOCABULARY = "vocabulary"


class MissingWeights(UserError):
    """A network's bundle is not there. Who measures can catch it, pass the line on and measure the rest."""


def find(network: Network, weights_dir: str | os.PathLike | None = None) -> Path:
    """The network's bundle.

    Args:
      weights_dir: the folder of weights; `MAGVIT_WEIGHTS` by default.

    Raises:
      MissingWeights: it is not there. The line names the file, its place, and the command that makes it.
    """
    folder = weights_dir or os.environ.get(ENVIRONMENT)
    where = f"in {folder}" if folder else f"in a folder given by --weights-dir or {ENVIRONMENT}"
    if folder and (path := Path(folder) / network.file).is_file():
        return path
    files = " and ".join(source.name for source in network.sources)
    command = network.command(os.fspath(folder)) if folder else network.command()
    raise MissingWeights(
        f"{network.name}: no weights; expected {network.file} {where}, which "
        f"`{command}` makes from {files} (docs/pretrained.md)"
    )


def read(path: str | os.PathLike, network: Network) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by path ("Mixed_3b/b0/conv3d/kernel") and the fingerprint of a bundle.

    Raises:
      UserError: not readable, another network's or version's bundle, or changed since it was written.
    """
    try:
        with safe_open(path, "numpy") as opened:
            header = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not readable as weights of {network.name}: {error}") from error
    expected = {"network": network.name, "format_version": FORMAT_VERSION}
    for key, value in expected.items():
        if header.get(key) != value:
            raise UserError(f"{path}: its {key} is {header.get(key)!r}; expected {value!r}")
    found = fingerprint(arrays)
    if header.get("fingerprint") != found:
        raise UserError(
            f"{path}: damaged: the fingerprint of its arrays is {found}; expected {header.get('fingerprint')}"
        )
    return arrays, found


def write(arrays: Mapping[str, np.ndarray], network: Network, folder: str | os.PathLike) -> tuple[Path, str]:
    """Writes a bundle into the folder of weights, whole or not at all; its path and fingerprint.

    Raises:
      UserError: the folder cannot be written.
    """
    path = Path(folder) / network.file
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    mark = fingerprint(arrays)
    header = {"network": network.name, "format_version": FORMAT_VERSION, "fingerprint": mark}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, partial, header)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return path, mark


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """16 hexadecimal digits of a SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]

"""Reading the published files of a row, and writing its bundle."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.errors import UserError
from magvit_jax.pretrained.row import Network, SourceFile

_CHUNK = 1 << 20
#: Endings of vocabularies: such a file is taken as one array of its bytes, `content`.
VOCABULARIES = (".txt", ".model")
_CONTENT = "content"


class Source(NamedTuple):
    """A published file's tensors by key, and its name for errors."""

    tensors: Mapping[str, Any]
    name: str


def locate(row: Network, checkpoint: str | os.PathLike) -> list[Path]:
    """The published files of a row, in its order.

    Args:
      checkpoint: the file, under any name, where there is one; or the folder that holds them by their names.

    Raises:
      UserError: a file is missing.
    """
    checkpoint = Path(checkpoint)
    names = [source.name for source in row.sources]
    if checkpoint.is_dir():
        paths = [checkpoint / name for name in names]
    elif len(names) == 1:
        paths = [checkpoint]
    else:
        raise UserError(f"{checkpoint}: not a folder; expected the folder that holds {' and '.join(names)}")
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected the published weights of {row.title}")
    return paths


def read(row: Network, checkpoint: str | os.PathLike) -> list[Source]:
    """The tensors of a row's published files.

    Raises:
      UserError: a file is missing or damaged, or is not the published one.
    """
    paths = locate(row, checkpoint)
    for source, path in zip(row.sources, paths, strict=True):
        require_published(source, path)
    return [_read(path) for path in paths]


def _read(path: Path) -> Source:
    if path.suffix in VOCABULARIES:
        return vocabulary(path.read_bytes(), os.fspath(path))
    return Source(read_tensors(path), os.fspath(path))


def vocabulary(content: bytes, name: str) -> Source:
    """A vocabulary file as a source of one array."""
    return Source({_CONTENT: np.frombuffer(content, np.uint8)}, name)


def content(source: Source) -> np.ndarray:
    """The bytes of a vocabulary file, uint8."""
    return source.tensors[_CONTENT]


def require_published(source: SourceFile, path: Path) -> None:
    """UserError where the publisher gave a SHA-256 and the file's is another."""
    if not source.sha256:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if not found.startswith(source.sha256):
        raise UserError(
            f"{path}: its SHA-256 is {found[: len(source.sha256)]}; expected {source.sha256} of {source.name}"
        )

"""Embeddings of texts that were computed once: what `magvit embed-text` writes and training reads.

    index.json              what they were made with
    text-00000.safetensors  by the SHA-256 of a text in UTF-8: float16 [n, E], n the text's tokens with its end mark
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from magvit_jax.errors import UserError

INDEX = "index.json"
FORMAT_VERSION = 1
TEXTS = 4096  # of a shard


def text_key(text: str) -> str:
    """The name of a text's embedding: 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class TextShards:
    """The embeddings in a folder.

    Attributes:
      facts: what the writer said of them, such as "network", "fingerprint" and "width".
    """

    def __init__(self, folder: str | os.PathLike):
        """UserError where there is no index, or a shard that cannot be read."""
        self.folder = Path(folder)
        self.facts = _read_index(self.folder)
        self._shard_of, self._counts = {}, {}
        for path in sorted(self.folder.glob("text-*.safetensors")):
            counts = _counts(path)
            self._counts |= counts
            self._shard_of |= dict.fromkeys(counts, path)
        self._open: dict[Path, Any] = {}

    def __getstate__(self):
        return self.__dict__ | {"_open": {}}

    def __len__(self) -> int:
        return len(self._shard_of)

    def __contains__(self, text: str) -> bool:
        return text_key(text) in self._shard_of

    def __getitem__(self, text: str) -> np.ndarray:
        """Float32 [n, E]. UserError for a text that is not there."""
        self.require([text])
        key = text_key(text)
        path = self._shard_of[key]
        if path not in self._open:
            self._open[path] = safe_open(path, "numpy")
        return self._open[path].get_tensor(key).astype(np.float32)

    def count(self, text: str) -> int:
        """n of a text that is there; its embedding is not read."""
        return self._counts[text_key(text)]

    def require(self, texts: Sequence[str]) -> None:
        """UserError naming the first of the texts that is not there, and the command that makes it."""
        absent = [text for text in texts if text not in self]
        if absent:
            others = f" and of {len(absent) - 1} other texts" if len(absent) > 1 else ""
            raise UserError(
                f"{self.folder}: no embedding of {absent[0]!r}{others}; `magvit embed-text --captions=FILE "
                f"--weights-dir=WEIGHTS --output={self.folder}` adds those of FILE, captions.jsonl or one text a line"
            )


def write_shards(
    folder: str | os.PathLike, embeddings: Iterable[tuple[str, np.ndarray]], facts: Mapping[str, Any]
) -> int:
    """Adds embeddings to a folder, made if absent; how many were written. A shard is there whole or not at all.

    Args:
      embeddings: (text, float [n, E]) of each.
      facts: JSON values; those of a folder that is there already must be the same.

    Raises:
      UserError: a folder of other embeddings, one that cannot be written, or numbers beyond float16.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, dict(facts))
        written, shard = 0, {}
        for text, embedding_NE in embeddings:
            with np.errstate(over="ignore"):
                half_NE = np.asarray(embedding_NE).astype(np.float16)
            if not np.isfinite(half_NE).all():
                raise UserError(f"embedding of {text!r} is not finite in float16; expected finite numbers")
            shard[text_key(text)] = np.ascontiguousarray(half_NE)
            if len(shard) == TEXTS:
                written, shard = written + _save(folder, shard), {}
        return written + (_save(folder, shard) if shard else 0)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder}: cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _save(folder: Path, shard: dict[str, np.ndarray]) -> int:
    number = 0
    while (path := folder / f"text-{number:05d}.safetensors").exists():
        number += 1
    partial = path.with_name(f".{path.name}.partial")
    save_file(shard, partial)
    partial.replace(path)
    return len(shard)


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    path = folder / INDEX
    if path.exists():
        there = _read_index(folder)
        for name in sorted(set(there) | set(facts)):
            if there.get(name) != facts.get(name):
                raise UserError(f"{folder} has embeddings of {name} {there.get(name)!r}; expected {facts.get(name)!r}")
        return
    partial = path.with_name(f".{INDEX}.partial")
    partial.write_text(json.dumps({"format_version": FORMAT_VERSION, "facts": facts}, indent=1) + "\n")
    partial.replace(path)


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    if not path.is_file():
        raise UserError(
            f"{path} does not exist: expected a folder of text embeddings, which `magvit embed-text --captions=FILE "
            f"--weights-dir=WEIGHTS --output={folder}` makes"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version, facts = record["format_version"], dict(record["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not readable as an index of text embeddings: {error!r}") from error
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: format version {version!r}; expected {FORMAT_VERSION}")
    return facts


def _counts(path: Path) -> dict[str, int]:
    """Tokens of each text of a shard, by its key."""
    try:
        with safe_open(path, "numpy") as opened:
            return {key: opened.get_slice(key).get_shape()[0] for key in opened.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not readable as text embeddings: {error}") from error

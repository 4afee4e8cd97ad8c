"""The texts of files: from their labels by templates, or out of a file captions.jsonl beside them."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from magvit_jax.data.files import Entry
from magvit_jax.errors import UserError

CAPTIONS = ("labels", "file", "none")
CAPTION_FILE = "captions.jsonl"
LABEL = "{label}"

_log = logging.getLogger(__name__)


def spoken(label: str) -> str:
    """A label as words: "move_right" and "move-right" are "move right"."""
    return " ".join(label.replace("_", " ").replace("-", " ").split())


def fill(templates: Sequence[str], where: str, **values: str) -> tuple[str, ...]:
    """Every template with its placeholders filled in.

    Args:
      where: the config's field, for messages.
      values: what the placeholders may be.

    Raises:
      UserError: no template, or an unknown placeholder.
    """
    if not templates:
        raise UserError(f"{where} is empty: expected one or more texts, such as {LABEL}")
    try:
        return tuple(template.format(**values) for template in templates)
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join("{" + name + "}" for name in values)
        raise UserError(f"{where}: {list(templates)} with {error}: expected no placeholder but {known}") from error


def of_entries(
    root: str, entries: Iterable[Entry], captions: str, templates: Sequence[str], field: str
) -> dict[str, tuple[str, ...]]:
    """The texts of each file, by its path; none for a file that has none.

    Args:
      captions: "labels", "file" for `CAPTION_FILE` in the folder `root`, or "none".
      templates: of "labels", with {label} where the label's words go.
      field: the config's group, for messages ("data").

    Raises:
      UserError: an unknown choice, templates that are none, or a bad file of captions.
    """
    entries = list(entries)
    if captions not in CAPTIONS:
        raise UserError(f"{field}.captions is {captions!r}: expected one of {', '.join(CAPTIONS)}")
    if captions == "labels":
        return {e.path: fill(templates, f"{field}.templates", label=spoken(e.label)) for e in entries}
    if templates:
        raise UserError(f"{field}.templates are given, but {field}.captions is {captions!r}: expected 'labels'")
    if captions == "none":
        return {entry.path: () for entry in entries}
    written = read_captions(Path(root) / CAPTION_FILE)
    without = [entry.relative for entry in entries if entry.relative not in written]
    if without:
        _log.warning("%s: %d of %d files have no caption, such as %s", root, len(without), len(entries), without[0])
    return {entry.path: written.get(entry.relative, ()) for entry in entries}


def read_captions(path: str | os.PathLike) -> dict[str, tuple[str, ...]]:
    """Texts by file, of lines {"file": path below the folder, "text": caption}; a file may have several lines.

    Raises:
      UserError: no such file, or the first line that is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f'{path} does not exist: expected lines {{"file": path below the folder, "text": its caption}}'
        )
    texts: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            file, text = _line(path, number, line)
            texts.setdefault(file, []).append(text)
    if not texts:
        raise UserError(f"{path} is empty: expected one or more captions")
    return {file: tuple(found) for file, found in texts.items()}


def _line(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(f"{path}, line {number}: no JSON ({error})") from error
    values = (record.get("file"), record.get("text")) if isinstance(record, Mapping) else (None, None)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise UserError(f'{path}, line {number}: {line.strip()[:60]!r}: expected {{"file": ..., "text": ...}}')
    file, text = values
    if not (path.parent / file).is_file():
        raise UserError(f"{path}, line {number}: {file!r} is not in {path.parent}")
    return Path(file).as_posix(), " ".join(text.split())


def draw(texts: Sequence[str], rng: np.random.Generator, train: bool) -> str:
    """One of a file's texts: any in training, else the first; "" where there is none."""
    if not texts:
        return ""
    return texts[int(rng.integers(len(texts)))] if train else texts[0]

"""Where the data of the tables is, and how a TOML file of it is read: every key known, every mistake one line."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import magvit_jax
from magvit_jax.errors import UserError


def folder() -> Path:
    """`experiments/`: within an installed package, or beside it in a checkout."""
    package = Path(magvit_jax.__file__).parent
    installed = package / "experiments" / "thesis"
    return installed if installed.is_dir() else package.parent / "experiments"


def read(path: Path) -> dict[str, Any]:
    """The file's content. UserError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no valid TOML: {error}") from error


def build(kind: type, fields: Mapping[str, Any], where: str) -> Any:
    """A frozen dataclass from a TOML table; lists become tuples.

    Raises:
      UserError: keys that it does not have, or that are missing, naming them and `where`.
    """
    known = {field.name: field for field in dataclasses.fields(kind)}
    missing = [
        name
        for name, field in known.items()
        if name not in fields
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    unknown = sorted(set(fields) - set(known))
    if unknown or missing:
        said = [f"unknown key {', '.join(unknown)}"] * bool(unknown)
        said += [f"missing key {', '.join(missing)}"] * bool(missing)
        raise UserError(f"{where}: {' and '.join(said)}; keys are {', '.join(known)}")
    return kind(**{name: frozen(value) for name, value in fields.items()})


def frozen(value: Any) -> Any:
    """Lists as tuples, however deep."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value

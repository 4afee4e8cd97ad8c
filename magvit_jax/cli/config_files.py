"""Config files by name: shipped ones, their variants, and overrides from the command line."""

import importlib.util
import inspect
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from absl import flags as absl_flags
from ml_collections import ConfigDict, config_flags

import magvit_jax
from magvit_jax.errors import UserError

_PACKAGE = "_magvit_configs"  # of the config file that is being read, and of those beside it


def load_config(name: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config of a file, or of a shipped config such as "quickstart/tokenizer", with overrides.

    Args:
      name: path or name, with an optional ":variant" that is handed to `get_config`.
      overrides: arguments "--config.a.b=VALUE".

    Raises:
      UserError: no such config, variant or key, or a value of another type.
    """
    path, _, variant = name.partition(":")
    config = _get_config(_module(_find(path), name), variant, name)
    argv, values = ["magvit", *overrides], absl_flags.FlagValues()
    try:
        holder = config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        values(argv)
        return holder.value
    except (AttributeError, KeyError) as error:
        while isinstance(error.args[0], Exception):
            error = error.args[0]
        raise UserError(f"config {name}: unknown key {_one_line(error.args[0])}") from error
    except (absl_flags.Error, TypeError, ValueError) as error:
        raise UserError(f"config {name}: {_one_line(error)}") from error


def variants(name: str) -> tuple[str, ...]:
    """The variants of a config file or shipped config, as its `VARIANTS` lists them; none where it lists none."""
    return tuple(getattr(_module(_find(name), name), "VARIANTS", ()))


def shipped_configs() -> tuple[str, ...]:
    """Names of the configs that come with the package, such as "quickstart/tokenizer"."""
    root = next((root for root in _shipped_roots() if root.is_dir()), None)
    paths = [] if root is None else (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    return tuple(sorted(path.as_posix() for path in paths if not path.stem.startswith("_")))


def _module(path: Path, name: str) -> types.ModuleType:
    """A config file as a module; it and what it imports are run anew each time.

    Configs share code by relative imports, `from . import _base` or `from ..magvit2 import video_tokenizer`:
    the folder above the file's own stands in for a package, wherever the files are installed.
    """
    folder = path.resolve().parent
    root = types.ModuleType(_PACKAGE)
    root.__path__ = [str(folder.parent)]
    sys.modules[_PACKAGE] = root
    try:
        spec = importlib.util.spec_from_file_location(f"{_PACKAGE}.{folder.name}.{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for imported in [key for key in sys.modules if key.partition(".")[0] == _PACKAGE]:
            del sys.modules[imported]
    if not hasattr(module, "get_config"):
        raise UserError(f"config {name}: {path} defines no get_config; expected a config file")
    return module


def _get_config(module: types.ModuleType, variant: str, name: str) -> ConfigDict:
    """What `get_config` returns. A file lists what it takes as `VARIANTS`; of one that doesn't, a KeyError tells."""
    if not variant:
        return module.get_config()
    known = getattr(module, "VARIANTS", None)
    if known is None and not inspect.signature(module.get_config).parameters:
        raise UserError(f"config {name}: no variant {variant!r}; expected none, it has no variants")
    if known is not None and variant not in known:
        raise UserError(f"config {name}: no variant {variant!r}; expected one of {', '.join(known)}")
    try:
        return module.get_config(variant)
    except KeyError as error:
        if known is not None:
            raise  # a mistake in the file
        raise UserError(f"config {name}: no variant {error}") from error


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _find(name: str) -> Path:
    """A file as given, or below the shipped configs, with or without .py."""
    shipped = _shipped_roots()
    for root in (Path(), *shipped, shipped[1].parent):
        for candidate in (root / name, root / f"{name}.py"):
            if candidate.is_file():
                return candidate
    raise UserError(f"config {name}: no such file or shipped config; shipped are {', '.join(shipped_configs())}")


def _shipped_roots() -> tuple[Path, Path]:
    """Where `configs/` is: within an installed package, or beside it in a checkout."""
    package = Path(magvit_jax.__file__).parent
    return package / "configs", package.parent / "configs"

"""Which config, data set and earlier model each cell of ours is made with, and the commands that make it."""

import dataclasses
import functools
import itertools
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from ml_collections import ConfigDict

from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.experiments import files


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set that the thesis names.

    Attributes:
      name: for people.
      folder: its folder below `--data`.
      layout: what has to be in it.
      clips: what the thesis counts.
    """

    name: str
    folder: str
    layout: str
    clips: str = ""


@dataclasses.dataclass(frozen=True)
class Model:
    """One training run.

    Attributes:
      config: a shipped config, with its variant.
      data: key of its `Dataset`.
      tokenizer, sound_tokenizer, init_from: keys of models that it needs; "" for none.
      set: overrides "key=value" of the config.
      mini: key of the settings in mini.toml that shrink it; "" where nothing does.
      mini_config: the config that is shrunk, where that is another one.
      why_not_mini: why nothing does.
      mini_set: more such overrides at mini scale.
    """

    config: str
    data: str
    tokenizer: str = ""
    sound_tokenizer: str = ""
    init_from: str = ""
    set: tuple[str, ...] = ()
    mini: str = ""
    mini_config: str = ""
    why_not_mini: str = "it has no recipe at mini scale"
    mini_set: tuple[str, ...] = ()

    @property
    def needs(self) -> Mapping[str, str]:
        """The models that it starts from, by the field of the config that names their folder."""
        found = {field: getattr(self, field) for field in ("tokenizer", "sound_tokenizer", "init_from")}
        return {field: name for field, name in found.items() if name}

    def load(self, *overrides: str) -> ConfigDict:
        """Its config with its own overrides, then these; of two of the same field the later one holds."""
        return _load(self.config, self.set, overrides)

    def load_mini(self, *overrides: str) -> ConfigDict:
        """The same of the config that is shrunk; `set` is of `config`, and not of another one."""
        return _load(self.mini_config, overrides) if self.mini_config else self.load(*overrides)


def _load(config: str, *overrides: Iterable[str]) -> ConfigDict:
    last = dict(one.split("=", 1) for one in itertools.chain(*overrides))
    return load_config(config, [f"--config.{field}={value}" for field, value in last.items()])


@functools.cache
def models() -> Mapping[str, Model]:
    """All of them, of every chapter."""
    found: dict[str, Model] = {}
    for path in sorted(files.folder().glob("chapter*/models.toml")):
        for name, fields in files.read(path).items():
            if name in found:
                raise UserError(f"{path}: model {name!r} is in another chapter too; expected one of the name")
            found[name] = files.build(Model, fields, f"{path}: model {name}")
    for name, model in found.items():
        for need in model.needs.values():
            if need not in found:
                raise UserError(f"model {name!r} needs {need!r}, which no models.toml has")
    return found


@functools.cache
def datasets() -> Mapping[str, Dataset]:
    path = files.folder() / "datasets.toml"
    return {key: files.build(Dataset, fields, f"{path}: {key}") for key, fields in files.read(path).items()}


def chain(name: str) -> tuple[str, ...]:
    """A model and all that it needs, each after what it needs itself."""
    before = [one for need in models()[name].needs.values() for one in chain(need)]
    return tuple(dict.fromkeys([*before, name]))


def commands(name: str, workdir: str = "runs", data: str = "DATA") -> tuple[str, ...]:
    """The `magvit train` commands that make a model, from first to last."""
    made = []
    for one in chain(name):
        model = models()[one]
        overrides = [f"data.path={data}/{datasets()[model.data].folder}"]
        overrides += [f"{field}={workdir}/{need}" for field, need in model.needs.items()]
        overrides += model.set
        parts = ["magvit", "train", f"--config={model.config}", *(f"--config.{given}" for given in overrides)]
        made.append(shlex.join([*parts, f"--workdir={workdir}/{one}"]))
    return tuple(made)


def missing_data(name: str, root: Path | None, more: Iterable[str] = ()) -> str:
    """Which data set is not there, as a line for people; "" where all are.

    Args:
      root: the folder that holds them; None where the user named none.
      more: data sets beside those that the model and what it starts from are trained on.
    """
    for key in dict.fromkeys((*(models()[one].data for one in chain(name)), *filter(None, more))):
        dataset = datasets()[key]
        where = Path("DIR" if root is None else root) / dataset.folder
        if root is None or not where.is_dir():
            with_flag = " with --data=DIR" if root is None else ""
            return f"data set {dataset.name} is missing: expected {dataset.layout} in {where}{with_flag}"
    return ""

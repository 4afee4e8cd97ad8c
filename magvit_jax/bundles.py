"""Bundles: a trained model as a folder of config.json and params.safetensors, and training workdirs read as one.

    config.json         format version, kind, model, clip, class names, fingerprint; a generator's tokenizer nested
    params.safetensors  parameters by path ("decoder/conv_in/kernel"); a generator's also "tokenizer/..."

There is no pickle in it. A loader takes a bundle or a training workdir, whichever it is given.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from magvit_jax import systems
from magvit_jax.errors import UserError
from magvit_jax.generation.generator import Generator
from magvit_jax.generation.multimodal import MultimodalGenerator
from magvit_jax.systems import generator_config, multimodal_bundle, multimodal_lm, video_tokenizer
from magvit_jax.tokenizer import sound_tokenizer
from magvit_jax.tokenizer.sound_tokenizer import CODECS, SoundTokenizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, unboxed_abstract_params
from magvit_jax.tokens.grid import latent_grid
from magvit_jax.training.loading import load_state
from magvit_jax.training.system import System
from magvit_jax.training.workdir import CHECKPOINTS, load_config, load_extra
from magvit_jax.typing import PyTree

FORMAT_VERSION = 2
CONFIG = "config.json"
PARAMS = "params.safetensors"
WORKDIR_TOKENIZER = "tokenizer"
SOUND_TOKENIZER = "sound_tokenizer"
GENERATORS = ("generator", multimodal_lm.KIND)
FROZEN = (WORKDIR_TOKENIZER, SOUND_TOKENIZER)  # models that a generator is trained on, and their folders in a workdir


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What is in a bundle's files: `config` as plain JSON values, `params` as a nested dict of numpy arrays."""

    config: Mapping[str, Any]
    params: PyTree

    @property
    def kind(self) -> str:
        return self.config["kind"]


def load_tokenizer(path: str | os.PathLike, mesh: Mesh | None = None, dtype: str | None = None) -> Tokenizer:
    """The tokenizer of a bundle or workdir; of a generator's, the one it was trained with.

    Args:
      path: folder of a bundle or of a training run.
      mesh: lays parameters and batches out on it; by default all is on one device.
      dtype: compute dtype, "float32" or "bfloat16"; that of training by default.

    Raises:
      UserError: there is no readable model in the folder.
    """
    bundle = read(path)
    if bundle.kind in GENERATORS:
        bundle = _nested(bundle, WORKDIR_TOKENIZER)
    if bundle.kind != "tokenizer":
        raise UserError(f"{path}: holds a {bundle.kind}; expected a tokenizer or a generator")
    return build_tokenizer(bundle, mesh, dtype)


def load_sound_tokenizer(path: str | os.PathLike, mesh: Mesh | None = None) -> SoundTokenizer:
    """The sound tokenizer of a bundle or workdir; of a multimodal generator's, the one it was trained with.

    Arguments as of `load_tokenizer`.

    Raises:
      UserError: there is no readable model in the folder, or it is no sound tokenizer.
    """
    bundle = read(path)
    if SOUND_TOKENIZER in bundle.config:
        bundle = _nested(bundle, SOUND_TOKENIZER)
    if bundle.kind != SOUND_TOKENIZER:
        raise UserError(f"{path}: holds a {bundle.kind}; expected a {SOUND_TOKENIZER}, such as SoundStream or DAC")
    return build_sound_tokenizer(bundle, mesh)


def holds_sound_tokenizer(path: str | os.PathLike) -> bool:
    """Whether a folder is the bundle or workdir of a sound tokenizer; its weights are not read."""
    path = Path(path)
    if (path / PARAMS).is_file():
        return _read_config(path)["kind"] == SOUND_TOKENIZER
    return (path / CHECKPOINTS).is_dir() and systems.kind(load_config(path)) == SOUND_TOKENIZER


def load_generator(
    path: str | os.PathLike,
    mesh: Mesh | None = None,
    dtype: str | None = None,
    *,
    tokenizer: str | os.PathLike | Tokenizer | None = None,
    weights_dir: str | os.PathLike | None = None,
) -> Generator | MultimodalGenerator:
    """The generator of a bundle or workdir; arguments as of `load_tokenizer`.

    Args:
      tokenizer: the tokenizer, or its folder, in place of the one in the bundle; it has to be the same.
      weights_dir: of a multimodal generator that knows text by T5: the folder with T5's weights; MAGVIT_WEIGHTS by
        default.

    Raises:
      UserError: there is no readable model in the folder, it is a tokenizer, or its transformer was trained with
        another tokenizer than the given one.
    """
    bundle = read(path)
    if bundle.kind not in GENERATORS:
        raise UserError(f"{path}: holds a {bundle.kind}; expected a generator (a trained transformer)")
    nested = _nested(bundle, WORKDIR_TOKENIZER)
    tokenizer = (
        build_tokenizer(nested, mesh, dtype)
        if tokenizer is None
        else _same_tokenizer(path, nested, tokenizer, mesh, dtype)
    )
    config = bundle.config | {"model": _with_dtype(bundle.config["model"], dtype)}
    if bundle.kind == multimodal_lm.KIND:
        sound = build_sound_tokenizer(_nested(bundle, SOUND_TOKENIZER), mesh) if SOUND_TOKENIZER in config else None
        params = bundle.params["transformer"]
        return multimodal_bundle.build_generator(config, params, tokenizer, sound, weights_dir, mesh)
    return _build_generator(config, bundle.params["transformer"], tokenizer, mesh)


def _build_generator(config: Mapping[str, Any], params: PyTree, tokenizer: Tokenizer, mesh: Mesh | None) -> Generator:
    """The generator of videos of a bundle's config and parameters."""
    model, masking = ConfigDict(config["model"]), ConfigDict(config["masking"])
    system = systems.module(config["system"])
    tasks = ConfigDict(config["tasks"])
    clip = ClipFormat(**config["clip"])
    grid = latent_grid(tokenizer.model, clip.shape)
    vocabulary = generator_config.build_vocabulary(
        tasks, tokenizer.model.codebook_size, len(config["class_names"])
    )
    mixture = generator_config.build_mixture(tasks, grid)
    return Generator(
        transformer=system.build_transformer(model, masking, vocabulary, mixture),
        params=params,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        mixture=mixture,
        decoding=system.build_decoding(tasks),
        keep_condition=masking.method == "latent",
        clip=clip,
        class_names=tuple(config["class_names"]),
        fingerprint=config["fingerprint"],
        mesh=mesh,
    )


def _nested(bundle: Bundle, name: str) -> Bundle:
    """A frozen model that a generator was trained with."""
    return Bundle(bundle.config[name], bundle.params[name])


def _same_tokenizer(
    path: str | os.PathLike,
    nested: Bundle,
    given: str | os.PathLike | Tokenizer,
    mesh: Mesh | None,
    dtype: str | None,
) -> Tokenizer:
    """The tokenizer that a user gives in place of a generator's own."""
    held = isinstance(given, Tokenizer)
    tokenizer = given if held else load_tokenizer(given, mesh, dtype)
    name = "the given one" if held else str(given)
    _require_same_tokenizer(str(path), nested.config["fingerprint"], name, tokenizer.fingerprint)
    return tokenizer


def _require_same_tokenizer(generator: str, recorded: str, tokenizer: str, found: str) -> None:
    if found != recorded:
        raise UserError(
            f"{generator}: its transformer was trained on the tokens of tokenizer {recorded} (a fingerprint); "
            f"{tokenizer} is tokenizer {found}"
        )


def read(path: str | os.PathLike) -> Bundle:
    """A bundle, or the newest checkpoint of a training workdir as if it had been exported."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; expected a bundle or a training workdir")
    if (path / PARAMS).is_file():
        return _read_files(path)
    if (path / CHECKPOINTS).is_dir():
        return from_workdir(path)
    raise UserError(f"{path}: neither a bundle ({CONFIG} + {PARAMS}) nor a training workdir ({CHECKPOINTS}/)")


def write(bundle: Bundle, path: str | os.PathLike) -> Path:
    """Writes a bundle to a new folder, whole or not at all; a bundle that is there is replaced.

    Raises:
      UserError: the folder holds anything but a bundle, or cannot be written; what was there is unharmed.
    """
    path = Path(os.path.abspath(path))
    _require_replaceable(path)
    partial = replaced = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        partial.chmod(0o777 & ~_umask())
        flat = flax.traverse_util.flatten_dict(bundle.params, sep="/")
        save_file({name: np.ascontiguousarray(value) for name, value in flat.items()}, partial / PARAMS)
        (partial / CONFIG).write_text(json.dumps(bundle.config, indent=1) + "\n")
        if path.exists():
            replaced = partial.with_suffix(".replaced")
            path.rename(replaced)
        partial.rename(path)
    except (OSError, SafetensorError) as error:
        if replaced is not None and replaced.exists():
            replaced.rename(path)
        raise UserError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        for leftover in (partial, replaced):
            if leftover is not None:
                shutil.rmtree(leftover, ignore_errors=True)
    return path


def _require_replaceable(path: Path) -> None:
    """UserError unless nothing of anybody's is lost when a bundle takes this place."""
    if not path.exists():
        return
    names = {entry.name for entry in path.iterdir()} if path.is_dir() else {path.name}
    if names and names != {CONFIG, PARAMS}:
        what = "a training workdir" if CHECKPOINTS in names else "no bundle"
        raise UserError(
            f"{path}: exists and is {what}; expected a new or empty folder, or a bundle to replace"
        )


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def from_workdir(workdir: str | os.PathLike) -> Bundle:
    """The newest checkpoint of a training run; its moving average where one is kept."""
    workdir = Path(workdir)
    config, extra = load_config(workdir), load_extra(workdir)
    frozen = {}
    if systems.kind(config) in GENERATORS:
        frozen = {name: _frozen(workdir, name, extra[name]) for name in FROZEN if name in extra}
    system = systems.build(
        config,
        tokenizer=build_tokenizer(frozen[WORKDIR_TOKENIZER]) if frozen else None,
        num_classes=len(extra["class_names"]),
        sound=build_sound_tokenizer(frozen[SOUND_TOKENIZER]) if SOUND_TOKENIZER in frozen else None,
        words=multimodal_bundle.words_of(extra),
    )
    state = load_state(workdir, system)
    described = {
        "format_version": FORMAT_VERSION,
        "kind": system.kind,
        "name": config.name,
        "step": int(state.step),
        "class_names": list(extra["class_names"]),
    }
    described |= _described(system, config, extra)
    params = jax.tree.map(np.asarray, state.system.eval_params)
    if frozen:
        described |= {name: bundle.config for name, bundle in frozen.items()}
        params = {"transformer": params} | {name: bundle.params for name, bundle in frozen.items()}
    described["fingerprint"] = fingerprint(described, params)
    return Bundle(described, params)


def _frozen(workdir: Path, name: str, expected: str) -> Bundle:
    """A frozen model that a run keeps; UserError where it is not the one that the run began with."""
    bundle = read(workdir / name)
    _require_same_tokenizer(str(workdir), expected, str(workdir / name), bundle.config["fingerprint"])
    return bundle


def _described(system: System, config: ConfigDict, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a kind of model is made of, besides parameters."""
    if system.kind == SOUND_TOKENIZER:
        return system.described()
    if system.kind == multimodal_lm.KIND:
        return multimodal_bundle.described(config, extra)
    clip = {key: config.data[key] for key in ("frames", "height", "width", "stride")}
    values = {"model": _plain(config.model), "clip": clip}
    if system.kind == "generator":
        values |= {"system": config.system, "masking": {"method": config.masking.method}}
        values |= {"tasks": _plain(config.tasks)}
    return values


def fingerprint(config: Mapping[str, Any], params: PyTree) -> str:
    """16 hexadecimal digits of a SHA-256 over a bundle: its weights and its config, less this and the format."""
    described = {key: value for key, value in config.items() if key not in ("fingerprint", "format_version")}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name, value in sorted(flax.traverse_util.flatten_dict(params, sep="/").items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def build_tokenizer(bundle: Bundle, mesh: Mesh | None = None, dtype: str | None = None) -> Tokenizer:
    """The tokenizer of a bundle that was read; arguments as of `load_tokenizer`."""
    config = bundle.config
    model = video_tokenizer.build_model(ConfigDict(_with_dtype(config["model"], dtype)))
    clip = ClipFormat(**config["clip"])
    require_same_params(bundle.params, unboxed_abstract_params(model, clip), config["name"])
    return Tokenizer(model, bundle.params, clip, tuple(config["class_names"]), config["fingerprint"], mesh)


def build_sound_tokenizer(bundle: Bundle, mesh: Mesh | None = None) -> SoundTokenizer:
    """The sound tokenizer of a bundle that was read."""
    config = bundle.config
    model = CODECS[config["codec"]](**config["model"])
    require_same_params(bundle.params, sound_tokenizer.unboxed_abstract_params(model), config["name"])
    return SoundTokenizer(model, bundle.params, config["sample_rate"], config["fingerprint"], mesh)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path / CONFIG}: not readable as JSON: {error}") from error
    found = config.get("format_version") if isinstance(config, dict) else None
    if found != FORMAT_VERSION:
        raise UserError(
            f"{path / CONFIG}: format version {found!r}; this version of magvit_jax reads {FORMAT_VERSION}"
        )
    return config


def _read_files(path: Path) -> Bundle:
    config = _read_config(path)
    try:
        flat = load_file(path / PARAMS)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path / PARAMS}: not readable: {error}") from error
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    if fingerprint(config, params) != config.get("fingerprint"):
        raise UserError(f"{path}: {CONFIG} or {PARAMS} was changed after the export (fingerprint differs)")
    return Bundle(config, params)


def require_same_params(params: PyTree, expected: PyTree, name: str) -> None:
    """UserError naming the first parameter whose presence or shape differs from what the model needs."""
    found = flax.traverse_util.flatten_dict(params, sep="/")
    wanted = flax.traverse_util.flatten_dict(expected, sep="/")
    for key in sorted(set(found) | set(wanted)):
        shapes = [list(tree[key].shape) if key in tree else "absent" for tree in (found, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(f"bundle {name!r}: parameter {key} is {shapes[0]}; expected {shapes[1]}")


def _with_dtype(model: Mapping[str, Any], dtype: str | None) -> dict[str, Any]:
    return dict(model) if dtype is None else dict(model, dtype=dtype)


def _plain(config: ConfigDict) -> dict[str, Any]:
    return json.loads(json.dumps(config.to_dict()))

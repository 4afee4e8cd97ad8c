"""From a config and a workdir to a training run: data, system and the one loop put together."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from magvit_jax import bundles, data, systems
from magvit_jax.errors import UserError
from magvit_jax.media import output as media_output
from magvit_jax.partitioning import make_rules
from magvit_jax.training import loop
from magvit_jax.training.state import LoopState
from magvit_jax.training.workdir import FREE_KEYS

#: Paths are free: what they lead to is part of the run by fingerprint and class names, and folders may move.
PATH_KEYS = ("tokenizer", "init_from", "data.path")


def train(config: ConfigDict, workdir: str | os.PathLike, stream: TextIO | None = None) -> LoopState:
    """Trains what `config` describes in `workdir`, going on from there where there is a checkpoint.

    Raises:
      UserError: a bad config, data that cannot be read, or a workdir of another config.
    """
    workdir = Path(workdir)
    spec = data.ClipSpec.from_config(config.data)
    sources = {split: data.build_source(config.data, split) for split in ("train", "test")}
    class_names = tuple(sources["train"].class_names)
    tokenizer = _tokenizer(config, workdir)
    system = systems.build(config, tokenizer=tokenizer, num_classes=len(class_names))
    extra: dict[str, Any] = {"class_names": list(class_names)}
    if tokenizer is not None:
        extra["tokenizer"] = tokenizer.fingerprint

    def train_batches(start_step: int, shard_index: int, shard_count: int) -> data.BatchIterator:
        return data.batches(
            sources["train"],
            spec,
            batch_size=config.data.batch_size,
            seed=config.data.seed,
            start_step=start_step,
            shard_index=shard_index,
            shard_count=shard_count,
            workers=config.data.workers,
        )

    return loop.train(
        system,
        config,
        workdir,
        train_batches,
        eval_batches_fn=lambda: data.eval_batches(
            sources["test"], spec, batch_size=config.data.eval_batch_size, num=config.data.eval_clips
        ),
        warm_start=functools.partial(system.warm_start, params=_initial_params(config, system)),
        on_sample=functools.partial(write_samples, workdir / "samples"),
        extra=extra,
        free_keys=(*FREE_KEYS, *PATH_KEYS),
        rules=make_rules(config.sharding_rules),
        stream=stream,
    )


def write_samples(folder: Path, step: int, videos: Mapping[str, np.ndarray]) -> None:
    """Sample clips of a training step, side by side: a moving GIF and a still filmstrip."""
    media_output.write_comparison(folder / f"step_{step:07d}", videos)


def _tokenizer(config: ConfigDict, workdir: Path):
    """The frozen tokenizer of a generator's run, kept in the workdir so that it can be loaded as a model."""
    if systems.kind(config) == "tokenizer":
        return None
    kept = workdir / bundles.WORKDIR_TOKENIZER
    if jax.process_index() == 0 and not kept.exists():
        _keep_tokenizer(config.tokenizer, kept)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("the tokenizer is in the workdir")
    tokenizer = bundles.load_tokenizer(kept)
    if config.tokenizer and Path(config.tokenizer).exists():
        _require_same_tokenizer(config.tokenizer, tokenizer, kept)
    return tokenizer


def _keep_tokenizer(path: str, kept: Path) -> None:
    if not path:
        raise UserError("config.tokenizer is empty; expected the folder of a trained tokenizer")
    bundle = bundles.read(path)
    if bundle.kind != "tokenizer":
        raise UserError(f"config.tokenizer: {path} holds a {bundle.kind}; expected a tokenizer")
    bundles.write(bundle, kept)


def _require_same_tokenizer(path: str, kept, where: Path) -> None:
    found = bundles.read(path).config["fingerprint"]
    if found != kept.fingerprint:
        raise UserError(
            f"config.tokenizer: {path} is tokenizer {found}, but this run began with {kept.fingerprint} ({where}); "
            "expected the same, or a new workdir"
        )


def _initial_params(config: ConfigDict, system) -> Any:
    """Parameters that a new run starts from, or None."""
    if not config.init_from:
        return None
    bundle = bundles.read(config.init_from)
    if bundle.kind != system.kind:
        raise UserError(
            f"config.init_from: {config.init_from} holds a {bundle.kind}; expected a {system.kind}"
        )
    params = bundle.params if bundle.kind == "tokenizer" else bundle.params["transformer"]
    bundles.require_same_params(params, system.abstract_params(), str(config.init_from))
    return params

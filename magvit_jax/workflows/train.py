"""From a config and a workdir to a training run: data, system and the one loop put together."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data, systems
from magvit_jax.errors import UserError
from magvit_jax.media import output as media_output
from magvit_jax.partitioning import make_rules
from magvit_jax.systems import multimodal_bundle
from magvit_jax.training import loop
from magvit_jax.training.checkpoints import latest_step
from magvit_jax.training.state import LoopState
from magvit_jax.training.workdir import FREE_KEYS, load_extra
from magvit_jax.workflows import multimodal_data
from magvit_jax.workflows.initial import initial_params

#: Paths are free: what they lead to is part of the run by fingerprint and class names, and folders may move.
PATH_KEYS = ("tokenizer", "sound_tokenizer", "init_from", "data.path", "data.tfds.data_dir")
PATH_KEYS += ("data.images.path", "data.flow", "data.depth", "text.t5")


def train(
    config: ConfigDict,
    workdir: str | os.PathLike,
    stream: TextIO | None = None,
    devices: Sequence[Any] | None = None,
) -> LoopState:
    """Trains what `config` describes in `workdir`, going on from there where there is a checkpoint.

    Args:
      stream: where the progress line goes, standard error by default.
      devices: all devices of all processes by default.

    Raises:
      UserError: a bad config, data that cannot be read, or a workdir of another config.
    """
    workdir = Path(workdir)
    spec = data.build_spec(config.data)
    multimodal = None
    if config.data.source in data.MULTIMODAL:
        known = None if latest_step(workdir) is None else multimodal_bundle.words_of(load_extra(workdir))
        multimodal = multimodal_data.build(config, known)
        sources = multimodal.sources
    else:
        sources = {split: data.build_source(config.data, split) for split in ("train", "test")}
    class_names = () if multimodal is not None else tuple(sources["train"].class_names)  # texts take their place
    frozen = _frozen_models(config, workdir)
    tokenizer, sound = (frozen.get(field) for field in bundles.FROZEN)
    _require_pixels_or_tokens_of(tokenizer, config, sources)
    built = None if tokenizer is None else bundles.build_tokenizer(tokenizer)
    system = systems.build(
        config,
        tokenizer=built,
        num_classes=len(class_names),
        sound=None if sound is None else bundles.build_sound_tokenizer(sound),
        words=None if multimodal is None else multimodal.words,
    )
    extra: dict[str, Any] = {"class_names": list(class_names)}
    extra |= {field: bundle.config["fingerprint"] for field, bundle in frozen.items()}
    if multimodal is not None:
        extra |= multimodal.extra
    if system.kind == "tokenizer":
        system.load_networks()
    # Looked at before the workdir is claimed; a run that goes on does not need the folder any more.
    start = initial_params(config, system, extra) if latest_step(workdir) is None else {}

    def warm_start(state: Any) -> Any:
        for field, bundle in frozen.items() if jax.process_index() == 0 else ():
            bundles.write(bundle, workdir / field)
        return system.warm_start(state, **start)

    def train_batches(start_step: int, shard_index: int, shard_count: int) -> data.BatchIterator:
        if multimodal is not None:
            # A latent frame of a video has as many tokens as an image.
            images = 1 if built is None else built.model.latent_shape(spec.frames, spec.height, spec.width)[0]
            return multimodal.train_batches(start_step, shard_index, shard_count, images_per_video=images)
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
        warm_start=warm_start,
        on_sample=functools.partial(write_samples, workdir / "samples"),
        watch=system.watch if system.kind == "tokenizer" else None,
        extra=extra,
        free_keys=(*FREE_KEYS, *PATH_KEYS),
        rules=make_rules(config.sharding_rules),
        devices=devices,
        stream=stream,
    )


def write_samples(folder: Path, step: int, videos: Mapping[str, np.ndarray]) -> None:
    """Sample clips of a training step, side by side: a moving GIF and a still filmstrip."""
    media_output.write_comparison(folder / f"step_{step:07d}", videos)


def _frozen_models(config: ConfigDict, workdir: Path) -> dict[str, bundles.Bundle]:
    """The frozen models of a generator's run: of `bundles.FROZEN`, which are fields of the config, kinds of models and
    folders of the workdir. A model of video alone has no sound tokenizer."""
    if systems.kind(config) not in bundles.GENERATORS:
        return {}
    fields = [field for field in bundles.FROZEN if field == bundles.WORKDIR_TOKENIZER or config.get(field)]
    return {field: _frozen_model(config, workdir, field) for field in fields}


def _frozen_model(config: ConfigDict, workdir: Path, field: str) -> bundles.Bundle:
    """The model of one field: the one that the workdir keeps since the run began, if it did."""
    kept = workdir / field
    if latest_step(workdir) is None or not kept.exists():
        return _configured_model(config, field)
    bundle = bundles.read(kept)
    if config[field] and Path(config[field]).exists():
        found, began = (x.config["fingerprint"] for x in (_configured_model(config, field), bundle))
        if found != began:
            raise UserError(
                f"config.{field}: {config[field]} is tokenizer {found}, but this run began with {began} "
                f"({kept}); expected the same, or a new workdir"
            )
    return bundle


def _configured_model(config: ConfigDict, field: str) -> bundles.Bundle:
    if not config[field]:
        raise UserError(f"config.{field} is empty; expected the folder of a trained tokenizer")
    bundle = bundles.read(config[field])
    if bundle.kind != field:
        raise UserError(f"config.{field}: {config[field]} holds a {bundle.kind}; expected a {field}")
    return bundle


def _require_pixels_or_tokens_of(
    tokenizer: bundles.Bundle | None, config: ConfigDict, sources: Mapping[str, data.Source]
) -> None:
    """UserError where the data are tokens, unless they are those of the run's tokenizer."""
    for source in sources.values():
        if not isinstance(source, data.TokenShards):
            continue
        if tokenizer is None:
            raise UserError("data.source is 'token_shards': a tokenizer is trained on pixels, expected another source")
        found, expected = source.identity["tokenizer"]["fingerprint"], tokenizer.config["fingerprint"]
        if found != expected:
            raise UserError(
                f"data.path: {config.data.path} has tokens of tokenizer {found}; expected those of config.tokenizer, "
                f"{expected}"
            )
